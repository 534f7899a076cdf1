"""A real small ProbeService over mutual TLS that hands out what a test gives it and keeps what probes hand in."""

from __future__ import annotations

import contextlib
import os
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import grpc
import grpc.aio

from compliance_api.identity import pki
from compliance_api.usecases.probing.stamp import Stamper
from lachan import channel, tls
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.compliance.v1 import probe_service_pb2_grpc as stubs
from lachan.signing import SigningKey
from lachan.tls import Role, TlsFiles


def issue(ca: Path, out: Path, uri: str) -> TlsFiles:
    """A certificate from the authority in `ca`, made there if it is not, for a party on loopback."""
    now = datetime.now(UTC)
    if not ca.exists():
        pki.init(ca, now)
    pki.issue(ca, out, uri, now, dns=["localhost"], addresses=["127.0.0.1"], days=2)
    return TlsFiles(ca=out / "ca.pem", certificate=out / "certificate.pem", key=out / "key.pem")


@dataclass
class Desk(stubs.ProbeServiceServicer):
    """What outlives a crash of the service: the work not handed out yet, and the observations stored."""

    work: deque[pb.Assignment] = field(default_factory=deque)
    # How often each distinct observation was handed in.
    stored: Counter[bytes] = field(default_factory=Counter)
    # Observations, by index, that will never be taken.
    unwanted: set[int] = field(default_factory=set)
    stamper: Stamper = field(
        default_factory=lambda: Stamper(SigningKey.generate(), lambda: datetime.now(UTC), os.urandom)
    )

    async def TakeAssignment(  # noqa: N802 - the method's name in the contract
        self,
        request: pb.TakeAssignmentRequest,  # noqa: ARG002 - part of the interface
        context: grpc.aio.ServicerContext[pb.TakeAssignmentRequest, pb.TakeAssignmentResponse],
    ) -> pb.TakeAssignmentResponse:
        """The next piece of work."""
        if channel.caller(context).role is not Role.PROBE:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not a probe")
        (stamp,) = self.stamper.take([])
        return pb.TakeAssignmentResponse(assignment=self.work.popleft() if self.work else None, stamp=stamp)

    async def SubmitObservations(  # noqa: N802 - the method's name in the contract
        self,
        request: pb.SubmitObservationsRequest,
        context: grpc.aio.ServicerContext[pb.SubmitObservationsRequest, pb.SubmitObservationsResponse],
    ) -> pb.SubmitObservationsResponse:
        """Stores all of them or refuses all of them."""
        indexes = {pb.Observation.FromString(item.observation).index for item in request.observations}
        if indexes & self.unwanted:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "observations: unwanted")
        self.stored.update(item.SerializeToString() for item in request.observations)
        return pb.SubmitObservationsResponse(stored=len(request.observations))

    async def TakeStamps(  # noqa: N802 - the method's name in the contract
        self,
        request: pb.TakeStampsRequest,
        context: grpc.aio.ServicerContext[pb.TakeStampsRequest, pb.TakeStampsResponse],  # noqa: ARG002 - part of it
    ) -> pb.TakeStampsResponse:
        """The time, signed."""
        return pb.TakeStampsResponse(stamps=self.stamper.take(request.commitments))

    def observations(self) -> Iterator[pb.Observation]:
        """Every distinct observation stored."""
        for item in self.stored:
            yield pb.Observation.FromString(pb.SignedObservation.FromString(item).observation)


@contextlib.asynccontextmanager
async def serving(desk: Desk, files: TlsFiles, port: int = 0) -> AsyncIterator[int]:
    """Serves `desk` until the block ends, which it does without waiting for anybody."""
    service = channel.server()
    stubs.add_ProbeServiceServicer_to_server(desk, service)
    bound = channel.bind(service, f"127.0.0.1:{port}", tls.load(files))
    await service.start()
    try:
        yield bound
    finally:
        await service.stop(None)
