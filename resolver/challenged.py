"""The road of openings: the node asks the authority, now and then, which counts to open, and answers.

Holds always: the node calls, nobody calls the node; a failure is logged and tried again at the next turn, and harms no
report.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import grpc.aio

from lachan import channel, log, tls
from lachan.compliance.v1 import challenge_service_pb2 as pb
from lachan.compliance.v1.challenge_service_pb2_grpc import ChallengeServiceStub
from lachan.durable import FileError
from lachan.signing import SigningKey
from lachan.tls import TlsError
from resolver.authority import OpeningSettings, UplinkSettings
from resolver.disclosure import DisclosureError
from resolver.opener import NOTE, Opener, Told
from resolver.openings import Openings, OpeningsError

MAX_REQUESTS = 8
POLL_MOST = 900.0


class Challenged:
    """The task of opening what is asked for.

    Args:
        settings: Of the road that reports take.
        opener: Decides.
        poll: Seconds between two calls; half to one and a half times that, at random.
        wall: Seconds since 1970.
        rng: Where the pauses come from.
    """

    def __init__(
        self,
        settings: UplinkSettings,
        opener: Opener,
        poll: float,
        wall: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        self._settings = settings
        self._opener = opener
        self._poll = min(poll, POLL_MOST)
        self._wall = wall
        self._rng = rng or random.SystemRandom()

    async def run(self) -> None:
        """Answers until cancelled; no failure ends it."""
        while True:
            await asyncio.sleep(self._poll * self._rng.uniform(0.5, 1.5))
            try:
                await self.turn()
            except (grpc.aio.AioRpcError, TlsError, OpeningsError, FileError, DisclosureError) as error:
                detail = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
                log.get().warning("challenged counts could not be opened now", reason=str(detail)[:200])

    async def turn(self) -> int:
        """Asks once, and answers everything that was asked; how many hours that were.

        Raises:
            AioRpcError: The authority did not answer, or refused.
            TlsError: The node's certificate cannot be used.
            OpeningsError, FileError: The counts cannot be read.
        """
        # Rare calls: a connection of their own each time, by the certificates of that moment.
        async with channel.connect(self._settings.target, tls.load(self._settings.tls)) as connection:
            stub = ChallengeServiceStub(connection)
            answer = await stub.PendingOpenings(pb.PendingOpeningsRequest(), timeout=self._settings.deadline)
            for request in answer.requests[:MAX_REQUESTS]:
                opening = await asyncio.to_thread(self._opener.open, request, self._wall())
                await stub.SubmitOpening(pb.SubmitOpeningRequest(opening=opening), timeout=self._settings.deadline)
            return len(answer.requests[:MAX_REQUESTS])


class Reports(Protocol):
    """What a node is told of its reports."""

    @property
    def uplink(self) -> UplinkSettings | None: ...  # noqa: D102

    @property
    def openings(self) -> OpeningSettings: ...  # noqa: D102

    @property
    def window(self) -> float: ...  # noqa: D102


class NodeFile(Protocol):
    """The part that matters here of any node's configuration."""

    @property
    def state_dir(self) -> Path: ...  # noqa: D102

    @property
    def organisation(self) -> str: ...  # noqa: D102

    @property
    def node(self) -> str: ...  # noqa: D102

    @property
    def report(self) -> Reports: ...  # noqa: D102


async def challenged(file: NodeFile, openings: Openings, key: SigningKey) -> None:
    """Opens what is asked for, for ever; nothing where the node has no road to the authority."""
    report = file.report
    if report.uplink is None:
        return
    told = Told(file.state_dir / "openings" / NOTE)
    opener = Opener(openings, told, key, file.organisation, file.node, report.openings)
    await Challenged(report.uplink, opener, report.window).run()
