"""What becomes of a finding: open, confirmed, notified, answered by the operator, remedied or upheld, closed.

Holds always: a finding takes one step at a time, in the order of the law; each is taken by the one unit that the law
names, has a deadline that was set when the step before it was taken, and is kept: nothing is undone, moved or dated
back. Nobody upholds what the same person confirmed; nobody is judged unheard before the deadline for the answer is
over; what is still found is not remedied.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from compliance_api.domain.procedure import OPERATOR, Procedure, Stage
from lachan.errors import LachanError

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


class StepError(LachanError):
    """A step that may not be taken now, by this unit or this person."""


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

    def document(self) -> dict[str, Any]:
        """As it is entered into the ledger and shown to machines."""
        return {
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

    def overdue(self, now: datetime) -> bool:
        """Whether the next step should have been taken."""
        return self.due_at is not None and now > self.due_at


@dataclass(frozen=True)
class Deed:
    """What somebody wants to do, and says about it."""

    action: Action
    unit: str
    person: str
    note: str = ""
    order_number: str = ""
    order_authority: str = ""


@dataclass(frozen=True)
class Matter:
    """A finding as far as its steps go."""

    operator: str
    procedure: Procedure
    steps: Sequence[Step]
    # Whether the last evaluation found it.
    still_found: bool

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


def _responsible(matter: Matter, action: Action) -> str:
    """The unit whose step this is."""
    stage = _STAGES[matter.state]
    if matter.state is State.NOTIFIED and action is Action.UPHOLD:
        stage = "decide"
    if matter.state is State.UPHELD and action is Action.REMEDY:
        stage = "decide"
    return _unit(getattr(matter.procedure, stage), matter.operator)


def _check_words(deed: Deed) -> None:
    """Raises StepError where something is said that must not be, or not said that must."""
    for name, most in (
        ("unit", MAX_NAME),
        ("person", MAX_NAME),
        ("note", MAX_NOTE),
        ("order_number", MAX_NAME),
        ("order_authority", MAX_NAME),
    ):
        value: str = getattr(deed, name)
        if len(value) > most or any(ord(one) < 32 and one != "\n" for one in value):
            raise StepError(f"{name}: at most {most} characters, none of them a control character")
    if not deed.person.strip():
        raise StepError("person: a step is taken by somebody")
    if deed.action in _REASONED and not deed.note.strip():
        raise StepError(f"note: {deed.action} needs a reason")
    if bool(deed.order_number) != bool(deed.order_authority):
        raise StepError("an order is cited by its number and its authority")
    if deed.order_number and deed.action is not Action.ANSWER:
        raise StepError("only an answer cites another order")


def _check(matter: Matter, deed: Deed, at: datetime) -> None:
    """Raises StepError where the step may not be taken."""
    if deed.action not in _ALLOWED[matter.state]:
        possible = ", ".join(_ALLOWED[matter.state]) or "nothing"
        raise StepError(f"the finding is {matter.state}: {possible} can be done, not {deed.action}")
    responsible = _responsible(matter, deed.action)
    if deed.unit != responsible:
        raise StepError(f"{deed.action} is for {responsible}, not for {deed.unit}")
    if matter.steps and at < matter.steps[-1].at:
        raise StepError("the step would lie before the one it follows")
    if deed.action is Action.REMEDY and matter.still_found:
        raise StepError("the last evaluation still found it: it is not remedied")
    if deed.action is not Action.UPHOLD:
        return
    if matter.state is State.NOTIFIED and not matter.steps[-1].overdue(at):
        raise StepError("the operator may still answer: the deadline for that is not over")
    if deed.person.strip() in {one.person for one in matter.steps if one.state is State.CONFIRMED}:
        raise StepError("whoever confirmed a finding does not uphold it")


def take(matter: Matter, deed: Deed, at: datetime) -> Step:
    """The step that a deed makes.

    Args:
        matter: The finding so far.
        deed: What is done, by whom.
        at: The present, of the service's own clock.

    Raises:
        StepError: It may not be done, and why.
    """
    _check_words(deed)
    _check(matter, deed, at)
    state = _ALLOWED[matter.state][deed.action]
    return Step(
        matter.steps[-1].position + 1 if matter.steps else 1,
        state,
        at,
        deed.unit,
        deed.person.strip(),
        deed.note.strip(),
        deed.order_number.strip(),
        deed.order_authority.strip(),
        *_turn(state, matter.procedure, matter.operator, at),
    )
