"""The road of openings, over mutual TLS, to a small service."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import grpc.aio
import pytest

from lachan import channel, tls
from lachan.compliance.v1 import challenge_service_pb2 as pb
from lachan.compliance.v1.challenge_service_pb2_grpc import (
    ChallengeServiceServicer,
    add_ChallengeServiceServicer_to_server,
)
from lachan.signing import OPENING, SigningKey
from lachan.tls import Role
from resolver.authority import FEW_CLIENTS, OpeningSettings, UplinkSettings
from resolver.challenged import MAX_REQUESTS, Challenged
from resolver.opener import NOTE, Opener, Told
from resolver.openings import HOUR, Openings, TallyFile
from tests.support.authority import Papers
from tests.unit.resolver.test_openings import NOON, write


class Desk(ChallengeServiceServicer):
    """Asks for what it is told to, and keeps what comes."""

    def __init__(self) -> None:
        self.requests: list[pb.OpeningRequest] = []
        self.openings: list[pb.SignedOpening] = []
        self.refuse = 1
        self.done = asyncio.Event()

    async def PendingOpenings(  # noqa: N802 - gRPC's name
        self, request: pb.PendingOpeningsRequest, context: grpc.aio.ServicerContext
    ) -> pb.PendingOpeningsResponse:
        del request
        if self.refuse:
            self.refuse -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "told to")
        return pb.PendingOpeningsResponse(requests=self.requests)

    async def SubmitOpening(  # noqa: N802 - gRPC's name
        self, request: pb.SubmitOpeningRequest, context: grpc.aio.ServicerContext
    ) -> pb.SubmitOpeningResponse:
        assert str(channel.caller(context)) == "lachan://isp-a/node/edge-1"
        self.openings.append(request.opening)
        self.done.set()
        return pb.SubmitOpeningResponse()


async def test_a_node_asks_and_answers_and_a_failure_ends_nothing(tmp_path: Path) -> None:
    papers = Papers(tmp_path)
    desk = Desk()
    server = channel.server()
    add_ChallengeServiceServicer_to_server(desk, server)
    port = channel.bind(server, "127.0.0.1:0", tls.load(papers.issue("authority", Role.SERVICE, "compliance")))
    await server.start()
    key = SigningKey.generate()
    tally = TallyFile(tmp_path / "tally.ring", 1)
    write(tally, 0, NOON, {7: 16})
    openings = Openings(tmp_path / "openings", tally, 0, lambda: (7, 9))
    openings.root_before(NOON + HOUR)
    settings = OpeningSettings(clients=FEW_CLIENTS + 1)
    opener = Opener(openings, Told(tmp_path / "openings" / NOTE), key, "isp-a", "edge-1", settings)
    uplink = UplinkSettings(
        target=f"127.0.0.1:{port}", tls=papers.issue("isp-a", Role.NODE, "edge-1"), authority_key=tmp_path / "any.pem"
    )
    node = Challenged(uplink, opener, 0.02, lambda: NOON + HOUR + 86400.0)
    try:
        desk.requests = [pb.OpeningRequest(challenge_id=bytes([n]) * 16, hour=NOON, fingerprints=[7]) for n in range(9)]
        working = asyncio.create_task(node.run())
        # The first call fails, the next one is answered.
        async with asyncio.timeout(30):
            await desk.done.wait()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        desk.openings.clear()
        assert await node.turn() == MAX_REQUESTS
        for signed in desk.openings:
            key.public.verify(OPENING, signed.opening, signed.signature)
            assert {one.fingerprint: one.count for one in pb.Opening.FromString(signed.opening).rules} == {0: 0, 7: 16}
        desk.refuse = 1
        with pytest.raises(grpc.aio.AioRpcError):
            await node.turn()
    finally:
        await server.stop(None)
