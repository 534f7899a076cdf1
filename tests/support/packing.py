"""Records in plain Python, entry by entry and names in the clear: what the compiled packer is held against."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from blocklist_sync.artifact import orders, records
from blocklist_sync.artifact.names import wire_labels
from blocklist_sync.artifact.records import Entry, FingerprintKey
from blocklist_sync.artifact.rules import Scope
from tests.support.siphash import siphash


def fingerprint(name: str, key: bytes) -> int:
    """A name's fingerprint: its wire labels from the root to the leaf."""
    return siphash(key, b"".join(wire_labels(name)))


def encode(entries: Iterable[Entry], serial: int, key: FingerprintKey) -> bytes:
    """The release of these entries; collisions are not looked for."""
    listed = set(entries)
    table = sorted({one.order for one in listed})
    above = {
        (".".join(labels[cut:]), one.category)
        for one in listed
        if one.exception
        for labels in [one.name.split(".")]
        for cut in range(1, len(labels))
    }
    body = set()
    for one in listed:
        flags = (records.SUBTREE if one.scope is Scope.SUBTREE else 0) | (records.EXCEPTION if one.exception else 0)
        if flags == records.SUBTREE and (one.name, one.category) in above:
            flags |= records.EXCEPTION_BELOW
        body.add((fingerprint(one.name, key.key), flags, int(one.category), table.index(one.order)))
    rows = orders.encode(table)
    names = len({row[0] for row in body})
    header = struct.pack(
        "<8sIIQ16sQQII", b"LACHANR1", 1, key.epoch, serial, key.key, len(body), names, len(table), len(rows)
    )
    return header + rows + b"".join(struct.pack("<QBBI", *row) for row in sorted(body))
