"""Emergency overrides: names that an operator lets pass for some hours, against the list, mandated or not.

Holds always: an override has a reason and an end at most `HOURS_MAX` away, whatever the clock does; it is on the disk
before it is in force anywhere, and as long after its end as a report on it may still be due; the reason's words stay on
this machine, its code is what the authority is told.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from lachan import durable
from lachan.labels import MessageError, name_labels
from resolver.errors import ResolverError

HOURS_MAX = 72
SECONDS_MIN = 60
LIVE_MAX = 64
KEPT_MAX = 256
KEPT_SECONDS = 72 * 3600
"""After the end: longer than a window waits to be told."""
REASON_MAX = 200
FILE_MAX_BYTES = 1 << 20
FORM = 1


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
class Override:
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

    def live(self, now: float) -> bool:
        """Whether it is in force.

        A clock that was set back makes no override longer than it may be; one that a correction by seconds puts before
        its beginning stays in force.
        """
        return 0 < self.ends_at - now <= HOURS_MAX * 3600 + SECONDS_MIN

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
    reason = " ".join(reason.split())
    if len(reason) < 3:
        raise OverrideError("an override needs a reason, in words")
    if len(reason) > REASON_MAX or not reason.isprintable():
        raise OverrideError(f"a reason is at most {REASON_MAX} printable characters")
    if code.upper() not in ReasonCode.__members__:
        raise OverrideError(f"{code[:40]!r} is no code; there are {', '.join(one.label for one in ReasonCode)}")
    if not SECONDS_MIN <= hours * 3600 <= HOURS_MAX * 3600:
        raise OverrideError(f"an override lasts a minute to {HOURS_MAX} hours")
    begin = int(now)
    raw = {"name": name, "scope": scope, "code": code, "reason": reason}
    return of_document(raw | {"created_at": begin, "ends_at": begin + int(hours * 3600)})


@dataclass(frozen=True)
class Overrides:
    """All that are kept, as a value: in force, and ended but perhaps not told yet."""

    kept: tuple[Override, ...] = ()

    def live(self, now: float) -> tuple[Override, ...]:
        """Those in force."""
        return tuple(one for one in self.kept if one.live(now))

    def within(self, start: int, end: int) -> tuple[Override, ...]:
        """Those in force at some moment of a window."""
        return tuple(one for one in self.kept if one.created_at < end and one.ends_at > start)

    def adding(self, override: Override, now: float) -> Overrides:
        """With another; one of the same name ends where this begins.

        Raises:
            OverrideError: There are too many.
        """
        changed = self.removing(override.name, now) if self._named(override.name, now) else self.pruned(now)
        if len(changed.live(now)) >= LIVE_MAX:
            raise OverrideError(f"{LIVE_MAX} overrides are in force: take one back first")
        if len(changed.kept) >= KEPT_MAX:
            raise OverrideError(f"{KEPT_MAX} overrides within {KEPT_SECONDS // 3600} hours are the most")
        return Overrides((*changed.kept, override))

    def _named(self, name: str, now: float) -> bool:
        return any(one.name == name for one in self.live(now))

    def removing(self, name: str, now: float) -> Overrides:
        """With those of a name ended now.

        Raises:
            OverrideError: None of it is in force.
        """
        if not self._named(name, now):
            raise OverrideError(f"no override of {name} is in force")
        ended = (
            replace(one, ends_at=max(one.created_at, int(now))) if one.name == name and one.live(now) else one
            for one in self.kept
        )
        return Overrides(tuple(ended)).pruned(now)

    def pruned(self, now: float) -> Overrides:
        """Without those that nobody will ask about any more."""
        return Overrides(tuple(one for one in self.kept if one.live(now) or one.ends_at > now - KEPT_SECONDS))


def read(path: Path) -> Overrides:
    """What was kept; nothing where there never was any.

    Raises:
        OverrideError: The file is damaged or cannot be read.
    """
    if not path.exists():
        return Overrides()
    try:
        return _of_file(json.loads(durable.read(path, FILE_MAX_BYTES)))
    except (OverrideError, durable.FileError, ValueError, KeyError, RecursionError) as error:
        raise OverrideError(f"{path}: {error}") from error


def _of_file(document: object) -> Overrides:
    if not isinstance(document, dict) or document.get("form") != FORM or not isinstance(document["kept"], list):
        raise OverrideError("of another form")
    return Overrides(tuple(map(of_document, document["kept"][:KEPT_MAX])))


def write(path: Path, overrides: Overrides) -> None:
    """Keeps them durably.

    Raises:
        lachan.durable.FileError: It cannot be written; what was kept before still is.
    """
    document = {"form": FORM, "kept": [one.document() for one in overrides.kept]}
    durable.write(path, [json.dumps(document, indent=1).encode()])


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
