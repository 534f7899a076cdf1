"""ChallengeService: tells nodes what to open, and takes what they opened."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from compliance_api.domain.challenges.challenge import Challenge
from compliance_api.rpc.errors import Context, answer
from compliance_api.usecases.challenges.challenge import Challenger
from lachan.channel import caller
from lachan.compliance.v1 import challenge_service_pb2 as pb
from lachan.compliance.v1.challenge_service_pb2_grpc import ChallengeServiceServicer


def message(challenge: Challenge) -> pb.OpeningRequest:
    """A challenge as its node is told of it: neither names nor how often they were asked."""
    return pb.OpeningRequest(
        challenge_id=challenge.challenge_id,
        hour=int(challenge.hour.timestamp()),
        fingerprints=challenge.fingerprints,
        deadline=int(challenge.deadline.timestamp()),
    )


class ChallengeService(ChallengeServiceServicer):
    """The gRPC face of `compliance_api.usecases.challenges.challenge`."""

    def __init__(self, challenger: Challenger, clock: Callable[[], datetime]) -> None:
        self._challenger = challenger
        self._clock = clock

    async def PendingOpenings(  # noqa: N802 - gRPC's name
        self, request: pb.PendingOpeningsRequest, context: Context
    ) -> pb.PendingOpeningsResponse:
        """What this node is to open now."""
        del request
        return await answer(context, self._pending(context))

    async def _pending(self, context: Context) -> pb.PendingOpeningsResponse:
        found = await self._challenger.pending(caller(context), self._clock())
        return pb.PendingOpeningsResponse(requests=[message(one) for one in found])

    async def SubmitOpening(  # noqa: N802 - gRPC's name
        self, request: pb.SubmitOpeningRequest, context: Context
    ) -> pb.SubmitOpeningResponse:
        """Takes an opening."""
        return await answer(context, self._submit(request, context))

    async def _submit(self, request: pb.SubmitOpeningRequest, context: Context) -> pb.SubmitOpeningResponse:
        await self._challenger.submit(caller(context), request.opening, self._clock())
        return pb.SubmitOpeningResponse()
