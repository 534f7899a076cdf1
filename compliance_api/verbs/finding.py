"""`lachan-compliance finding`: what is done about findings, one step at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from compliance_api.domain.casework import Action, Deed
from compliance_api.errors import ComplianceError
from compliance_api.usecases.casework import FindingCase
from compliance_api.verbs.database import Config, Json, on_database
from lachan import terminal

app = typer.Typer(no_args_is_help=True, help="Findings: what was found, and what is done about it.")

Finding = Annotated[str, typer.Argument(help="The finding's id, as `finding list` prints it.")]
By = Annotated[str, typer.Option("--by", help="The person who takes the step.")]
Unit = Annotated[str, typer.Option("--unit", help="The unit that the law names for the step.")]
Note = Annotated[str, typer.Option("--note", help="What is said about it; decisions need a reason.")]


@app.command("list")
def list_findings(
    config_file: Config,
    operator: Annotated[str | None, typer.Option("--operator", help="Of this operator alone.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Those whose next step is late alone.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    json: Json = False,
) -> None:
    """List findings: where each stands, whose turn it is, and until when."""
    from compliance_api.storage.casework import Casework

    now = datetime.now(UTC)
    found = on_database(config_file, "finding", lambda engine: Casework(engine).cases([operator] if operator else None))
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


def _show(case: FindingCase, *, json: bool) -> None:
    if json:
        terminal.document(case.document(datetime.now(UTC)))
        return
    terminal.line(f"{case.identifier}  {case.operator}/{case.jurisdiction}  {case.kind}  {case.node}".rstrip())
    terminal.line(f"since {case.since:%Y-%m-%d %H:%M:%S} UTC, by the law {case.law}")
    rows = [
        (f"{one.at:%Y-%m-%d %H:%M:%S}", one.state.value, one.unit, one.person,
         f"{one.note} [{one.order_number}, {one.order_authority}]" if one.order_number else one.note)
        for one in case.steps
    ]  # fmt: skip
    terminal.table("Steps", ("at (UTC)", "state", "unit", "person", "note"), rows)
    if case.turn and case.due_at:
        terminal.line(f"next: {case.turn}, by {case.due_at:%Y-%m-%d %H:%M} UTC")


@app.command()
def show(config_file: Config, finding: Finding, json: Json = False) -> None:
    """Show one finding with every step that was taken."""
    from compliance_api.storage.casework import Casework

    case = on_database(config_file, "finding", lambda engine: Casework(engine).case(finding))
    if case is None:
        raise ComplianceError(f"there is no finding {finding}")
    _show(case, json=json)


def _take(config_file: Path, finding: str, deed: Deed, *, json: bool) -> None:
    from compliance_api.storage.casework import Casework

    now = datetime.now(UTC)
    _show(on_database(config_file, "finding", lambda engine: Casework(engine).take(finding, deed, now)), json=json)


@app.command()
def confirm(config_file: Config, finding: Finding, unit: Unit, by: By, note: Note = "", json: Json = False) -> None:
    """Confirm that the evidence holds."""
    _take(config_file, finding, Deed(Action.CONFIRM, unit, by, note), json=json)


@app.command()
def notify(config_file: Config, finding: Finding, unit: Unit, by: By, note: Note = "", json: Json = False) -> None:
    """Say that the operator was told; from now on it may answer."""
    _take(config_file, finding, Deed(Action.NOTIFY, unit, by, note), json=json)


@app.command()
def answer(
    config_file: Config,
    finding: Finding,
    by: By,
    unit: Annotated[str, typer.Option("--unit", help="The operator that answers.")],
    note: Note = "",
    order: Annotated[str, typer.Option("--order", help="Number of another order that the operator acted on.")] = "",
    authority: Annotated[str, typer.Option("--authority", help="Whose order that is.")] = "",
    json: Json = False,
) -> None:
    """Enter the operator's answer; it may cite another order."""
    _take(config_file, finding, Deed(Action.ANSWER, unit, by, note, order, authority), json=json)


@app.command()
def remedy(config_file: Config, finding: Finding, unit: Unit, by: By, note: Note, json: Json = False) -> None:
    """Say that it is remedied; refused while it is still found."""
    _take(config_file, finding, Deed(Action.REMEDY, unit, by, note), json=json)


@app.command()
def uphold(config_file: Config, finding: Finding, unit: Unit, by: By, note: Note, json: Json = False) -> None:
    """Uphold it after the answer, or after the time for one is over; never by who confirmed it."""
    _take(config_file, finding, Deed(Action.UPHOLD, unit, by, note), json=json)


@app.command()
def withdraw(config_file: Config, finding: Finding, unit: Unit, by: By, note: Note, json: Json = False) -> None:
    """Withdraw it: the evidence does not hold, or another order explains it."""
    _take(config_file, finding, Deed(Action.WITHDRAW, unit, by, note), json=json)


@app.command()
def close(config_file: Config, finding: Finding, unit: Unit, by: By, note: Note, json: Json = False) -> None:
    """Close it."""
    _take(config_file, finding, Deed(Action.CLOSE, unit, by, note), json=json)
