"""What somebody lets pass for some hours against the rule: a reason, a beginning, an end, and a file that keeps them.

Holds always: a term has a reason in words and an end at most `HOURS_MAX` away, whatever the clock does; it is kept as
long after its end as a report on it may still be due; a file of them is whole or is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from lachan import durable, log
from lachan.errors import LachanError

HOURS_MAX = 72
SECONDS_MIN = 60
KEPT_SECONDS = 72 * 3600
"""After the end: longer than a window waits to be told."""
REASON_MAX = 200
FILE_MAX_BYTES = 1 << 20
FORM = 1


class Term:
    """One of them; a frozen dataclass that has these fields, times in seconds since 1970-01-01 UTC."""

    reason: str
    """Why, in words, which stay on this machine."""
    created_at: int
    ends_at: int
    """When it runs out, or was taken back."""

    def live(self, now: float) -> bool:
        """Whether it is in force.

        A clock that was set back makes none longer than it may be; one that a correction by seconds puts before its
        beginning stays in force.
        """
        return 0 < self.ends_at - now <= HOURS_MAX * 3600 + SECONDS_MIN

    def document(self) -> dict[str, Any]:
        """For JSON."""
        raise NotImplementedError


T = TypeVar("T", bound=Term)


@dataclass(frozen=True)
class Terms(Generic[T]):
    """All that are kept, as a value: in force, and ended but perhaps not told yet."""

    kept: tuple[T, ...] = ()

    def live(self, now: float) -> tuple[T, ...]:
        """Those in force."""
        return tuple(one for one in self.kept if one.live(now))

    def within(self, start: int, end: int) -> tuple[T, ...]:
        """Those in force at some moment of a window."""
        return tuple(one for one in self.kept if one.created_at < end and one.ends_at > start)

    def pruned(self, now: float) -> Self:
        """Without those that nobody will ask about any more."""
        return replace(self, kept=tuple(one for one in self.kept if one.live(now) or one.ends_at > now - KEPT_SECONDS))

    def ended(self, which: Callable[[T], bool], now: float) -> Self:
        """With some of those in force ended now."""
        kept = (
            # Frozen dataclasses by contract, which the type of a mixin cannot say.
            replace(one, ends_at=max(one.created_at, int(now)))  # type: ignore[type-var]
            if one.live(now) and which(one)
            else one
            for one in self.kept
        )
        return replace(self, kept=tuple(kept)).pruned(now)


@dataclass(frozen=True)
class Form(Generic[T]):
    """What kind of terms a file holds."""

    name: str
    """With its article: `an override`."""
    error: type[LachanError]
    most: int
    """How many are kept."""
    parse: Callable[[Mapping[str, Any]], T]

    def span(self, reason: str, hours: float, now: float) -> dict[str, Any]:
        """The fields of a term that begins now.

        Args:
            reason: Why, in words.
            hours: How long.
            now: Seconds since 1970-01-01 UTC.

        Raises:
            LachanError: It has no reason, or lasts too long; of the form's own kind.
        """
        reason = " ".join(reason.split())
        if len(reason) < 3:
            raise self.error(f"{self.name} needs a reason, in words")
        if len(reason) > REASON_MAX or not reason.isprintable():
            raise self.error(f"a reason is at most {REASON_MAX} printable characters")
        if not SECONDS_MIN <= hours * 3600 <= HOURS_MAX * 3600:
            raise self.error(f"{self.name} lasts a minute to {HOURS_MAX} hours")
        begin = int(now)
        return {"reason": reason, "created_at": begin, "ends_at": begin + int(hours * 3600)}

    def read(self, path: Path) -> tuple[T, ...]:
        """What was kept; nothing where there never was any.

        Raises:
            LachanError: The file is damaged or cannot be read; of the form's own kind.
        """
        if not path.exists():
            return ()
        try:
            document = json.loads(durable.read(path, FILE_MAX_BYTES))
            if not isinstance(document, dict) or document.get("form") != FORM or not isinstance(document["kept"], list):
                raise self.error("of another form")
            return tuple(map(self.parse, document["kept"][: self.most]))
        except (LachanError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise self.error(f"{path}: {error}") from error

    def recover(self, path: Path) -> tuple[T, ...]:
        """What was kept. A file that is damaged is put aside: nobody waits for it to be repaired."""
        try:
            return self.read(path)
        except self.error as error:
            aside = path.with_suffix(".damaged")
            log.get().error("a file is lost; put aside", reason=str(error), file=str(aside))
            path.replace(aside)
            return ()


def write(path: Path, kept: Iterable[Term]) -> None:
    """Keeps terms durably.

    Raises:
        lachan.durable.FileError: They cannot be written; what was kept before still is.
    """
    document = {"form": FORM, "kept": [one.document() for one in kept]}
    durable.write(path, [json.dumps(document, indent=1).encode()])
