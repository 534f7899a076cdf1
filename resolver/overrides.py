"""Emergency overrides: names that an operator lets pass for some hours, against the list, mandated or not.

Holds always: an override is a term of `lachan.terms`, with an end; it is on the disk before it is in force anywhere;
the reason's words stay on this machine, its code is what the authority is told.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from lachan.labels import MessageError, name_labels
from lachan.terms import KEPT_SECONDS, Form, Term, Terms
from resolver.errors import ResolverError

LIVE_MAX = 64
KEPT_MAX = 256


class OverrideError(ResolverError):
    """An override that cannot be."""


class ReasonCode(enum.IntEnum):
    """Why, in a word; numbered as lachan.compliance.v1.OverrideReason."""

    OTHER = 1
    WRONGLY_LISTED = 2
    ESSENTIAL_SERVICE = 3
    TECHNICAL_FAULT = 4
    AUTHORITY_REQUEST = 5
    COURT_ORDER = 6

    @property
    def label(self) -> str:
        """As commands write it: `wrongly_listed`."""
        return self.name.lower()


@dataclass(frozen=True)
class Override(Term):
    """One of them; times in seconds since 1970-01-01 UTC."""

    name: str
    """In canonical form."""
    scope: str
    """`exact` or `subtree`."""
    code: ReasonCode
    reason: str
    created_at: int
    ends_at: int
    """When it runs out, or was taken back."""

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"code": self.code.label}


def of_document(raw: Mapping[str, Any]) -> Override:
    """From what `document` gave.

    Raises:
        OverrideError: It is something else.
    """
    try:
        override = Override(
            name=str(raw["name"]),
            scope=str(raw["scope"]),
            code=ReasonCode[str(raw["code"]).upper()],
            reason=str(raw["reason"]),
            created_at=int(raw["created_at"]),
            ends_at=int(raw["ends_at"]),
        )
        labels = name_labels(override.name)
    except (KeyError, TypeError, ValueError, MessageError) as error:
        raise OverrideError(f"no override: {error!r}") from error
    if not labels or override.name != override.name.lower() or override.scope not in {"exact", "subtree"}:
        raise OverrideError(f"no override: {override.name[:80]!r}, {override.scope[:20]!r}")
    return override


FORM = Form("an override", OverrideError, KEPT_MAX, of_document)


def make(name: str, *, scope: str, code: str, reason: str, hours: float, now: float) -> Override:
    """An override that begins now.

    Args:
        name: A domain name in canonical form.
        scope: `exact` or `subtree`.
        code: A `ReasonCode` by its word.
        reason: Why, in words.
        hours: How long.
        now: Seconds since 1970-01-01 UTC.

    Raises:
        OverrideError: It has no reason, or lasts too long.
    """
    if code.upper() not in ReasonCode.__members__:
        raise OverrideError(f"{code[:40]!r} is no code; there are {', '.join(one.label for one in ReasonCode)}")
    return of_document({"name": name, "scope": scope, "code": code} | FORM.span(reason, hours, now))


class Overrides(Terms[Override]):
    """All that are kept."""

    def adding(self, override: Override, now: float) -> Overrides:
        """With another; one of the same name ends where this begins.

        Raises:
            OverrideError: There are too many.
        """
        changed = self.ended(lambda one: one.name == override.name, now)
        if len(changed.live(now)) >= LIVE_MAX:
            raise OverrideError(f"{LIVE_MAX} overrides are in force: take one back first")
        if len(changed.kept) >= KEPT_MAX:
            raise OverrideError(f"{KEPT_MAX} overrides within {KEPT_SECONDS // 3600} hours are the most")
        return Overrides((*changed.kept, override))

    def removing(self, name: str, now: float) -> Overrides:
        """With those of a name ended now.

        Raises:
            OverrideError: None of it is in force.
        """
        if not any(one.name == name for one in self.live(now)):
            raise OverrideError(f"no override of {name} is in force")
        return self.ended(lambda one: one.name == name, now)


class List(Protocol):
    """What a list says of names."""

    def fingerprint(self, name: str) -> int: ...  # noqa: D102 # resolver._hot's Snapshot, which has them
    def lookup(self, name: str) -> Sequence[Any]: ...  # noqa: D102


@dataclass(frozen=True)
class Told:
    """What a report says of an override: no name, no words."""

    fingerprint: int
    """Of the name under the list's key; 0 without a list."""
    entry: int
    """Of the listed name that it lifts; 0 where none is listed."""
    category: int
    """Of the rule that it lifts; 0 where there is none."""
    subtree: bool
    code: int
    created_at: int
    ends_at: int


def told(overrides: Iterable[Override], listed: List | None) -> tuple[Told, ...]:
    """What is reported of each, by the list in force."""
    return tuple(_told(one, listed) for one in overrides)


def _told(one: Override, listed: List | None) -> Told:
    fingerprint = entry = category = 0
    if listed is not None:
        fingerprint = listed.fingerprint(one.name)
        # What is mandated weighs most, then what stands nearest.
        rules = [match for match in listed.lookup(one.name) if not match.rule.exception]
        best = max(rules, key=lambda match: (match.rule.mandated, match.depth), default=None)
        if best is not None:
            entry, category = listed.fingerprint(best.owner), int(best.rule.category)
    subtree = one.scope == "subtree"
    return Told(fingerprint, entry, category, subtree, int(one.code), one.created_at, one.ends_at)
