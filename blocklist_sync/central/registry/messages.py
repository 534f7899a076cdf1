"""What the registry holds, as its contract's messages, and back."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.log.approvals import Admission, Person, Witness
from blocklist_sync.central.log.proposals import Order, ProposalError
from blocklist_sync.central.registry.errors import InvalidRequestError
from blocklist_sync.central.registry.history import Event, Told
from blocklist_sync.central.registry.orders import Registered
from blocklist_sync.central.registry.record import Record
from blocklist_sync.central.registry.stages import Stage
from lachan.blocklist.v1 import registry_service_pb2 as pb

MAX_PAGE = 500
DEFAULT_PAGE = 100
MAX_DIGITS = 19
MAX_LOOKED_UP = 256


def order_of(message: pb.Order) -> Order:
    """The order that a message describes.

    Raises:
        InvalidRequestError: A field of it is wrong.
    """
    order = Order(
        message.number,
        message.date,
        message.issuer,
        message.legal_basis,
        message.urgency,
        message.jurisdiction,
        int(message.mandated),
        message.scan_sha256.hex(),
    )
    try:
        order.check()
    except ProposalError as error:
        raise InvalidRequestError([(error.field, error.reason)]) from error
    if not unicodedata.is_normalized("NFC", order.number):
        raise InvalidRequestError([("order.number", "not in Unicode's composed form (NFC): it looks like another")])
    return order


def order_message(order: Order) -> pb.Order:
    """An order."""
    return pb.Order(
        number=order.number,
        date=order.date,
        issuer=order.issuer,
        legal_basis=order.legal_basis,
        urgency=order.urgency,
        jurisdiction=order.jurisdiction,
        mandated=bool(order.mandated),
        scan_sha256=bytes.fromhex(order.scan_sha256),
    )


def registered_message(held: Registered) -> pb.RegisteredOrder:
    """An order as it was registered."""
    return pb.RegisteredOrder(order=order_message(held.order), added_by=held.added_by, added_at=held.added_at)


def stage_message(stage: Stage) -> pb.Stage:
    """A stage."""
    return pb.Stage(name=stage.name, unit=stage.unit, since=stage.since, due_at=stage.due_at, done_at=stage.done_at)


def record_message(held: Record) -> pb.Proposal:
    """A proposal, without what became of it outside the registry."""
    outcome = held.outcome
    decision = None
    if outcome is not None:
        decision = pb.Decision(
            outcome=outcome.outcome,
            decided_by=outcome.decided_by,
            reason=outcome.reason,
            decided_at=outcome.decided_at,
            log_index=outcome.log_index,
            effect_at=outcome.effect_at,
        )
    return pb.Proposal(
        id=held.proposal.id,
        header=held.header,
        signature=held.signature,
        added_at=held.added_at,
        state=held.state,
        approvals_needed=held.approvers_needed,
        approvals=[
            pb.Approval(approver=one.approver, decided_at=one.decided_at, signature=bytes.fromhex(one.signature))
            for one in held.approvals
        ],
        decision=decision,
    )


def told_message(told: Told) -> pb.Proposal:
    """A proposal with what rails found in it, its release and its stages."""
    message = record_message(told.record)
    message.findings.extend(
        pb.RailFinding(rail=one.rail, severity=one.severity.value, why=one.why, count=one.count, names=one.names)
        for one in told.record.findings
    )
    message.serial = told.serial
    message.published_at = told.published_at
    message.stages.extend(stage_message(stage) for stage in told.stages)
    return message


def event_message(event: Event) -> pb.NameEvent:
    """One change of one entry."""
    return pb.NameEvent(
        name=event.name,
        added=event.added,
        scope="subtree" if event.kind.scope is Scope.SUBTREE else "exact",
        exception=event.kind.exception,
        category=int(event.kind.category),
        order_number=event.kind.order.text,
        mandated=event.kind.order.mandated,
        proposal=told_message(event.told),
        order=registered_message(event.order),
    )


def person_message(person: Person) -> pb.Person:
    """Somebody who takes part."""
    return pb.Person(id=person.id, name=person.name, unit=person.unit, roles=person.roles, public_key=person.key)


def admission_of(request: pb.AdmitPersonRequest, witness: str) -> tuple[Admission, Witness]:
    """What a request to admit says.

    Raises:
        InvalidRequestError: A field of it is wrong.
    """
    told = request.person
    try:
        person = Person(told.id, told.name, told.unit, tuple(told.roles), told.public_key.hex())
    except ProposalError as error:
        raise InvalidRequestError([(f"person.{error.field}", error.reason)]) from error
    signed = Witness(witness, request.witness_key.hex(), request.signature.hex())
    return Admission(request.change, person, request.decided_at), signed


def page_size(asked: int) -> int:
    """How many of a page.

    Raises:
        InvalidRequestError: More than there may be.
    """
    if asked > MAX_PAGE:
        raise InvalidRequestError([("page_size", f"at most {MAX_PAGE}")])
    return asked or DEFAULT_PAGE


def plain(text: str, field: str) -> str:
    """A text to look something up by: short, and nothing that the database would refuse.

    Raises:
        InvalidRequestError: It is not.
    """
    if len(text) > MAX_LOOKED_UP or "\0" in text:
        raise InvalidRequestError([(field, f"at most {MAX_LOOKED_UP} characters, and no NUL")])
    return text


def token_numbers(token: str, count: int) -> Sequence[int] | None:
    """The numbers in a page token; None on the first page.

    Raises:
        InvalidRequestError: It is none of ours.
    """
    if not token:
        return None
    parts = token.split(":")
    if len(parts) != count or not all(part.isascii() and part.isdigit() and len(part) < MAX_DIGITS for part in parts):
        raise InvalidRequestError([("page_token", "not of a page before")])
    return [int(part) for part in parts]
