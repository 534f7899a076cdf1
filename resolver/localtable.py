"""Names, zones and aliases collected for each profile, and the compiled table they become.

Holds always: what is collected later stands over what was collected earlier; every answer is written once, here, and
copied ever after; a chain of aliases within the table is followed here, one that leaves it is left to the caller.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from lachan.labels import wire_name
from lachan.message import AAAA, CNAME, IN, A
from resolver._hot.locals import FLAGS, KINDS, Locals
from resolver.errors import ResolverError

NO_EDE = 0xFFFF
PROFILES_MAX = 8
CHAIN_MAX = 8
_QUESTION = b"\xc0\x0c"
_EVERY_OTHER_TYPE = 0

Node = tuple[bytes, int, int, int, int, int, int, list[tuple[int, int, bytes, int, bytes]], bytes]


class LocalError(ResolverError):
    """Local data that cannot be told."""


@dataclass
class _Entry:
    kind: str
    ttl: int
    ede: int = NO_EDE
    flags: int = 0
    records: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)
    beside: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    """Of a type, the names whose addresses go with it."""
    target: bytes = b""


_Names = dict[tuple[bytes, int], _Entry]


def _text(name: bytes) -> str:
    labels = []
    at = 0
    while name[at]:
        labels.append(name[at + 1 : at + 1 + name[at]].decode("ascii", "replace"))
        at += name[at] + 1
    return ".".join(labels)


class LocalTable:
    """Collects what is answered here; `profiles` everywhere are indices, None for all of them."""

    def __init__(self, profiles: int) -> None:
        if not 1 <= profiles <= PROFILES_MAX:
            raise LocalError(f"{profiles} profiles; 1 to {PROFILES_MAX} are possible")
        self._of_profile: list[_Names] = [{} for _ in range(profiles)]

    def zone(
        self,
        name: str,
        ttl: int,
        kind: str = "zone",
        *,
        ede: int = NO_EDE,
        covers: bool = False,
        profiles: Iterable[int] | None = None,
    ) -> None:
        """A name and all below it: a zone, `denied`, `refused`, left alone (`forward`), or Python's (`ask`)."""
        flags = FLAGS["covers"] if covers else 0
        for names in self._chosen(profiles):
            names[wire_name(name).lower(), IN] = _Entry(kind, ttl, ede, flags)

    def record(
        self,
        name: str,
        rtype: int,
        ttl: int,
        rdata: bytes,
        *,
        rclass: int = IN,
        open_: bool = False,
        beside: str | None = None,
        profiles: Iterable[int] | None = None,
    ) -> None:
        """One record more of a name, alone or at a zone's apex.

        Args:
            name: Its owner.
            rtype: Its type.
            ttl: Seconds.
            rdata: Its data without compression.
            rclass: Its class.
            open_: Of types that the name does not hold here, others know.
            beside: A name of the table whose addresses go with it.
            profiles: Those it holds for.
        """
        key = wire_name(name).lower(), rclass
        for names in self._chosen(profiles):
            entry = names.setdefault(key, _Entry("name", ttl))
            if entry.kind not in {"name", "zone"}:
                entry = names[key] = _Entry("name", ttl)
            entry.flags |= FLAGS["open"] if open_ else 0
            entry.records.setdefault(rtype, []).append((ttl, rdata))
            if beside is not None:
                entry.beside[rtype] = (wire_name(beside).lower(),)

    def alias(self, name: str, target: str, ttl: int, *, profiles: Iterable[int] | None = None) -> None:
        """A name that is another's alias: the other's answers are told, wherever they come from."""
        for names in self._chosen(profiles):
            names[wire_name(name).lower(), IN] = _Entry(
                "name", ttl, records={CNAME: [(ttl, wire_name(target).lower())]}
            )

    def _chosen(self, profiles: Iterable[int] | None) -> list[_Names]:
        return self._of_profile if profiles is None else [self._of_profile[index] for index in profiles]

    def compile(self) -> Locals:
        """The table.

        Raises:
            LocalError: A chain of aliases has no end, or a set of records is too large.
        """
        nodes: dict[tuple[object, ...], tuple[int, Node]] = {}
        for index, names in enumerate(self._of_profile):
            for (name, rclass), entry in names.items():
                kind, records, target = entry.kind, *_written(names, name, rclass, entry)
                if target:
                    kind = "rewrite"
                node = (name, rclass, KINDS[kind], 0, entry.flags, entry.ttl, entry.ede, records, target)
                same = (*node[:7], tuple(records), target)
                nodes[same] = (nodes.get(same, (0, node))[0] | 1 << index, node)
        everybody = (1 << len(self._of_profile)) - 1
        try:
            return Locals(
                [(*node[:3], 0xFF if mask == everybody else mask, *node[4:]) for mask, node in nodes.values()]
            )
        except (ValueError, OverflowError) as error:
            raise LocalError(str(error)) from error


def _wire(owner: bytes, rtype: int, rclass: int, ttl: int, rdata: bytes) -> bytes:
    return owner + struct.pack("!HHIH", rtype, rclass, ttl, len(rdata)) + rdata


def _addresses(names: _Names, owners: tuple[bytes, ...]) -> tuple[int, bytes]:
    written = [
        _wire(owner, rtype, IN, ttl, rdata)
        for owner in owners
        if (owner, IN) in names
        for rtype in (A, AAAA)
        for ttl, rdata in names[owner, IN].records.get(rtype, [])
    ]
    return len(written), b"".join(written)


def _written(
    names: _Names, name: bytes, rclass: int, entry: _Entry
) -> tuple[list[tuple[int, int, bytes, int, bytes]], bytes]:
    """An entry's sets of records as they are copied into answers; and what it is an alias of, beyond the table."""
    owner, chain = _QUESTION, b""
    first, length = b"", 0
    here = entry
    while CNAME in here.records:
        if len(here.records) > 1 or len(here.records[CNAME]) > 1 or here.kind != "name":
            raise LocalError(f"{_text(name)}: an alias holds nothing else (RFC 1034 3.6.2)")
        length += 1
        if length > CHAIN_MAX:
            raise LocalError(f"{_text(name)}: the chain of aliases has no end, or more than {CHAIN_MAX} links")
        [(ttl, named)] = here.records[CNAME]
        target = named.lower()
        chain += _wire(owner, CNAME, rclass, ttl, target)
        first = first or chain
        owner = target
        following = names.get((target, rclass))
        if following is None or not following.records:
            return [], target
        here = following
    sets = [
        (
            rtype,
            length + len(records),
            chain + b"".join(_wire(owner, rtype, rclass, ttl, rdata) for ttl, rdata in records),
            *_addresses(names, here.beside.get(rtype, ())),
        )
        for rtype, records in here.records.items()
    ]
    if length:
        sets.append((CNAME, 1, first, 0, b""))
        sets.append((_EVERY_OTHER_TYPE, length, chain, 0, b""))
    return sets, b""
