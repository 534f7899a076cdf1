"""What becomes of a finding: open, confirmed, notified, answered by the operator, remedied or upheld, closed.

Holds always: a finding takes one step at a time, in the order of the law; each is taken by the one unit that the law
names, has a deadline that was set when the step before it was taken, and is kept: nothing is undone, moved or dated
back. A step is signed by somebody who was enrolled, and people are told apart by their identities and keys. Only the
operator's own people answer for it; what the authority enters for it from paper is marked as that, takes nothing of
the operator's time, and gives way to its own answer. Nobody upholds what the same person confirmed; nobody is judged
unheard before the deadline for the answer is over; what is still found is not remedied.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from compliance_api.domain.findings.procedure import OPERATOR, Procedure, Stage
from compliance_api.errors import ComplianceError, NotPermittedError
from lachan.tls import Identity

MAX_NOTE = 4000
MAX_NAME = 200


class State(enum.StrEnum):
    """Where a finding stands."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    NOTIFIED = "notified"
    ANSWERED = "answered"
    REMEDIED = "remedied"
    UPHELD = "upheld"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"


class Action(enum.StrEnum):
    """What can be done with one."""

    CONFIRM = "confirm"
    NOTIFY = "notify"
    ANSWER = "answer"
    REMEDY = "remedy"
    UPHOLD = "uphold"
    WITHDRAW = "withdraw"
    CLOSE = "close"


_ALLOWED: Mapping[State, Mapping[Action, State]] = {
    State.OPEN: {Action.CONFIRM: State.CONFIRMED, Action.WITHDRAW: State.WITHDRAWN},
    State.CONFIRMED: {Action.NOTIFY: State.NOTIFIED, Action.WITHDRAW: State.WITHDRAWN},
    State.NOTIFIED: {Action.ANSWER: State.ANSWERED, Action.UPHOLD: State.UPHELD},
    State.ANSWERED: {
        # Only where what was entered came on paper.
        Action.ANSWER: State.ANSWERED,
        Action.REMEDY: State.REMEDIED,
        Action.UPHOLD: State.UPHELD,
        Action.WITHDRAW: State.WITHDRAWN,
    },
    State.UPHELD: {Action.REMEDY: State.REMEDIED, Action.CLOSE: State.CLOSED},
    State.REMEDIED: {Action.CLOSE: State.CLOSED},
    State.WITHDRAWN: {Action.CLOSE: State.CLOSED},
    State.CLOSED: {},
}
_STAGES: Mapping[State, str] = {
    State.OPEN: "confirm",
    State.CONFIRMED: "notify",
    State.NOTIFIED: "answer",
    State.ANSWERED: "decide",
    State.UPHELD: "close",
    State.REMEDIED: "close",
    State.WITHDRAWN: "close",
}
# Whoever decides without saying why has not decided.
_REASONED = frozenset({Action.UPHOLD, Action.WITHDRAW, Action.REMEDY, Action.CLOSE})


class StepError(ComplianceError):
    """A step that may not be taken now, by this unit or this person."""


class WrongUnitError(StepError, NotPermittedError):
    """A step that is another unit's."""


@dataclass(frozen=True)
class Step:
    """One step of a finding, as it is kept."""

    position: int
    state: State
    at: datetime
    unit: str
    person: str
    note: str = ""
    # Of an answer: the order that the operator acted on, and whose it is.
    order_number: str = ""
    order_authority: str = ""
    # Whose turn it is now, and until when; empty once closed.
    next_unit: str | None = None
    due_at: datetime | None = None
    # What the person signed, their signature and their raw key; empty of what the service does itself.
    statement: bytes = b""
    signature: bytes = b""
    key: bytes = b""
    # An answer of the operator's that came on paper: the authority's word, not the operator's.
    paper: bool = False
    # The ledger's leaf by which the list's registry had told of the cited order; None where it had told of none.
    order_leaf: int | None = None

    def document(self) -> dict[str, Any]:
        """As it is entered into the ledger and shown to machines."""
        told: dict[str, Any] = {
            "position": self.position,
            "state": self.state.value,
            "at": self.at.isoformat(),
            "unit": self.unit,
            "person": self.person,
            "note": self.note,
            "order": {"number": self.order_number, "authority": self.order_authority} if self.order_number else None,
            "next_unit": self.next_unit,
            "due_at": self.due_at.isoformat() if self.due_at is not None else None,
        }
        if self.signature:
            told["signed"] = {
                "statement": self.statement.decode(),
                "signature": self.signature.hex(),
                "key": self.key.hex(),
            }
        if self.paper:
            told["paper"] = True
        if self.order_number:
            told["order_leaf"] = self.order_leaf
        return told

    def overdue(self, now: datetime) -> bool:
        """Whether the next step should have been taken."""
        return self.due_at is not None and now > self.due_at


@dataclass(frozen=True)
class Author:
    """Somebody who was enrolled, as the membership has them."""

    person: Identity
    # The raw key that their statement was verified with.
    key: bytes
    units: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Deed:
    """What somebody wants to do, and says about it, as they signed it."""

    action: Action
    author: Author
    # The step that it is to make, and SHA-256 of what the ledger holds of the one before.
    position: int
    previous: str
    statement: bytes
    signature: bytes
    note: str = ""
    order_number: str = ""
    order_authority: str = ""
    paper: bool = False


@dataclass(frozen=True)
class Matter:
    """A finding as far as its steps go."""

    operator: str
    procedure: Procedure
    steps: Sequence[Step]
    # Whether the last evaluation found it.
    still_found: bool
    # SHA-256 of what the ledger holds of the last step.
    head: str

    @property
    def state(self) -> State:
        """Where it stands."""
        return self.steps[-1].state if self.steps else State.OPEN


