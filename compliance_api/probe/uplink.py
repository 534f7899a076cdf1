"""The calls a probe makes to the compliance service, and what their errors mean to it.

Holds always: an error is either `UnavailableError` (the same call may succeed later, so nothing may be thrown away) or
`RefusedError` (this content will never be taken). What is not known to be a refusal counts as unavailable.
"""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import grpc.aio

from compliance_api.probe.errors import RefusedError, UnavailableError
from lachan import channel
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.compliance.v1 import probe_service_pb2_grpc as stubs
from lachan.retry import asked_delay
from lachan.tls import TlsFiles

MAX_BATCH = 256
MAX_BATCH_BYTES = 3 << 20
"""Below the channel's limit, so that a batch of the largest observations still fits."""

_REFUSALS = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
    }
)


def batch_of(items: Sequence[bytes], most: int = MAX_BATCH) -> int:
    """How many of `items`, from the front, fit into one call; at least one where there is any."""
    size = 0
    for count, item in enumerate(items[:most]):
        size += len(item)
        if size > MAX_BATCH_BYTES and count:
            return count
    return min(len(items), most)


def _translate(error: grpc.aio.AioRpcError) -> UnavailableError | RefusedError:
    return RefusedError(f"{error.code().name}: {error.details()}") if error.code() in _REFUSALS else _unavailable(error)


def _unavailable(error: grpc.aio.AioRpcError) -> UnavailableError:
    return UnavailableError(f"{error.code().name}: {error.details()}", asked_delay(error))


class Uplink:
    """One channel to the service."""

    def __init__(self, target: str, files: TlsFiles, deadline: float, reconnect_most: float) -> None:
        self._line = channel.Renewing(target, files, max(200, int(reconnect_most * 1000)))
        self._deadline = deadline

    def _service(self) -> stubs.ProbeServiceAsyncStub:
        return stubs.ProbeServiceStub(self._line.channel())

    async def take(self) -> pb.TakeAssignmentResponse:
        """The next assignment, if there is one yet, and the service's time.

        Raises:
            UnavailableError: Ask again later.
        """
        try:
            return await self._service().TakeAssignment(pb.TakeAssignmentRequest(), timeout=self._deadline)
        except grpc.aio.AioRpcError as error:
            raise _unavailable(error) from error

    async def stamps(self, commitments: Sequence[bytes]) -> list[pb.Stamp]:
        """The service's time, over each of the commitments, or bare; nothing from an earlier release of the service.

        Raises:
            UnavailableError: Ask again later.
        """
        try:
            answer = await self._service().TakeStamps(
                pb.TakeStampsRequest(commitments=commitments), timeout=self._deadline
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return []
            raise _unavailable(error) from error
        return list(answer.stamps)

    async def submit(self, observations: Sequence[bytes]) -> None:
        """Hands in serialised `SignedObservation`s; all of them are stored when this returns.

        Raises:
            UnavailableError: Nothing is known to be stored; hand in the same again later.
            RefusedError: The service will not take at least one of them.
        """
        request = pb.SubmitObservationsRequest(
            observations=[pb.SignedObservation.FromString(item) for item in observations]
        )
        try:
            answer = await self._service().SubmitObservations(request, timeout=self._deadline)
        except grpc.aio.AioRpcError as error:
            raise _translate(error) from error
        if answer.stored < len(observations):
            raise RefusedError(f"{answer.stored} of {len(observations)} observations stored")

    async def submit_line_check(self, check: bytes) -> None:
        """Hands in a serialised `SignedLineCheck`; it is stored when this returns.

        Raises:
            UnavailableError: Nothing is known to be stored.
            RefusedError: The service will not take it.
        """
        request = pb.SubmitLineCheckRequest(check=pb.SignedLineCheck.FromString(check))
        try:
            await self._service().SubmitLineCheck(request, timeout=self._deadline)
        except grpc.aio.AioRpcError as error:
            raise _translate(error) from error

    async def close(self) -> None:
        """Ends the channel."""
        await self._line.close()
