"""A case: what is asked, under which standard, and what must come back.

Holds always: a case is data; the same `Want` holds on every transport unless the case says what differs by datagram;
what is not offered is listed, and never counted as passed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from tests.conformance.packet import Seen

if TYPE_CHECKING:
    from tests.conformance.place import Place
    from tests.conformance.transports import Transport


class Need(Enum):
    """What an edge may not offer yet."""

    COOKIES = "cookies"
    PADDING = "padding"
    STREAM = "a stream of messages"
    TCP = "bare TCP"
    DATAGRAM = "datagrams"
    HTTP = "HTTP"
    ROOT = "root"
    DIG = "dig"


@dataclass(frozen=True)
class Want:
    """What an answer must be; what is None is not looked at."""

    rcode: str = "NOERROR"
    flags: str = "qr ra rd"
    """All of those among qr, aa, tc, rd, ra, z, ad and cd that are set."""
    question: bool = True
    """It is repeated, letter by letter."""
    answers: int | None = None
    holds: tuple[str, ...] = ()
    """Expressions, each found in a line `owner type data` of the answer section."""
    lacks: tuple[str, ...] = ()
    """Expressions found nowhere."""
    soa: str | None = None
    """Owner of the one SOA in the authority section; "" where there must be none."""
    ttl_most: int | None = None
    edns: bool | None = None
    """An OPT of version 0 that announces 1232 octets and sets no flag but DO, or none at all."""
    do: bool = False
    ede: int | None = 0
    """The one extended error; 0 for none."""
    options: tuple[int, ...] | None = None
    """Codes of all options but an extended error."""
    size: tuple[int, int] | None = None

    def problems(self, seen: Seen, asked: tuple[str, ...]) -> Iterator[str]:
        """What is wrong with an answer."""
        yield from self._head_problems(seen)
        if self.question and seen.question != asked:
            yield f"question {seen.question}, not {asked}"
        yield from self._section_problems(seen)
        yield from self._edns_problems(seen)
        if self.size is not None and seen.size and not self.size[0] <= seen.size <= self.size[1]:
            yield f"{seen.size} octets, not {self.size[0]} to {self.size[1]}"

    def _head_problems(self, seen: Seen) -> Iterator[str]:
        if seen.rcode != self.rcode:
            yield f"{seen.rcode}, not {self.rcode}"
        if seen.flags != set(self.flags.split()):
            yield f"flags {' '.join(sorted(seen.flags))}, not {self.flags}"

    def _section_problems(self, seen: Seen) -> Iterator[str]:
        if self.answers is not None and len(seen.answer) != self.answers:
            yield f"{len(seen.answer)} answers, not {self.answers}"
        for pattern in self.holds:
            if not any(re.search(pattern, str(line), re.IGNORECASE) for line in seen.answer):
                yield f"no answer like {pattern}"
        everything = [str(line) for line in (*seen.answer, *seen.authority, *seen.additional)]
        for pattern in self.lacks:
            if any(re.search(pattern, line, re.IGNORECASE) for line in everything):
                yield f"there is a {pattern}"
        if self.soa is not None:
            owners = [line.owner.lower() for line in seen.authority if line.rdtype == "SOA"]
            if owners != ([self.soa] if self.soa else []):
                yield f"SOA of {owners}, not {self.soa or 'none'}"
        if self.ttl_most is not None:
            ttls = [line.ttl for line in (*seen.answer, *seen.authority)]
            if max(ttls, default=0) > self.ttl_most:
                yield f"TTL {max(ttls)}, more than {self.ttl_most}"

    def _edns_problems(self, seen: Seen) -> Iterator[str]:
        if self.edns is not None and (seen.version is not None) != self.edns:
            yield f"{'no ' if self.edns else ''}OPT"
        if seen.version is not None:
            if (seen.version, seen.udp, seen.edns_flags) != (0, 1232, 0):
                yield f"EDNS version {seen.version}, {seen.udp} octets, flags {seen.edns_flags:#x}"
            if seen.do != self.do:
                yield f"DO {seen.do}, not {self.do}"
        if self.ede is not None and seen.ede != ((self.ede,) if self.ede else ()):
            yield f"extended errors {seen.ede}, not {self.ede or 'none'}"
        others = tuple(sorted(code for code in seen.options if code != 15))
        if self.options is not None and others != self.options:
            yield f"options {others}, not {self.options}"


Probe = Callable[["Place", "Transport"], None]
"""A case that takes more than one packet; it raises AssertionError."""


@dataclass(frozen=True)
class Case:
    """One row of the table: one of `packet`, `dig` and `probe` says how it asks."""

    id: str
    standard: str
    title: str
    want: Want | None = None
    """None: silence."""
    packet: bytes | None = None
    """`%T` in a name of it becomes two letters of the transport, so that each asks a name of its own."""
    dig: tuple[str, ...] = ()
    probe: Probe | None = None
    datagram: Want | None = None
    """What differs there."""
    source: str = "127.0.0.1"
    needs: tuple[Need, ...] = ()
    alike: bool = True
    """The verdict is compared between the transports."""
