"""Records in plain Python, entry by entry and names in the clear: what the compiled packer is held against."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from blocklist_sync.artifact import orders, records
from blocklist_sync.artifact.records import Entry, FingerprintKey
from blocklist_sync.artifact.rules import Scope
from tests.support.siphash import siphash


def wire_labels(name: str) -> list[bytes]:
    """The labels of a canonical name from root to leaf, each behind its length byte (RFC 1035, section 3.1)."""
    return [bytes((len(label),)) + label.encode() for label in reversed(name.split("."))]


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


def apply(base: bytes, step: bytes) -> bytes:
    """The release that a delta makes of another, read as docs/formats/list.md says; nothing is checked."""
    _, _, epoch, _, key, count, _, order_count, table_bytes = struct.unpack_from("<8sIIQ16sQQII", base)
    table = list(orders.decode(base[64 : 64 + table_bytes], order_count))
    body = [struct.unpack_from("<QBBI", base, 64 + table_bytes + 14 * number) for number in range(count)]
    width, _, serial = struct.unpack_from("<B3xQQ", step, 12)
    names, gone, come, come_bytes, removed, removed_bytes, added, kinds = struct.unpack_from("<8I", step, 96)
    indices = set(struct.unpack_from(f"<{gone}H", step, 128))
    at = 128 + 2 * gone
    rows = [row for number, row in enumerate(table) if number not in indices]
    rows = sorted(rows + list(orders.decode(step[at : at + come_bytes], come)))
    at += come_bytes
    kind = [struct.unpack_from("<BBI", step, at + 6 * number) for number in range(kinds)]
    at += 6 * kinds
    gaps = _varints(step[at : at + removed_bytes])
    leaving = {sum(gaps[: number + 1]) + number for number in range(removed)}
    at += removed_bytes
    column = _varints(step[at + width * added :]) if kinds > 1 else [0] * added
    kept = {(one[0], one[1], one[2], rows.index(table[one[3]])) for n, one in enumerate(body) if n not in leaving}
    last = 0
    for number, which in enumerate(column):
        last += int.from_bytes(step[at + width * number : at + width * (number + 1)], "little")
        kept.add((last, *kind[which]))
    packed = orders.encode(rows)
    header = struct.pack("<8sIIQ16sQQII", b"LACHANR1", 1, epoch, serial, key, len(kept), names, len(rows), len(packed))
    return header + packed + b"".join(struct.pack("<QBBI", *row) for row in sorted(kept))


def _varints(data: bytes) -> list[int]:
    found, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            found.append(value)
            value = shift = 0
    return found
