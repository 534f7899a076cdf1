"""`lachan-compliance finding list | show`: what was found, and where it stands.

Where the service runs, all findings (`--config`); a person over gRPC, those that they may see (`--service`, `--as`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from compliance_api.domain.findings.casework import Step
from compliance_api.errors import ComplianceError
from compliance_api.usecases.findings.casework import FindingCase
from compliance_api.verbs.calling import Person, Service, call
from compliance_api.verbs.database import Json, on_database
from lachan import terminal

app = typer.Typer(no_args_is_help=True, help="Findings: what was found, and what is done about it.")

Local = Annotated[Path | None, typer.Option("--config", help="compliance.yaml, where the service runs.")]
Finding = Annotated[str, typer.Argument(help="The finding's id, as `finding list` prints it.")]


def number(finding: str) -> bytes:
    """A finding's id.

    Raises:
        ComplianceError: It is none.
    """
    try:
        return bytes.fromhex(finding)
    except ValueError as error:
        raise ComplianceError(f"{finding!r} is no finding's id") from error


def ask(service: str, person: Path, method: str, request: Any) -> Any:
    """One call of FindingService."""
    from lachan.compliance.v1.finding_service_pb2_grpc import FindingServiceStub

    return call(service, person, FindingServiceStub, method, request)


def get(service: str, person: Path, finding: str) -> Any:
    """One finding, as the service shows it to this person."""
    from lachan.compliance.v1 import finding_service_pb2 as pb

    return ask(service, person, "GetFinding", pb.GetFindingRequest(finding_id=number(finding)))


def listed(service: str, person: Path) -> list[FindingCase]:
    """The findings that this person may see."""
    from compliance_api.rpc.finding import case_of
    from lachan.compliance.v1 import finding_service_pb2 as pb

    return [case_of(one) for one in ask(service, person, "ListFindings", pb.ListFindingsRequest()).findings]


def _listed(
    config_file: Path | None, service: str | None, person: Path | None, operator: str | None
) -> list[FindingCase]:
    if config_file is not None:
        from compliance_api.storage.findings.casework import Casework

        wanted = [operator] if operator else None
        return on_database(config_file, "finding", lambda engine: Casework(engine).cases(wanted))
    if service is None or person is None:
        raise ComplianceError("either --config, or --service and --as")
    return [one for one in listed(service, person) if operator in {None, one.operator}]


@app.command("list")
def list_findings(
    config_file: Local = None,
    service: Service = None,
    person: Person = None,
    operator: Annotated[str | None, typer.Option("--operator", help="Of this operator alone.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Those whose next step is late alone.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    json: Json = False,
) -> None:
    """List findings: where each stands, whose turn it is, and until when."""
    now = datetime.now(UTC)
    found = _listed(config_file, service, person, operator)
    shown = [one for one in found if (every or one.turn or not one.steps) and (not overdue or one.overdue(now))]
    if json:
        terminal.document({"findings": [one.document(now) for one in shown]})
        return
    rows = [
        (
            one.identifier,
            f"{one.operator}/{one.jurisdiction}",
            one.kind.value,
            one.state.value,
            one.turn or "",
            f"{one.due_at:%Y-%m-%d %H:%M}{' late' if one.overdue(now) else ''}" if one.due_at else "",
        )
        for one in shown
    ]
    terminal.table("Findings", ("finding", "operator", "kind", "state", "turn", "due (UTC)"), rows)


def _said(step: Step) -> str:
    """A step's note, with the order that it cites and whether the list's registry told of such a one."""
    if not step.order_number:
        return step.note
    told = "" if step.order_leaf is None else f", leaf {step.order_leaf}"
    return f"{step.note} [{step.order_number}, {step.order_authority}{told}]"


def display(case: FindingCase, *, json: bool) -> None:
    """One finding with every step that was taken."""
    if json:
        terminal.document(case.document(datetime.now(UTC)))
        return
    terminal.line(f"{case.identifier}  {case.operator}/{case.jurisdiction}  {case.kind}  {case.node}".rstrip())
    terminal.line(f"since {case.since:%Y-%m-%d %H:%M:%S} UTC, by the law {case.law}")
    rows = [
        (
            f"{one.at:%Y-%m-%d %H:%M:%S}",
            f"{one.state.value} (on paper)" if one.paper else one.state.value,
            one.unit,
            one.person,
            _said(one),
        )
        for one in case.steps
    ]
    terminal.table("Steps", ("at (UTC)", "state", "unit", "person", "note"), rows)
    if case.turn and case.due_at:
        terminal.line(f"next: {case.turn}, by {case.due_at:%Y-%m-%d %H:%M} UTC")


@app.command()
def show(
    finding: Finding,
    config_file: Local = None,
    service: Service = None,
    person: Person = None,
    json: Json = False,
) -> None:
    """Show one finding with every step that was taken; over gRPC also what it rests on."""
    if config_file is not None:
        from compliance_api.storage.findings.casework import Casework

        case = on_database(config_file, "finding", lambda engine: Casework(engine).case(finding))
        if case is None:
            raise ComplianceError(f"there is no finding {finding}")
        display(case, json=json)
        return
    if service is None or person is None:
        raise ComplianceError("either --config, or --service and --as")
    from compliance_api.rpc.finding import case_of

    told = get(service, person, finding)
    display(case_of(told.finding), json=json)
    if not json:
        terminal.line(f"{told.citation_en} / {told.citation_vi}")
        rows = [(one.vantage_point, one.node, one.arm, one.result, str(one.observations)) for one in told.seen]
        terminal.table("Seen", ("vantage point", "node", "arm", "result", "observations"), rows)
