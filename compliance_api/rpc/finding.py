"""FindingService: people see findings, and say what they have to say."""

from __future__ import annotations

from datetime import UTC, datetime

from compliance_api.domain.findings.casework import State, Step
from compliance_api.domain.findings.finding import FindingKind
from compliance_api.errors import ComplianceError, InvalidRequestError, Violation
from compliance_api.rpc.errors import Context, answer
from compliance_api.usecases.findings.casework import Detail, FindingCase
from compliance_api.usecases.findings.desk import Answered, Desk
from lachan.channel import caller
from lachan.compliance.v1 import finding_service_pb2 as pb
from lachan.compliance.v1.finding_service_pb2_grpc import FindingServiceServicer

ID_BYTES = 16


def _seconds(at: datetime | None) -> int:
    return int(at.timestamp()) if at is not None else 0


def _moment(seconds: int) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def _step(one: Step) -> pb.FindingStep:
    return pb.FindingStep(
        position=one.position,
        state=one.state.value,
        at=_seconds(one.at),
        unit=one.unit,
        person=one.person,
        note=one.note,
        order_number=one.order_number,
        order_authority=one.order_authority,
        next_unit=one.next_unit or "",
        due_at=_seconds(one.due_at),
        statement=one.statement,
        signature=one.signature,
        key=one.key,
        paper=one.paper,
    )


def message(case: FindingCase, *, steps: bool) -> pb.Finding:
    """A finding as it goes over the wire, with its steps where they are asked for."""
    return pb.Finding(
        finding_id=bytes.fromhex(case.identifier),
        operator=case.operator,
        jurisdiction=case.jurisdiction,
        kind=case.kind.value,
        node=case.node,
        since=_seconds(case.since),
        opened_at=_seconds(case.opened_at),
        ceased_at=_seconds(case.ceased_at),
        law=case.law,
        counts=[pb.FindingCount(name=name, value=value) for name, value in case.counts.items()],
        state=case.state.value,
        turn=case.turn or "",
        due_at=_seconds(case.due_at),
        steps=[_step(one) for one in case.steps] if steps else (),
    )


def _step_of(one: pb.FindingStep) -> Step:
    return Step(
        one.position,
        State(one.state),
        datetime.fromtimestamp(one.at, UTC),
        one.unit,
        one.person,
        one.note,
        one.order_number,
        one.order_authority,
        one.next_unit or None,
        _moment(one.due_at),
        one.statement,
        one.signature,
        one.key,
        one.paper,
    )


def case_of(one: pb.Finding) -> FindingCase:
    """A finding as it came over the wire; of one without its steps the last is made up, since it says whose turn it is.

    Raises:
        ComplianceError: The service is newer, and says what is not known here.
    """
    try:
        steps = tuple(_step_of(step) for step in one.steps)
        opened = datetime.fromtimestamp(one.opened_at, UTC)
        standing = Step(0, State(one.state), opened, "", "", next_unit=one.turn or None, due_at=_moment(one.due_at))
        return FindingCase(
            one.finding_id.hex(),
            one.operator,
            one.jurisdiction,
            FindingKind(one.kind),
            one.node,
            datetime.fromtimestamp(one.since, UTC),
            opened,
            _moment(one.ceased_at),
            {count.name: count.value for count in one.counts},
            one.law,
            steps or (standing,),
        )
    except ValueError as error:
        raise ComplianceError(f"the service says what is not known here: {error}") from error


def _detail(found: Detail) -> pb.GetFindingResponse:
    return pb.GetFindingResponse(
        finding=message(found.case, steps=True),
        head=bytes.fromhex(found.head),
        citation_vi=found.citation.vi,
        citation_en=found.citation.en,
        evidence=[pb.FindingEvidence(**vars(one)) for one in found.cited],
        seen=[pb.FindingSeen(**vars(one)) for one in found.seen],
    )


class FindingService(FindingServiceServicer):
    """The gRPC face of `compliance_api.usecases.findings.desk`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def ListFindings(  # noqa: N802 - gRPC's name
        self, request: pb.ListFindingsRequest, context: Context
    ) -> pb.ListFindingsResponse:
        """The findings that the caller may see."""
        del request
        found = await answer(context, self._desk.listed(caller(context)))
        return pb.ListFindingsResponse(findings=[message(one, steps=False) for one in found])

    async def GetFinding(  # noqa: N802 - gRPC's name
        self, request: pb.GetFindingRequest, context: Context
    ) -> pb.GetFindingResponse:
        """One of them."""
        return _detail(await answer(context, self._shown(request, context)))

    async def _shown(self, request: pb.GetFindingRequest, context: Context) -> Detail:
        if len(request.finding_id) != ID_BYTES:
            raise InvalidRequestError([Violation("finding_id", f"{ID_BYTES} bytes")])
        return await self._desk.shown(caller(context), request.finding_id.hex())

    async def AnswerFinding(  # noqa: N802 - gRPC's name
        self, request: pb.AnswerFindingRequest, context: Context
    ) -> pb.AnswerFindingResponse:
        """The operator's own answer."""
        taken = await self._take(request.signed, context, answering=True)
        return pb.AnswerFindingResponse(receipt=_receipt(taken), finding=message(taken.taken.case, steps=True))

    async def TakeStep(  # noqa: N802 - gRPC's name
        self, request: pb.TakeStepRequest, context: Context
    ) -> pb.TakeStepResponse:
        """Any other step."""
        taken = await self._take(request.signed, context, answering=False)
        return pb.TakeStepResponse(receipt=_receipt(taken), finding=message(taken.taken.case, steps=True))

    async def _take(self, signed: pb.SignedStatement, context: Context, *, answering: bool) -> Answered:
        taking = self._desk.take(caller(context), signed.statement, signed.signature, answering=answering)
        return await answer(context, taking)


def _receipt(taken: Answered) -> pb.SignedStepReceipt:
    return pb.SignedStepReceipt(receipt=taken.receipt, signature=taken.signature)
