"""EnrolmentService for newcomers, CredentialService for who is in.

Holds always: a newcomer is told nothing before it shows a token, and what it can cost the service has one bound over
all newcomers, since none of them can be told from another yet.
"""

from __future__ import annotations

import time
from collections.abc import Callable

# It carries no types, and no stubs for it are locked.
from google.rpc import code_pb2  # type: ignore[import-untyped]

from compliance_api.domain.parties.bucket import Allowance, Bucket
from compliance_api.domain.parties.enrolment import Enrolment, State
from compliance_api.errors import InvalidRequestError, Violation
from compliance_api.rpc.errors import Context, answer, end
from compliance_api.usecases.membership.enrolment import Actor, Enrolling
from lachan.channel import caller
from lachan.compliance.v1 import enrolment_service_pb2 as pb
from lachan.compliance.v1.enrolment_service_pb2_grpc import CredentialServiceServicer, EnrolmentServiceServicer
from lachan.status import Refusal
from lachan.tls import Identity, TlsError

NEWCOMERS = Allowance(rate=50, burst=200)
"""Calls of all newcomers together, for each process."""
_STATES = {
    State.PENDING: pb.ENROLMENT_STATE_PENDING,
    State.CONFIRMED: pb.ENROLMENT_STATE_CONFIRMED,
    State.REFUSED: pb.ENROLMENT_STATE_REFUSED,
    State.EXPIRED: pb.ENROLMENT_STATE_EXPIRED,
}


def message(one: Enrolment) -> pb.Enrolment:
    """An enrolment as people see it."""
    return pb.Enrolment(
        enrolment_id=one.enrolment_id,
        party=str(one.party),
        state=_STATES[one.state],
        fingerprint=one.fingerprint,
        requested_at=int(one.requested_at.timestamp()),
        expires_at=int(one.expires_at.timestamp()),
        decided_by=one.decided_by,
        csr=one.csr,
    )


class EnrolmentService(EnrolmentServiceServicer):
    """The face to newcomers."""

    def __init__(self, enrolling: Enrolling, authorities: Callable[[], bytes]) -> None:
        self._enrolling = enrolling
        self._authorities = authorities
        self._bucket = Bucket(NEWCOMERS, time.monotonic())

    async def _bounded(self, context: Context) -> None:
        wait = self._bucket.wait(1, time.monotonic())
        if wait:
            await end(context, Refusal(code_pb2.RESOURCE_EXHAUSTED, "too many newcomers", retry=True, after=wait))
        self._bucket.take(1)

    async def GetAuthority(  # noqa: N802 - gRPC's name
        self, request: pb.GetAuthorityRequest, context: Context
    ) -> pb.GetAuthorityResponse:
        """The authority that vouches for this service."""
        del request
        await self._bounded(context)
        return pb.GetAuthorityResponse(authorities=self._authorities())

    async def RequestEnrolment(  # noqa: N802 - gRPC's name
        self, request: pb.RequestEnrolmentRequest, context: Context
    ) -> pb.RequestEnrolmentResponse:
        """Spends a token."""
        await self._bounded(context)
        asked = self._enrolling.request(request.secret, request.csr, request.key, request.signature)
        made = await answer(context, asked)
        return pb.RequestEnrolmentResponse(
            enrolment_id=made.enrolment_id,
            fingerprint=made.fingerprint,
            expires_at=int(made.expires_at.timestamp()),
        )

    async def CollectCertificate(  # noqa: N802 - gRPC's name
        self, request: pb.CollectCertificateRequest, context: Context
    ) -> pb.CollectCertificateResponse:
        """How an enrolment stands."""
        await self._bounded(context)
        found = await answer(context, self._enrolling.collect(request.enrolment_id, request.signature))
        return pb.CollectCertificateResponse(state=_STATES[found.state], chain=found.chain)


class CredentialService(CredentialServiceServicer):
    """The face to who is in."""

    def __init__(self, enrolling: Enrolling) -> None:
        self._enrolling = enrolling

    async def RenewCertificate(  # noqa: N802 - gRPC's name
        self, request: pb.RenewCertificateRequest, context: Context
    ) -> pb.RenewCertificateResponse:
        """A further certificate for the caller."""
        issued = await answer(context, self._enrolling.renew(caller(context), request.csr))
        return pb.RenewCertificateResponse(chain=issued.chain)

    async def ListEnrolments(  # noqa: N802 - gRPC's name
        self, request: pb.ListEnrolmentsRequest, context: Context
    ) -> pb.ListEnrolmentsResponse:
        """The enrolments of the caller's organisation."""
        del request
        found = await answer(context, self._list(context))
        return pb.ListEnrolmentsResponse(enrolments=[message(one) for one in found])

    async def _list(self, context: Context) -> list[Enrolment]:
        return await self._enrolling.listed(Actor.person(caller(context)))

    async def ConfirmEnrolment(  # noqa: N802 - gRPC's name
        self, request: pb.ConfirmEnrolmentRequest, context: Context
    ) -> pb.ConfirmEnrolmentResponse:
        """Lets a newcomer in."""
        await answer(context, self._confirm(request, context))
        return pb.ConfirmEnrolmentResponse()

    async def _confirm(self, request: pb.ConfirmEnrolmentRequest, context: Context) -> None:
        actor = Actor.person(caller(context))
        await self._enrolling.confirm(actor, request.enrolment_id, request.fingerprint, request.chain)

    async def RefuseEnrolment(  # noqa: N802 - gRPC's name
        self, request: pb.RefuseEnrolmentRequest, context: Context
    ) -> pb.RefuseEnrolmentResponse:
        """Turns a newcomer away."""
        await answer(context, self._refuse(request, context))
        return pb.RefuseEnrolmentResponse()

    async def _refuse(self, request: pb.RefuseEnrolmentRequest, context: Context) -> None:
        await self._enrolling.refuse(Actor.person(caller(context)), request.enrolment_id)

    async def RevokeParty(  # noqa: N802 - gRPC's name
        self, request: pb.RevokePartyRequest, context: Context
    ) -> pb.RevokePartyResponse:
        """Ends a party of the caller's organisation."""
        await answer(context, self._revoke(request, context))
        return pb.RevokePartyResponse()

    async def _revoke(self, request: pb.RevokePartyRequest, context: Context) -> None:
        actor = Actor.person(caller(context))
        try:
            party = Identity.parse(request.party)
        except TlsError as error:
            raise InvalidRequestError([Violation("party", str(error))]) from error
        await self._enrolling.revoke(actor, party, request.fingerprint, request.reason)
