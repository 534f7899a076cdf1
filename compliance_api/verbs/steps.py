"""The steps of `lachan-compliance finding`: what a person states about a finding, signed with their own key.

Nothing here needs the database or the service's machine: the person's folder (`--as`) holds certificate and key, and
what was stated is kept in it with the service's receipt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from compliance_api.domain.findings.casework import Action
from compliance_api.errors import ComplianceError
from compliance_api.ledger import statement
from compliance_api.ledger.statement import Kept, Order, Statement
from compliance_api.verbs import calling
from compliance_api.verbs.database import Json
from compliance_api.verbs.finding import Finding, ask, display, get
from lachan import durable, terminal, tls
from lachan.signing import SigningKey, VerifyKey

Service = Annotated[str, typer.Option("--service", help="HOST:PORT of the service's gRPC.")]
Person = Annotated[Path, typer.Option("--as", help="Your folder, as `person enroll` made it.")]
Note = Annotated[str, typer.Option("--note", help="What is said about it; decisions need a reason.")]
KEPT = "statements"
RECEIPT_KEY = "receipt.pub.pem"


def _state(
    service: str,
    person: Path,
    finding: str,
    action: Action,
    note: str,
    *,
    order: Order | None = None,
    paper: bool = False,
    json: bool = False,
) -> None:
    """Signs a statement about a finding as it stands now, hands it in, and keeps it with its receipt."""
    from compliance_api.rpc.finding import case_of
    from lachan.compliance.v1 import finding_service_pb2 as pb

    key = SigningKey.load(person / calling.SIGNING_KEY)
    shown = get(service, person, finding)
    made = Statement(
        finding=finding.lower(),
        position=max((one.position for one in shown.finding.steps), default=0) + 1,
        previous=shown.head.hex(),
        action=action.value,
        person=str(tls.load(calling.files(person)).identity),
        note=note,
        order=order,
        paper=paper,
    )
    data, signature = made.encode(), statement.sign(key, made)
    own = action is Action.ANSWER and not paper
    form = pb.AnswerFindingRequest if own else pb.TakeStepRequest
    request = form(signed=pb.SignedStatement(statement=data, signature=signature))
    taken = ask(service, person, "AnswerFinding" if own else "TakeStep", request)
    path = _keep(person, made, signature, key.public, taken.receipt)
    display(case_of(taken.finding), json=json)
    if not json:
        terminal.line(f"kept: {path}")


def _keep(person: Path, made: Statement, signature: bytes, key: VerifyKey, receipt: Any) -> Path:
    """Where the statement is kept, with the receipt that is held against it.

    Raises:
        StatementError: The receipt is not the service's, or for another statement.
    """
    kept = Kept(
        statement=made.encode().decode(),
        signature=signature.hex(),
        key=key.raw.hex(),
        receipt=receipt.receipt.decode(errors="replace"),
        receipt_signature=receipt.signature.hex(),
    )
    folder = person / KEPT
    durable.make_folder(folder)
    path = folder / f"{made.finding}-{made.position}.json"
    durable.write(path, [kept.encode()])
    # Kept first, whatever it is worth: it shows what came.
    if (person / RECEIPT_KEY).exists():
        theirs = VerifyKey.load(person / RECEIPT_KEY)
        statement.check_receipt(theirs, receipt.receipt, receipt.signature, made.encode())
    return path


def confirm(finding: Finding, service: Service, person: Person, note: Note = "", json: Json = False) -> None:
    """Confirm that the evidence holds."""
    _state(service, person, finding, Action.CONFIRM, note, json=json)


def notify(finding: Finding, service: Service, person: Person, note: Note = "", json: Json = False) -> None:
    """Say that the operator was told; from now on it may answer."""
    _state(service, person, finding, Action.NOTIFY, note, json=json)


def answer(
    finding: Finding,
    service: Service,
    person: Person,
    note: Note = "",
    order: Annotated[str, typer.Option("--order", help="Number of another order that the operator acted on.")] = "",
    authority: Annotated[str, typer.Option("--authority", help="Whose order that is.")] = "",
    paper: Annotated[
        bool, typer.Option("--paper", help="The operator answered on paper; you enter it for the authority.")
    ] = False,
    json: Json = False,
) -> None:
    """Answer for your operator, signed by you; it may cite another order."""
    if bool(order) != bool(authority):
        raise ComplianceError("an order is cited by its number and its authority: --order and --authority")
    cited = Order(number=order, authority=authority) if order else None
    _state(service, person, finding, Action.ANSWER, note, order=cited, paper=paper, json=json)


def remedy(finding: Finding, service: Service, person: Person, note: Note, json: Json = False) -> None:
    """Say that it is remedied; refused while it is still found."""
    _state(service, person, finding, Action.REMEDY, note, json=json)


def uphold(finding: Finding, service: Service, person: Person, note: Note, json: Json = False) -> None:
    """Uphold it after the operator's own answer, or after the time for one is over; never by who confirmed it."""
    _state(service, person, finding, Action.UPHOLD, note, json=json)


def withdraw(finding: Finding, service: Service, person: Person, note: Note, json: Json = False) -> None:
    """Withdraw it: the evidence does not hold, or another order explains it."""
    _state(service, person, finding, Action.WITHDRAW, note, json=json)


def close(finding: Finding, service: Service, person: Person, note: Note, json: Json = False) -> None:
    """Close it."""
    _state(service, person, finding, Action.CLOSE, note, json=json)


def add_to(app: typer.Typer) -> None:
    """Adds a verb for each step."""
    for verb in (confirm, notify, answer, remedy, uphold, withdraw, close):
        app.command()(verb)
