"""Schools: what their networks asked in a day, in sums that show no child.

Holds always:

- sums are made once a day, when it is over, and stay on this machine; nothing of them is in any message;
- below `FEW` distinct clients a sum says `few`, and nothing else;
- csam, sexual_exploitation and self_harm are told together with one another, never each for itself;
- who asked is known as bits of a sketch alone, drawn with a key that lives in memory for a day.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import math
import secrets
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Protocol

from blocklist_sync.artifact.categories import Category
from lachan import durable, log
from resolver._hot.census import CENSUS_LAYOUT, Census
from resolver.errors import ResolverError
from resolver.schedule import DEFAULT_ZONE

TICK_SECONDS = 10.0
FEW = 20
PROTECTED = frozenset({Category.CSAM, Category.SEXUAL_EXPLOITATION, Category.SELF_HARM})
"""What a single number of could be read as a child's distress."""
KEEP_DAYS = 400
MAX_FILE_BYTES = 4 << 20
FOLDER = "schools"

_ZONE = zoneinfo.ZoneInfo(DEFAULT_ZONE)
_WORD = 8
_HEAD_BYTES = CENSUS_LAYOUT["head_words"] * _WORD
_HALF_BYTES = CENSUS_LAYOUT["half_words"] * _WORD
PART_BYTES = CENSUS_LAYOUT["halves"] * _HALF_BYTES
_BITS = CENSUS_LAYOUT["bits"]
_EPOCH = date(1970, 1, 1)


class SchoolsError(ResolverError):
    """A school's sums cannot be kept or read."""


class School(Protocol):
    """What is known of a school: its settings."""

    @property
    def name(self) -> str:
        """Its identifier."""

    @property
    def networks(self) -> Sequence[str]:
        """In text."""


def counted_schools(schools: Sequence[School], memory: memoryview, seat: int) -> Census:
    """A worker's own counts of these schools."""
    networks = []
    for number, school in enumerate(schools):
        for text in school.networks:
            network = ipaddress.ip_network(text)
            ip = network.network_address.packed
            wide = (bytes(10) + b"\xff\xff" + ip, 96) if network.version == 4 else (ip, 0)
            networks.append((wide[0], wide[1] + network.prefixlen, number))
    return Census(networks, header(memory), part(memory, seat))


def census_bytes(seats: int) -> int:
    """Memory for the header and every seat's part."""
    return _HEAD_BYTES + seats * PART_BYTES


def header(memory: memoryview) -> memoryview:
    """The part that the supervisor writes and every worker reads."""
    return memory[:_HEAD_BYTES]


def part(memory: memoryview, seat: int) -> memoryview:
    """A worker's own part."""
    start = _HEAD_BYTES + seat * PART_BYTES
    return memory[start : start + PART_BYTES]


def estimate(bits: int) -> int:
    """How many distinct clients set so many bits of a sketch (linear counting: Whang et al. 1990).

    Of twenty clients two share a bit on one day in twenty: then it says nineteen. Where every bit is set, it says the
    least that there must have been.
    """
    free = max(_BITS - bits, 0.5)
    return round(-_BITS * math.log(free / _BITS))


@dataclass(frozen=True)
class Counted:
    """What was counted of one school in a day."""

    queries: int
    # By category, as lachan.compliance.v1 numbers them.
    blocked: Mapping[int, int]
    bits: int

    def told(self) -> dict[str, Any]:
        """What may be said of it."""
        clients = estimate(self.bits)
        if clients < FEW:
            return {"clients": "few"}
        blocked = {
            category.name.lower(): self.blocked.get(int(category), 0)
            for category in Category
            if category not in PROTECTED
        }
        blocked["protected"] = sum(self.blocked.get(int(category), 0) for category in PROTECTED)
        return {"clients": _rounded(clients), "queries": self.queries, "blocked": blocked}


def _rounded(clients: int) -> int:
    """To two digits: one client more or less must not show."""
    unit: int = 10 ** max(0, len(str(clients)) - 2)
    return clients // unit * unit


def day_of(now: float) -> date:
    """The legal day of a moment."""
    return datetime.fromtimestamp(now, UTC).astimezone(_ZONE).date()


def end_of(day: date) -> int:
    """When it ends, seconds since 1970."""
    return int(datetime.combine(day + timedelta(days=1), time(), _ZONE).timestamp())