def _unit(stage: Stage, operator: str) -> str:
    return operator if stage.unit == OPERATOR else stage.unit


def _turn(state: State, procedure: Procedure, operator: str, at: datetime) -> tuple[str | None, datetime | None]:
    """Whose turn it is after a step, and until when."""
    if state not in _STAGES:
        return None, None
    stage: Stage = getattr(procedure, _STAGES[state])
    return _unit(stage, operator), at + timedelta(seconds=stage.within)


def opening(procedure: Procedure, operator: str, at: datetime) -> Step:
    """The step with which a finding begins: the service's own."""
    return Step(0, State.OPEN, at, "judge", "", "", "", "", *_turn(State.OPEN, procedure, operator, at))


def _unit_of(matter: Matter, deed: Deed) -> str:
    """The unit that the step is taken for.

    Raises:
        WrongUnitError: The author does not act for the one whose step this is.
    """
    author = deed.author
    if deed.action is Action.ANSWER and not deed.paper:
        # Whatever the law calls the stage: nobody else answers for an operator.
        if author.person.organisation != matter.operator:
            raise WrongUnitError(f"answer is for {matter.operator}, not for {author.person}")
        return matter.operator
    stage = _STAGES[matter.state]
    if deed.action in {Action.UPHOLD, Action.REMEDY}:
        stage = "decide"
    if deed.paper:
        stage = "notify"
    unit = _unit(getattr(matter.procedure, stage), matter.operator)
    if unit not in author.units:
        raise WrongUnitError(f"{deed.action} is for {unit}, for which {author.person} does not act")
    return matter.operator if deed.paper else unit


def _check_words(deed: Deed) -> None:
    """Raises StepError where something is said that must not be, or not said that must."""
    for name, most in (
        ("note", MAX_NOTE),
        ("order_number", MAX_NAME),
        ("order_authority", MAX_NAME),
    ):
        value: str = getattr(deed, name)
        if len(value) > most or any(ord(one) < 32 and one != "\n" for one in value):
            raise StepError(f"{name}: at most {most} characters, none of them a control character")
    if deed.action in _REASONED and not deed.note.strip():
        raise StepError(f"note: {deed.action} needs a reason")
    if bool(deed.order_number) != bool(deed.order_authority):
        raise StepError("an order is cited by its number and its authority")
    if deed.order_number and deed.action is not Action.ANSWER:
        raise StepError("only an answer cites another order")
    if deed.paper and deed.action is not Action.ANSWER:
        raise StepError("only an answer comes on paper")


def _heard(matter: Matter, at: datetime) -> bool:
    """Whether the operator answered itself, or its time to do so is over."""
    if matter.state is State.ANSWERED and not matter.steps[-1].paper:
        return True
    told = [one for one in matter.steps if one.state is State.NOTIFIED]
    return bool(told) and told[-1].overdue(at)


def _check_order(matter: Matter, deed: Deed, at: datetime) -> None:
    """Raises StepError where it is not time for the step."""
    if not matter.steps:
        raise StepError("the finding was never opened")
    last = matter.steps[-1]
    if deed.action not in _ALLOWED[matter.state]:
        possible = ", ".join(_ALLOWED[matter.state]) or "nothing"
        raise StepError(f"the finding is {matter.state}: {possible} can be done, not {deed.action}")
    if deed.action is Action.ANSWER and matter.state is State.ANSWERED and (deed.paper or not last.paper):
        raise StepError("the finding is answered: only the operator itself may, once, where the answer came on paper")
    if (deed.position, deed.previous) != (last.position + 1, matter.head):
        raise StepError("the finding went on since this was signed: look at it again")
    if at < last.at:
        raise StepError("the step would lie before the one it follows")
    if deed.action is Action.REMEDY and matter.still_found:
        raise StepError("the last evaluation still found it: it is not remedied")
    if deed.action is Action.UPHOLD and not _heard(matter, at):
        raise StepError("the operator may still answer itself: the deadline for that is not over")


def _check_late(matter: Matter, deed: Deed, at: datetime) -> None:
    """Raises StepError where a unit lets its time go by and does not say why; an operator is heard late as well."""
    late = matter.steps[-1].overdue(at) and deed.action is not Action.ANSWER
    if late and not deed.note.strip():
        raise StepError(f"note: {deed.action} comes after its deadline, and needs a reason")


def _check_hands(matter: Matter, deed: Deed) -> None:
    """Raises StepError where it takes somebody else."""
    if deed.action is not Action.UPHOLD:
        return
    author = deed.author
    for one in matter.steps:
        if one.state is not State.CONFIRMED:
            continue
        if not one.signature:
            raise StepError("who confirmed it did not sign, so nobody can be told from them: withdraw it")
        if one.person == str(author.person) or one.key == author.key:
            raise StepError("whoever confirmed a finding does not uphold it")


def take(matter: Matter, deed: Deed, at: datetime) -> Step:
    """The step that a deed makes.

    Args:
        matter: The finding so far.
        deed: What is done, by whom, signed.
        at: The present, of the service's own clock.

    Raises:
        StepError: It may not be done, and why.
    """
    _check_words(deed)
    _check_order(matter, deed, at)
    _check_late(matter, deed, at)
    unit = _unit_of(matter, deed)
    _check_hands(matter, deed)
    state = _ALLOWED[matter.state][deed.action]
    return Step(
        deed.position,
        state,
        at,
        unit,
        str(deed.author.person),
        deed.note,
        deed.order_number,
        deed.order_authority,
        *_turn(state, matter.procedure, matter.operator, at),
        deed.statement,
        deed.signature,
        deed.author.key,
        deed.paper,
    )
