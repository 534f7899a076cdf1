"""ProbeService: gives probes their work and takes what they saw."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from compliance_api.domain.drawing.sampling import SENSITIVE_CATEGORIES
from compliance_api.domain.observations.observation import Arm
from compliance_api.domain.parties.organisation import Endpoint, Transport
from compliance_api.metrics import Metrics
from compliance_api.rpc.errors import Context, answer
from compliance_api.usecases.probing.assignment import Assigner, Work
from compliance_api.usecases.probing.linecheck import LineChecks
from compliance_api.usecases.probing.observe import Observe
from compliance_api.usecases.probing.stamp import Stamper
from lachan.channel import caller
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.compliance.v1 import report_pb2
from lachan.compliance.v1.probe_service_pb2_grpc import ProbeServiceServicer
from lachan.errors import LachanError

_TRANSPORTS = {
    Transport.UDP: report_pb2.TRANSPORT_UDP,
    Transport.TCP: report_pb2.TRANSPORT_TCP,
    Transport.DOT: report_pb2.TRANSPORT_DOT,
    Transport.DOH: report_pb2.TRANSPORT_DOH,
    Transport.DOQ: report_pb2.TRANSPORT_DOQ,
}
_ARMS = {
    Arm.LISTED: pb.ARM_LISTED,
    Arm.CONTROL: pb.ARM_CONTROL,
    Arm.NEIGHBOUR: pb.ARM_NEIGHBOUR,
    # A probe is not told what it need not know.
    Arm.RELEASED: pb.ARM_LISTED,
    Arm.CHALLENGE: pb.ARM_LISTED,
    Arm.WHOAMI: pb.ARM_WHOAMI,
    Arm.EGRESS: pb.ARM_EGRESS,
}


def _endpoint(endpoint: Endpoint) -> pb.Endpoint:
    return pb.Endpoint(
        address=endpoint.address,
        port=endpoint.port,
        transport=_TRANSPORTS[endpoint.transport],
        server_name=endpoint.server_name,
        path=endpoint.path,
    )


def message(work: Work) -> pb.Assignment:
    """An assignment as it travels."""
    return pb.Assignment(
        assignment_id=work.assignment.assignment_id,
        organisation=work.assignment.operator,
        resolver=_endpoint(work.endpoint),
        reference=_endpoint(work.reference),
        second_reference=_endpoint(work.second_reference),
        questions=[
            pb.Question(
                index=index,
                qname=one.qname,
                qtype=one.qtype,
                arm=_ARMS[one.arm],
                dnssec_ok=one.dnssec_ok,
                any_line=one.category not in SENSITIVE_CATEGORIES,
            )
            for index, one in enumerate(work.questions)
        ],
        spread_seconds=max(1, int(work.spread)),
        expires_at=int(work.assignment.expires_at.timestamp()),
    )


class ProbeService(ProbeServiceServicer):
    """The gRPC face of `compliance_api.usecases.probing.assignment` and `observe`."""

    def __init__(
        self,
        assigner: Assigner,
        observe: Observe,
        stamper: Stamper,
        metrics: Metrics,
        clock: Callable[[], datetime],
        lines: LineChecks,
    ) -> None:
        self._lines = lines
        self._assigner = assigner
        self._observe = observe
        self._stamper = stamper
        self._metrics = metrics
        self._clock = clock

    async def TakeAssignment(  # noqa: N802 - gRPC's name
        self, request: pb.TakeAssignmentRequest, context: Context
    ) -> pb.TakeAssignmentResponse:
        """The next assignment for this probe, if there is one."""
        del request
        return await answer(context, self._take(context))

    async def _take(self, context: Context) -> pb.TakeAssignmentResponse:
        work = await self._assigner.take(caller(context), self._clock())
        (stamp,) = self._stamper.take([])
        if work is None:
            return pb.TakeAssignmentResponse(stamp=stamp)
        self._metrics.assignments.inc()
        return pb.TakeAssignmentResponse(assignment=message(work), stamp=stamp)

    async def TakeStamps(  # noqa: N802 - gRPC's name
        self, request: pb.TakeStampsRequest, context: Context
    ) -> pb.TakeStampsResponse:
        """The time, signed."""
        return await answer(context, self._stamps(request, context))

    async def _stamps(self, request: pb.TakeStampsRequest, context: Context) -> pb.TakeStampsResponse:
        self._observe.probe(caller(context))
        return pb.TakeStampsResponse(stamps=self._stamper.take(request.commitments))

    async def SubmitLineCheck(  # noqa: N802 - gRPC's name
        self, request: pb.SubmitLineCheckRequest, context: Context
    ) -> pb.SubmitLineCheckResponse:
        """Stores what a line was found to let through."""
        return await answer(context, self._check(request, context))

    async def _check(self, request: pb.SubmitLineCheckRequest, context: Context) -> pb.SubmitLineCheckResponse:
        await self._lines.submit(caller(context), request.check)
        return pb.SubmitLineCheckResponse()

    async def SubmitObservations(  # noqa: N802 - gRPC's name
        self, request: pb.SubmitObservationsRequest, context: Context
    ) -> pb.SubmitObservationsResponse:
        """Stores observations."""
        return await answer(context, self._submit(request, context))

    async def _submit(self, request: pb.SubmitObservationsRequest, context: Context) -> pb.SubmitObservationsResponse:
        try:
            new = await self._observe.submit(caller(context), request.observations)
        except LachanError:
            self._metrics.observations.labels("refused").inc(len(request.observations))
            raise
        for one in new:
            self._metrics.observations.labels(one.seen.result).inc()
        return pb.SubmitObservationsResponse(stored=len(request.observations))
