"""Whether what a finding says of challenged hours follows from the leaves of its pack, computed again by itself.

Holds always: what was asked is what the challenge's leaf committed to; what the node had committed to is read from its
own reports that the ledger took in before it was asked; an opening is held against that by the proof alone.

    challenges.json     by challenge, what its leaf committed to by a digest: the rules, as they were drawn
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from compliance_api.ledger import document
from compliance_api.ledger.pack import PackError
from compliance_api.ledger.signatures import Signed
from compliance_api.ledger.wire import Message
from lachan import canonical
from lachan.ledger.leaf import Kind
from lachan.rulecounts import BEYOND, Bucket, Opened, RuleCountError, verify

CHALLENGES = "challenges.json"
HOUR = 3600
CLOCK_S = 300
"""Seconds by which the ledger may have taken a report in later than the service."""

_SHADOW = 6
"""The action of a hit that is not told as a block (lachan.compliance.v1.Action)."""
_CITED = frozenset({Kind.OPENING, Kind.CHALLENGE})


@dataclass(frozen=True)
class _Asked:
    """A challenge as its leaf has it."""

    node: str
    hour: int
    rules: str
    # None in leaves from before these were told.
    open_from: int | None
    deadline: int | None


@dataclass(frozen=True)
class _Window:
    """A report, as far as challenged hours go."""

    entered_at: int
    start: int
    seconds: int
    blocked: int
    hour: int
    root: bytes


def _asked(told: Mapping[str, Any]) -> _Asked:
    def moment(name: str) -> int | None:
        return int(told[name]) if name in told else None

    node = f"{told['operator']}/{told['node']}"
    return _Asked(node, int(told["hour"]), str(told["rules"]), moment("open_from"), moment("deadline"))


def _window(entered_at: int, content: bytes) -> tuple[str, _Window]:
    own = Message(Signed.read(content).message)
    blocks = [Message(one) for one in own.every(13)]
    blocked = sum(one.number(3) for one in blocks if one.number(2) != _SHADOW)
    commitment = Message(own.data(19))
    node = f"{own.data(1).decode(errors='replace')}/{own.data(2).decode(errors='replace')}"
    window = _Window(entered_at, own.number(8), own.number(9), blocked, commitment.number(1), commitment.data(2))
    return node, window


class Challenged:
    """What the opened leaves of a pack tell of challenged hours."""

    def __init__(self) -> None:
        self._asked: dict[str, _Asked] = {}
        self._openings: dict[str, tuple[int, bytes]] = {}
        self._windows: dict[str, list[_Window]] = {}

    def learn(self, kind: Kind, entered_at: int, content: bytes, reference: str) -> None:
        """Takes in a leaf that holds; those of other kinds are passed over.

        Raises:
            PackError: It is no such leaf.
        """
        try:
            if kind is Kind.CHALLENGE and reference:
                self._asked[reference] = _asked(document.read(content))
            elif kind is Kind.OPENING:
                self._openings[reference] = entered_at, Signed.read(content).message
            elif kind is Kind.REPORT:
                node, window = _window(entered_at, content)
                self._windows.setdefault(node, []).append(window)
        except (ValueError, KeyError, TypeError) as error:
            raise PackError(f"no {kind}") from error

    def contradicting(self, finding: bytes, drawn: bytes) -> Iterator[str]:
        """What a finding says of challenged hours and does not follow.

        Args:
            finding: `finding.json` of a full pack.
            drawn: `challenges.json`.

        Raises:
            PackError: One of them is none.
        """
        try:
            pieces = document.read(finding)["evidence"]
            cited = [
                (Kind(one["kind"]), str(one["reference"]), str(one["detail"]))
                for one in pieces
                if one["kind"] in _CITED
            ]
            rules = {str(name): list(one) for name, one in document.read(drawn).items()} if cited else {}
        except (ValueError, TypeError, KeyError) as error:
            raise PackError(f"{CHALLENGES}: no rules of the challenges that are cited") from error
        for kind, name, said in cited:
            asked = self._asked.get(name)
            if asked is None:
                # That it is not opened is named elsewhere.
                continue
            try:
                if hashlib.sha256(canonical.encode({"rules": rules[name]})).hexdigest() != asked.rules:
                    yield f"challenge {name}: its rules in {CHALLENGES} are not those that it committed to"
                    continue
                is_so = (
                    self._silent(name, asked)
                    if kind is Kind.CHALLENGE
                    else self._follows(name, asked, rules[name], said)
                )
            except (ValueError, KeyError, TypeError) as error:
                raise PackError(f"{CHALLENGES}: no rules of the challenge {name}") from error
            if not is_so:
                yield f"challenge {name}: is said to be {said!a}, and that does not follow from the pack"

    def _silent(self, name: str, asked: _Asked) -> bool:
        """Whether nothing was opened in time."""
        at = self._openings[name][0] if name in self._openings else None
        return at is None or (asked.deadline is not None and at > asked.deadline - CLOCK_S)

    def _roots(self, asked: _Asked, slack: int) -> set[bytes]:
        """What the node had committed to for the hour when it was asked."""
        until = asked.open_from + slack if asked.open_from is not None else None
        return {
            one.root
            for one in self._windows.get(asked.node, ())
            if asked.hour + HOUR <= one.start < asked.hour + 2 * HOUR
            and one.hour == asked.hour
            and one.root
            and (until is None or one.entered_at <= until)
        }

    def _total(self, asked: _Asked) -> int | None:
        """What the node reported for the hour; None where the pack has not all of its windows."""
        found = [one for one in self._windows.get(asked.node, ()) if asked.hour <= one.start < asked.hour + HOUR]
        covered = {one.start: one.seconds for one in found}
        return sum(one.blocked for one in found) if sum(covered.values()) == HOUR else None

    def _follows(self, name: str, asked: _Asked, rules: list[dict[str, Any]], said: str) -> bool:
        """Whether an opening is what it is said to be."""
        opening = Message(self._openings[name][1]) if name in self._openings else None
        if opening is None:
            return True
        if opening.number(5) or said == "refused":
            return bool(opening.number(5)) and said == "refused"
        if said == "uncommitted":
            return asked.open_from is None or not self._roots(asked, -CLOCK_S)
        roots = self._roots(asked, CLOCK_S)
        fingerprints = [BEYOND, *(int(one["fingerprint"], 16) for one in rules)]
        try:
            counts = _counts(opening, asked.hour, roots, fingerprints)
        except RuleCountError:
            return said == "untrue"
        if said == "absent":
            return any(one is None for one in counts.values())
        counted, above, total = said.partition(" > ")
        if not above:
            return said == "opened"
        reported = self._total(asked)
        return sum(one or 0 for one in counts.values()) == int(counted) and reported in {None, int(total)}


def _counts(opening: Message, hour: int, roots: set[bytes], fingerprints: list[int]) -> dict[int, int | None]:
    """The committed counts of what was asked.

    Raises:
        RuleCountError: The opening does not show them.
    """
    if opening.number(4) != hour or len(roots) != 1:
        raise RuleCountError("another hour is opened, or there is no single commitment to it")
    buckets = [Message(one) for one in opening.every(6)]
    rules = [Message(one) for one in opening.every(7)]
    return verify(
        next(iter(roots)),
        fingerprints,
        [Bucket(one.number(1), one.data(2), tuple(one.every(3))) for one in buckets],
        [Opened(one.number(1), one.number(2), one.data(3)) for one in rules],
    )
