"""MembershipService: which nodes are let in and whose certificates count no longer, for the authority's other services.

Holds always: only a service of an authority is answered; an answer is the membership at one moment, and says of who is
in no more than the names of nodes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from math import ceil

# It carries no types, and no stubs for it are locked.
from google.rpc import code_pb2  # type: ignore[import-untyped]

from compliance_api.domain.parties.credential import Membership
from compliance_api.domain.parties.organisation import OrganisationKind
from compliance_api.rpc.errors import Context, end
from compliance_api.usecases.membership.membership import Directory
from lachan.channel import caller
from lachan.compliance.v1 import membership_service_pb2 as pb
from lachan.compliance.v1.membership_service_pb2_grpc import MembershipServiceServicer
from lachan.status import Refusal
from lachan.tls import Identity, Role

PART = 1000


def ended(membership: Membership) -> dict[Identity, int]:
    """Until when the certificates of each party begin that count no longer (seconds since 1970); 0 for all of them."""
    found = dict.fromkeys(membership.revoked, 0)
    for party, moment in membership.revoked_at.items():
        # Whoever was let in again by an enrolment is told apart by the certificates alone, as at this service.
        if party not in found and party not in membership.issued:
            found[party] = ceil(moment.timestamp())
    return found


def let_in(membership: Membership) -> list[str]:
    """The nodes that are, in order of their names."""
    nodes = (
        Identity(owner.identifier, Role.NODE, node.name)
        for owner in membership.registry.organisations
        for node in owner.nodes
    )
    return sorted(str(who) for who in nodes if who not in membership.revoked)


def parts(membership: Membership) -> list[pb.ListRevocationsResponse]:
    """The answer, in order of names and digests."""
    parties = [pb.EndedParty(party=str(who), until=until) for who, until in sorted(ended(membership).items(), key=str)]
    digests, nodes = sorted(membership.revoked_certificates), let_in(membership)
    return [
        pb.ListRevocationsResponse(
            revision=membership.revision,
            parties=parties[at : at + PART],
            certificates=digests[at : at + PART],
            nodes=nodes[at : at + PART],
            tells_nodes=True,
        )
        for at in range(0, max(1, len(parties), len(digests), len(nodes)), PART)
    ]


class MembershipService(MembershipServiceServicer):
    """Serves what the guard before it has just read."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def ListRevocations(  # noqa: N802 - gRPC's name
        self, request: pb.ListRevocationsRequest, context: Context
    ) -> AsyncIterator[pb.ListRevocationsResponse]:
        """All of them."""
        del request
        who, membership = caller(context), self._directory.last
        owner = membership.registry.organisation(who.organisation)
        if who.role is not Role.SERVICE or owner is None or owner.kind is not OrganisationKind.AUTHORITY:
            await end(context, Refusal(code_pb2.PERMISSION_DENIED, "for the services of an authority alone"))
        for part in parts(membership):
            yield part
