"""What was counted and how far the log was read, kept in one file: both or neither survive.

Holds always: after a kill at any moment, every line that was counted stands before the place where reading goes on, and
every other behind it; windows are bounded in number, and hold counts by category and action and nothing of a query. Of
hours, counts by the list's own names are kept where they are to be committed to, bounded in number too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lachan.rulecounts import BEYOND
from resolver.counters import DEPTH, WindowCounts
from resolver.errors import ResolverError
from resolver.openings import HOUR
from resolver.rpzlog.follow import Place
from resolver.rpzlog.judging import Cell, Judged
from resolver.windows import Span, covers

VERSION = 1
MAX_BYTES = 16 << 20
MAX_RULES = 1 << 15
"""Names told apart in an hour."""


class TallyError(ResolverError):
    """The file of counts cannot be read."""


@dataclass
class Window:
    """What is told of a window beside what every report has."""

    blocked: Counter[Cell] = field(default_factory=Counter)
    unknown: int = 0
    malformed: int = 0
    late: int = 0
    gaps: int = 0

    def copy(self) -> Window:
        """As it is now, for others to read."""
        return replace(self, blocked=Counter(self.blocked))


@dataclass
class Tally:
    """Counts of windows not told yet.

    Attributes:
        epoch: 16 random bytes, made with the tally.
        created_at: When that was, seconds since 1970-01-01 UTC.
        place: How far the log was read.
        windows: By their starts.
        serial: The last word of the resolver on its release; with its records' digest and when it came first and last.
        rules: Hits by hour and fingerprint; those beyond what is told apart stand under fingerprint 0.
        rules_since: Since when these are whole, seconds since 1970; 0 where they are not counted.
        seen: Everything counted and noted since this process started, for its metrics; it is not kept.
    """

    epoch: bytes
    created_at: int
    place: Place | None = None
    windows: dict[int, Window] = field(default_factory=dict)
    serial: int = 0
    records_digest: bytes = b""
    serial_since: int = 0
    serial_asked_at: int = 0
    rules: dict[int, Counter[int]] = field(default_factory=dict)
    rules_since: int = 0
    seen: Window = field(default_factory=Window, compare=False)

    def window(self, at: int, seconds: int) -> Window:
        """The window that a moment is in."""
        return self.windows.setdefault(at - at % seconds, Window())

    def note(
        self, now: int, seconds: int, spans: Iterable[Span], *, malformed: int = 0, late: int = 0, gaps: int = 0
    ) -> None:
        """Counts what is noticed now, in the window of now, or in the first after it that was not told."""
        start = now - now % seconds
        told = tuple(spans)
        while covers(told, start, start + seconds):
            start += seconds
        for one in (self.windows.setdefault(start, Window()), self.seen):
            one.malformed += malformed
            one.late += late
            one.gaps += gaps
        if gaps and self.rules_since:
            # What was lost belongs to hours that nobody can tell: of none of them is anything known.
            self.rules, self.rules_since = {}, now

    def count(self, at: int, judged: Judged | None, now: int, seconds: int, spans: Iterable[Span]) -> None:
        """Counts a hit; None is one whose name is unknown."""
        start = at - at % seconds
        told = tuple(spans)
        current = now - now % seconds
        if covers(told, start, start + seconds) or not current - (DEPTH - 2) * seconds <= start <= current + seconds:
            # Told, too old to be told, or from a time that has not come.
            self.note(now, seconds, told, late=1)
            return
        for one in (self.window(at, seconds), self.seen):
            if judged is None:
                one.unknown += 1
            else:
                one.blocked[judged.cell] += 1
        if judged is not None and self.rules_since:
            rules = self.rules.setdefault(at - at % HOUR, Counter())
            apart = judged.fingerprint in rules or len(rules) < MAX_RULES
            rules[judged.fingerprint if apart else BEYOND] += 1

    def count_rules(self, now: int, *, wanted: bool) -> None:
        """Begins to count by names, goes on, or ceases."""
        if not wanted:
            self.rules, self.rules_since = {}, 0
        elif not self.rules_since:
            self.rules_since = now

    def fold(self, hour: int) -> dict[int, int] | None:
        """The hits of an hour by fingerprint; None where they are not whole."""
        if not self.rules_since or hour < self.rules_since:
            return None
        return dict(self.rules.get(hour, {}))

    def forget_rules(self, before: int) -> None:
        """Lets go of hours that were committed to."""
        self.rules = {hour: one for hour, one in self.rules.items() if hour >= before}

    def answered_by(self, serial: int, digest: bytes, now: int) -> None:
        """Takes the resolver's word on its release."""
        if serial != self.serial:
            self.serial, self.records_digest, self.serial_since = serial, digest, now
        self.serial_asked_at = now

    def forget(self, spans: Iterable[Span]) -> None:
        """Lets go of windows that were told."""
        told = tuple(spans)
        self.windows = {at: one for at, one in self.windows.items() if not covers(told, at, at + 1)}

    def counts(self, start: int, seconds: int) -> WindowCounts:
        """A window's hits, in the form that reports are made of."""
        blocked = self.windows[start].blocked if start in self.windows else {}
        return WindowCounts(start, seconds, {}, dict(blocked), {}, 0, 0)

    def encode(self) -> bytes:
        """As it is kept."""
        place = self.place
        return json.dumps(
            {
                "version": VERSION,
                "epoch": self.epoch.hex(),
                "created_at": self.created_at,
                "place": [place.device, place.inode, place.offset, place.tail.hex()] if place is not None else None,
                "windows": {
                    str(at): {
                        "blocked": [[*cell, count] for cell, count in sorted(one.blocked.items())],
                        "noted": [one.unknown, one.malformed, one.late, one.gaps],
                    }
                    for at, one in sorted(self.windows.items())
                },
                "serial": [self.serial, self.records_digest.hex(), self.serial_since, self.serial_asked_at],
                "rules": {
                    str(hour): {f"{name:016x}": count for name, count in sorted(one.items())}
                    for hour, one in sorted(self.rules.items())
                },
                "rules_since": self.rules_since,
            }
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> Tally:
        """From what was kept.

        Raises:
            TallyError: It is something else.
        """
        try:
            raw: Mapping[str, Any] = json.loads(data)
            if raw["version"] != VERSION:
                raise ValueError(f"version {raw['version']}")  # noqa: TRY301 # one road for whatever is wrong with it
            made = cls(bytes.fromhex(raw["epoch"]), int(raw["created_at"]))
            if raw["place"] is not None:
                device, inode, offset, tail = raw["place"]
                made.place = Place(int(device), int(inode), int(offset), bytes.fromhex(tail))
            for at, one in raw["windows"].items():
                cells = Counter({(int(category), int(action)): int(n) for category, action, n in one["blocked"]})
                made.windows[int(at)] = Window(cells, *map(int, one["noted"]))
            # One that was kept before there were these has none.
            for hour, rules in raw.get("rules", {}).items():
                made.rules[int(hour)] = Counter({int(name, 16): int(count) for name, count in rules.items()})
            made.rules_since = int(raw.get("rules_since", 0))
            serial, digest, made.serial_since, made.serial_asked_at = raw["serial"]
            made.serial, made.records_digest = int(serial), bytes.fromhex(digest)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TallyError(f"not a tally: {error!r}") from error
        return made
