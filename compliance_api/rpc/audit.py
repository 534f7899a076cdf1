"""AuditService: holds the ledger to its word."""

from __future__ import annotations

from compliance_api.rpc.errors import Context, answer
from compliance_api.usecases.ledger.audit import Audit, Shown
from lachan.channel import caller
from lachan.compliance.v1 import audit_service_pb2 as pb
from lachan.compliance.v1.audit_service_pb2_grpc import AuditServiceServicer


def _message(one: Shown) -> pb.ProvenLeaf:
    entry = one.entry
    leaf = pb.ProvenLeaf(index=entry.index, commitment=entry.commitment, proof=entry.proof)
    if one.opened and entry.salt is not None:
        leaf.opening.CopyFrom(pb.LeafOpening(salt=entry.salt, kind=entry.kind, entered_at=entry.entered_at))
    return leaf


class AuditService(AuditServiceServicer):
    """The gRPC face of `compliance_api.usecases.ledger.audit`."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    async def GetCheckpoint(  # noqa: N802 - gRPC's name
        self, request: pb.GetCheckpointRequest, context: Context
    ) -> pb.GetCheckpointResponse:
        """The last head that enough witnesses cosigned."""
        del request
        return pb.GetCheckpointResponse(checkpoint=await answer(context, self._audit.checkpoint()))

    async def ProveInclusion(  # noqa: N802 - gRPC's name
        self, request: pb.ProveInclusionRequest, context: Context
    ) -> pb.ProveInclusionResponse:
        """That leaves stand in the tree of a size."""
        asked = self._audit.inclusion(caller(context), request.indexes, request.size)
        return pb.ProveInclusionResponse(leaves=map(_message, await answer(context, asked)))

    async def ProveConsistency(  # noqa: N802 - gRPC's name
        self, request: pb.ProveConsistencyRequest, context: Context
    ) -> pb.ProveConsistencyResponse:
        """That one tree begins with another."""
        asked = self._audit.consistency(request.old_size, request.new_size)
        return pb.ProveConsistencyResponse(proof=await answer(context, asked))
