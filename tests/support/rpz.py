"""A Response Policy Zone as resolvers read it: the file in, what follows for a name out."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import dns.rdatatype
import dns.zone

from blocklist_sync.artifact.policy import PolicyBundle, default
from blocklist_sync.artifact.records import Entry
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.rpz.order import in_tree_order
from blocklist_sync.central.rpz.source import names_above
from blocklist_sync.central.rpz.tree import Owner, owners
from blocklist_sync.central.rpz.zone import Counts, Head, Reason, ZoneSettings, zone

ORIGIN = "lachan.rpz.so.example"
DIGEST = "ab" * 32


def owners_of(entries: Iterable[Entry], categories: frozenset[int], folder: Path) -> list[Owner]:
    """What the zone of a list has to hold."""
    listed = list(entries)
    kinds = sorted({Kind(*entry[1:]) for entry in listed}, key=repr)
    above = {(a, entry.category) for entry in listed if entry.exception for a in names_above([entry.name])}
    numbered = [(entry.name, kinds.index(Kind(*entry[1:]))) for entry in listed]
    return list(owners(in_tree_order(numbered, folder), kinds, categories, above))  # type: ignore[arg-type]


def zone_of(
    held: Iterable[Owner], *, serial: int = 7, settings: ZoneSettings | None = None, bundle: PolicyBundle | None = None
) -> tuple[str, Counts, list[tuple[str, Reason]]]:
    """The zone file's text, what was counted, and what was left out."""
    counts, left_out = Counts(), []
    settings, bundle = settings or ZoneSettings(ORIGIN), bundle or default()
    head = Head(serial, DIGEST, settings.digest(bundle))
    pieces = zone(held, head, settings, bundle, counts, lambda name, reason: left_out.append((name, reason)))
    return b"".join(pieces).decode(), counts, left_out


class Reader:
    """A zone as a resolver looks names up in it."""

    def __init__(self, text: str) -> None:
        self.zone = dns.zone.from_file(io.StringIO(text), relativize=True)
        self._data = {
            str(name): [(dns.rdatatype.to_text(d.rdtype), d.to_text()) for rds in node.rdatasets for d in rds]
            for name, node in self.zone.nodes.items()
        }
        self._exists = {"@"} | {above for name in self._data for above in [name, *names_above([name])]}

    def exact(self, name: str) -> Sequence[tuple[str, str]] | None:
        """As BIND: the name, or the wildcard of the deepest name above it that exists (RFC 4592)."""
        if name in self._exists:
            return self._data.get(name)
        for above in names_above([name]):
            if above in self._exists:
                return self._data.get(f"*.{above}")
        return None

    def plain(self, name: str) -> Sequence[tuple[str, str]] | None:
        """As Unbound, PowerDNS and Knot Resolver: the name, or the deepest wildcard above it."""
        for owner in (name, *(f"*.{above}" for above in names_above([name]))):
            if owner in self._data:
                return self._data[owner]
        return None
