"""Whether the steps of a finding in a pack are those that people signed, each after the one before.

Holds always: a step is what its author's statement says, by the key that the ledger was told of for them; an answer is
the operator's own, or marked as entered by the authority; what the operator kept with the service's receipt is there.
Whose keys the ledger was told of is the ledger's word: where the authority let in a person of the operator's itself,
only a list of people from outside shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from compliance_api.ledger import document, statement
from compliance_api.ledger.outside import Outside
from compliance_api.ledger.statement import Statement, StatementError
from lachan.ledger.leaf import Kind

TOLERANCE_S = 300
"""By which the service's clock and the ledger's may differ."""
_STATES = {
    "confirm": "confirmed",
    "notify": "notified",
    "answer": "answered",
    "remedy": "remedied",
    "uphold": "upheld",
    "withdraw": "withdrawn",
    "close": "closed",
}
DROPPED, FORGED, UNKNOWN_KEY, IRREGULAR = "dropped", "forged", "unknown_key", "irregular"


@dataclass(frozen=True)
class Fault:
    """What is wrong with a step: the flaw, the leaf, and why."""

    flaw: str
    leaf: int
    detail: str


@dataclass(frozen=True)
class _Known:
    """What the ledger was told of somebody, at a leaf."""

    leaf: int
    # Empty from a revocation on.
    key: bytes
    by: str
    # None where it was told of none.
    units: tuple[str, ...] | None = None


@dataclass(frozen=True)
class _Leaf:
    index: int
    entered_at: int
    content: bytes
    step: dict[str, Any]

    @property
    def position(self) -> int:
        found = self.step.get("position")
        return found if isinstance(found, int) else -1

    def text(self, name: str) -> str:
        return str(self.step.get(name) or "")


@dataclass
class Steps:
    """The steps of one finding, as the opened leaves tell them."""

    finding: str
    operator: str
    # Whether the opening has to be there; in an operator's form it is withheld.
    whole: bool
    outside: Outside
    # What is told of each answer.
    answers: list[str] = field(default_factory=list)
    _leaves: list[_Leaf] = field(default_factory=list)
    _known: dict[str, list[_Known]] = field(default_factory=dict)

    def learn(self, index: int, kind: Kind, entered_at: int, content: bytes) -> None:
        """Takes in a leaf, in the order of the ledger; those that tell of no step and of nobody are passed over."""
        if kind not in {Kind.FINDING, Kind.ENROLMENT, Kind.REVOCATION}:
            return
        told = document.read(content)
        if kind is Kind.FINDING:
            step = told.get("step")
            if isinstance(step, dict) and told.get("finding") == self.finding:
                self._leaves.append(_Leaf(index, entered_at, content, step))
            return
        party, by = str(told.get("party")), str(told.get("by"))
        if kind is Kind.REVOCATION and "certificate" not in told:
            self._known.setdefault(party, []).append(_Known(index, b"", by))
        elif told.get("event") == "confirmed":
            self._known.setdefault(party, []).append(_Known(index, _bytes(told.get("key")), by, _units(told)))

    def faults(self) -> Iterator[Fault]:
        """All that is wrong."""
        expected = 0 if self.whole or (self._leaves and self._leaves[0].position == 0) else 1
        before: _Leaf | None = None
        for one in self._leaves:
            if one.position > expected:
                missing = f"{expected} to {one.position - 1}" if one.position > expected + 1 else str(expected)
                yield Fault(DROPPED, one.index, f"is step {one.position}: step {missing} is not in the pack")
            elif one.position < expected:
                yield Fault(IRREGULAR, one.index, f"is another step {one.position}")
            expected = max(expected, one.position) + 1
            if one.position != 0 or one.text("state") != "open":
                yield from self._stated(one, before)
                yield from self._allowed(one)
            before = one
        yield from self._lost()

    def _stated(self, one: _Leaf, before: _Leaf | None) -> Iterator[Fault]:
        signed = one.step.get("signed")
        if not isinstance(signed, dict):
            yield Fault(FORGED, one.index, f"nobody signed that it was {one.text('state')}")
            return
        data, key = str(signed.get("statement")).encode(errors="replace"), _bytes(signed.get("key"))
        try:
            made = statement.parse(data)
            statement.check(key, data, _bytes(signed.get("signature")))
        except StatementError as error:
            yield Fault(FORGED, one.index, str(error))
            return
        for name, stands, stated in self._compared(one, made):
            if stands != stated:
                yield Fault(FORGED, one.index, f"its {name} is {stands!a}, and {made.person} signed {stated!a}")
        if before is not None and made.previous != statement.digest(before.content):
            yield Fault(DROPPED, one.index, f"was not signed after leaf {before.index}: a step between is not there")
        yield from self._by(one, made, key)

    def _compared(self, one: _Leaf, made: Statement) -> Iterator[tuple[str, object, object]]:
        order = made.order and {"number": made.order.number, "authority": made.order.authority}
        yield "finding", self.finding, made.finding
        yield "position", one.position, made.position
        yield "state", one.text("state"), _STATES.get(made.action)
        yield "person", one.text("person"), made.person
        yield "note", one.text("note"), made.note
        yield "order", one.step.get("order"), order
        yield "paper", one.step.get("paper", False), made.paper

    def _by(self, one: _Leaf, made: Statement, key: bytes) -> Iterator[Fault]:
        """Whose key it was."""
        known = [told for told in self._known.get(made.person, ()) if told.leaf < one.index]
        organisation = made.person.split("/")[2]
        if not known:
            yield Fault(UNKNOWN_KEY, one.index, f"the pack opens no leaf in front of it that tells {made.person}'s key")
        elif known[-1].key != key:
            gone = "was revoked" if not known[-1].key else "has another key"
            yield Fault(FORGED, one.index, f"{made.person} {gone}, by leaf {known[-1].leaf}")
        if self.outside.denies(made.person, key):
            yield Fault(FORGED, one.index, f"is by a key of {made.person} that is none of those you brought")
        unit = one.text("unit")
        if unit != self.operator and known and known[-1].units is not None and unit not in known[-1].units:
            yield Fault(IRREGULAR, one.index, f"was taken for {unit}, for which {made.person} was not let in")
        if made.action != "answer":
            return
        if made.paper:
            self.answers.append(
                f"step {one.position}: answered on paper, entered by {made.person}: not {self.operator}'s"
            )
        elif organisation != self.operator:
            yield Fault(FORGED, one.index, f"{made.person} answers for {self.operator}")
        else:
            by = known[-1].by if known else "nobody"
            self.answers.append(f"step {one.position}: answered by {made.person}, let in by {by}")

    def _allowed(self, one: _Leaf) -> Iterator[Fault]:
        """Whether a decision was for its author to take, and the operator was heard."""
        if one.text("state") != "upheld":
            return
        earlier = [other for other in self._leaves if other.index < one.index]
        for other in earlier:
            if other.text("state") != "confirmed":
                continue
            if other.text("person") == one.text("person") or _key(other) == _key(one):
                yield Fault(IRREGULAR, one.index, f"{one.text('person')} upholds what they confirmed")
        answered = any(other.text("state") == "answered" and not other.step.get("paper") for other in earlier)
        told = [other for other in earlier if other.text("state") == "notified"]
        if not answered and not (told and one.entered_at + TOLERANCE_S >= _due(told[-1])):
            yield Fault(IRREGULAR, one.index, f"was upheld before {self.operator} was heard")

    def _lost(self) -> Iterator[Fault]:
        """What the service said it had taken, and the pack has not."""
        there = {one.index: one.step.get("signed") for one in self._leaves}
        for one in self.outside.acknowledged:
            if one.stated.finding != self.finding:
                yield Fault(DROPPED, one.receipt.leaf, f"what you kept is about the finding {one.stated.finding}")
                continue
            signed = there.get(one.receipt.leaf)
            place = f"step {one.stated.position}, which {one.stated.person} signed and the service acknowledged"
            if signed is None:
                yield Fault(DROPPED, one.receipt.leaf, f"{place}, is not in the pack")
            elif (signed.get("statement"), signed.get("signature")) != (one.kept.statement, one.kept.signature):
                yield Fault(FORGED, one.receipt.leaf, f"is not {place}")


def _bytes(text: object) -> bytes:
    try:
        return bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        return b""


def _units(told: dict[str, Any]) -> tuple[str, ...] | None:
    found = told.get("units")
    return tuple(str(one) for one in found) if isinstance(found, list) else None


def _key(one: _Leaf) -> bytes:
    signed = one.step.get("signed")
    return _bytes(signed.get("key")) if isinstance(signed, dict) else b""


def _due(one: _Leaf) -> float:
    try:
        return datetime.fromisoformat(one.text("due_at")).timestamp()
    except ValueError:
        return float("inf")