class Schools:
    """The supervisor's side: begins days, ends them, and keeps what may be said of each.

    Args:
        memory: `census_bytes` of memory that all workers share.
        seats: How many workers count.
        schools: In the order of their numbers.
        folder: Where days are kept.
        entropy: Makes keys.
    """

    def __init__(
        self,
        memory: memoryview,
        seats: int,
        schools: Sequence[School],
        folder: Path,
        entropy: Callable[[int], int] = secrets.randbits,
    ) -> None:
        self._memory = memory
        self._words = memory.cast("B").cast("Q")
        self._seats = seats
        self._names = [school.name for school in schools]
        shown = json.dumps([(school.name, school.networks) for school in schools]).encode()
        self._layout = int.from_bytes(hashlib.sha256(shown).digest()[:8], "big")
        self._folder = folder
        self._entropy = entropy

    def tick(self, now: float) -> date | None:
        """Begins the day of `now` where it is not counted yet, and ends the one before; returns the day that was kept.

        Raises:
            SchoolsError: It cannot be kept on the disk: it is lost then, for its key is.
        """
        words, at = self._words, CENSUS_LAYOUT
        day = day_of(now)
        tag, counted = words[at["tag"]], _EPOCH + timedelta(days=words[at["day"]])
        same = tag and words[at["layout"]] == self._layout
        if same and counted == day:
            return None
        # Of other schools' numbers nobody can say whose they are.
        told = self._fold(tag) if same else None
        fresh = (self._entropy(62) | 1) << 1 | (1 - (tag & 1))
        # Workers stop at 0; the key of the day that is over is gone with this.
        words[at["tag"]] = 0
        words[at["key"]], words[at["key"] + 1] = self._entropy(64), self._entropy(64)
        words[at["day"]] = (day - _EPOCH).days
        words[at["layout"]] = self._layout
        words[at["until"]] = end_of(day)
        words[at["tag"]] = fresh
        if told is None or counted > day:
            return None
        self._keep(counted, told)
        return counted

    async def run(self) -> None:
        """Begins and ends days, for ever; a day that cannot be kept is said to be lost."""
        while True:
            try:
                day = await asyncio.to_thread(self.tick, datetime.now(UTC).timestamp())
            except SchoolsError as error:
                log.get().error("sums of schools", reason=str(error))
            else:
                if day is not None:
                    log.get().info("sums of schools are kept", day=day.isoformat())
            await asyncio.sleep(TICK_SECONDS)

    def _fold(self, tag: int) -> dict[str, Counted]:
        """What all workers counted under a tag."""
        layout = CENSUS_LAYOUT
        found: dict[str, Counted] = {}
        halves = []
        for seat in range(self._seats):
            start = (_HEAD_BYTES + seat * PART_BYTES + (tag & 1) * _HALF_BYTES) // _WORD
            if self._words[start] == tag:
                halves.append(start + layout["half_head"])
        for number, name in enumerate(self._names):
            cells = [0] * layout["cells"]
            sketch = 0
            for start in halves:
                own = self._words[start + number * layout["school_words"] :][: layout["school_words"]].tolist()
                cells = [a + b for a, b in zip(cells, own, strict=False)]
                for place, word in enumerate(own[layout["cells"] :]):
                    sketch |= word << 64 * place
            found[name] = Counted(cells[0], dict(enumerate(cells[1:], 1)), sketch.bit_count())
        return found

    def _keep(self, day: date, counted: Mapping[str, Counted]) -> None:
        shown = {"day": day.isoformat(), "schools": {name: one.told() for name, one in counted.items()}}
        try:
            durable.make_folder(self._folder)
            durable.write(self._folder / f"{day}.json", [json.dumps(shown, ensure_ascii=False).encode()])
            for old in sorted(self._folder.glob("????-??-??.json"))[:-KEEP_DAYS]:
                old.unlink(missing_ok=True)
        except (durable.FileError, OSError) as error:
            raise SchoolsError(f"the sums of schools for {day} are lost: {error}") from error


def read(folder: Path, day: date | None = None) -> dict[str, Any]:
    """What may be said of a day; of the newest one where none is given.

    Raises:
        SchoolsError: There is none.
    """
    wanted = f"{day}.json" if day else "????-??-??.json"
    found = sorted(folder.glob(wanted))
    if not found:
        raise SchoolsError(f"{folder}: no day is kept" if day is None else f"{folder}: {day} is not kept")
    try:
        told: dict[str, Any] = json.loads(durable.read(found[-1], MAX_FILE_BYTES))
    except (durable.FileError, ValueError) as error:
        raise SchoolsError(f"{found[-1]}: cannot be read: {error}") from error
    return told
