"""The edit that makes one release of another under the same fingerprint key; docs/formats/list.md has it byte by byte.

Holds always: what `apply` returns has the digest that the delta announces, so it is byte for byte the release that the
delta was made of; a hostile delta costs no more time or memory than an honest one of its size; an error names its
offset. One pair of releases has one delta.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from blocklist_sync.artifact import _delta, orders, records
from blocklist_sync.artifact.errors import ArtifactError, DeltaError
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.records import Release

MAGIC = b"LACHAND1"
FORMAT = 1
MAX_BYTES = records.MAX_BYTES

_GONE = 0xFFFFFFFF
# Magic, format, bytes of a gap, three zeros, serials, digests, names, orders removed, orders added, bytes of those,
# removed, bytes of those, added, kinds.
_HEADER = struct.Struct("<8sIB3xQQ32s32sIIIIIIII")
_INDEX_BYTES = 2
_RESERVED = slice(13, 16)
_AT_SERIALS = 16
_AT_FROM = 32
_AT_TO = 64
_AT_COUNTS = 96


@dataclass(frozen=True)
class Delta:
    """A delta whose header was read: its sections are where they belong, but nothing else of them was looked at."""

    data: bytes
    width: int
    from_serial: int
    to_serial: int
    from_digest: bytes
    to_digest: bytes
    names: int
    orders_removed: int
    orders_added: int
    order_bytes: int
    removed: int
    removed_bytes: int
    added: int
    kinds: int


def _remap(old: Sequence[Order], new: Sequence[Order]) -> bytes:
    """For each old order its index in the new table; both are sorted."""
    index = {order: number for number, order in enumerate(new)}
    return struct.pack(f"<{len(old)}I", *[index.get(order, _GONE) for order in old])


def encode(old: Release, new: Release) -> bytes:
    """The delta from one release to another.

    Raises:
        ArtifactError: They are under two keys, or the other is not newer.
    """
    if old.key != new.key:
        raise ArtifactError("two releases under two fingerprint keys have nothing in common")
    if new.serial <= old.serial:
        raise ArtifactError(f"serial {new.serial} is not newer than {old.serial}")
    gone = set(old.orders) - set(new.orders)
    come = orders.encode(sorted(set(new.orders) - set(old.orders)))
    removed, gaps, added, width, kinds, fingerprints, column = _delta.diff(
        old.data, old.offset, old.count, new.data, new.offset, new.count, _remap(old.orders, new.orders)
    )
    indices = [number for number, order in enumerate(old.orders) if order in gone]
    header = _HEADER.pack(
        MAGIC,
        FORMAT,
        width,
        old.serial,
        new.serial,
        old.digest,
        new.digest,
        new.names,
        len(indices),
        len(new.orders) - len(old.orders) + len(indices),
        len(come),
        removed,
        len(gaps),
        added,
        len(kinds) // 6,
    )
    return b"".join((header, struct.pack(f"<{len(indices)}H", *indices), come, kinds, gaps, fingerprints, column))


def parse(data: bytes) -> Delta:
    """The delta in `data`, with its header looked at.

    Raises:
        DeltaError: It is none.
    """
    if len(data) > MAX_BYTES:
        raise DeltaError(MAX_BYTES, f"larger than {MAX_BYTES} bytes")
    if len(data) < _HEADER.size:
        raise DeltaError(len(data), "the header is cut short")
    magic, version, *fields = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise DeltaError(0, "not a delta")
    if version != FORMAT:
        raise DeltaError(8, f"format {version}; this reads format {FORMAT}")
    if any(data[_RESERVED]):
        raise DeltaError(_RESERVED.start, "bytes that mean nothing yet are not zero")
    delta = Delta(data, *fields)
    if delta.to_serial <= delta.from_serial:
        raise DeltaError(_AT_SERIALS, f"from serial {delta.from_serial} to {delta.to_serial}")
    if max(delta.orders_removed, delta.orders_added) > orders.MAX_ORDERS:
        raise DeltaError(_AT_COUNTS, f"more than {orders.MAX_ORDERS} orders")
    return delta


def _orders(base: Release, delta: Delta) -> tuple[tuple[Order, ...], int]:
    """The new order table, and where the section behind it begins.

    Raises:
        DeltaError: A row to remove is none, or a row to add is malformed or there already.
    """
    added_at = _HEADER.size + _INDEX_BYTES * delta.orders_removed
    end = added_at + delta.order_bytes
    if end > len(delta.data):
        raise DeltaError(len(delta.data), "cut short among the orders")
    indices = struct.unpack_from(f"<{delta.orders_removed}H", delta.data, _HEADER.size)
    before = -1
    for number, index in enumerate(indices):
        if not before < index < len(base.orders):
            raise DeltaError(_HEADER.size + _INDEX_BYTES * number, f"no order {index} to remove behind {before}")
        before = index
    try:
        come = orders.decode(delta.data[added_at:end], delta.orders_added)
    except orders.OrdersError as error:
        raise DeltaError(added_at + error.offset, error.reason) from error
    gone = set(indices)
    table = sorted([*(order for number, order in enumerate(base.orders) if number not in gone), *come])
    if len(set(table)) != len(table):
        raise DeltaError(added_at, "an added order is there already")
    if len(table) > orders.MAX_ORDERS:
        raise DeltaError(added_at, f"more than {orders.MAX_ORDERS} orders")
    return tuple(table), end


def apply(base: Release, delta: Delta) -> Release:
    """The release that a delta makes of `base`.

    Raises:
        DeltaError: It is a delta of another release, malformed, or makes another release than it announces.
    """
    if delta.from_serial != base.serial:
        raise DeltaError(_AT_SERIALS, f"from serial {delta.from_serial}, not {base.serial}")
    if delta.from_digest != base.digest:
        raise DeltaError(_AT_FROM, f"from other records than these of serial {base.serial}")
    table, kinds_at = _orders(base, delta)
    count = base.count - delta.removed + delta.added
    if not 0 <= count <= records.MAX_RECORDS:
        raise DeltaError(_AT_COUNTS, f"{count} records would be left")
    edited = bool(delta.orders_removed or delta.orders_added)
    prefix = records.header(
        delta.to_serial,
        base.key,
        count,
        delta.names,
        len(table),
        orders.encode(table) if edited else base.order_table,
    )
    data = _delta.apply(
        base.data,
        base.offset,
        base.count,
        _remap(base.orders, table),
        prefix,
        len(table),
        delta.data,
        kinds_at=kinds_at,
        kinds=delta.kinds,
        removed=delta.removed,
        removed_bytes=delta.removed_bytes,
        added=delta.added,
        width=delta.width,
    )
    # Hashed before it is read: what is announced was made of a release, so only then is there anything to read.
    if hashlib.sha256(data).digest() != delta.to_digest:
        raise DeltaError(_AT_TO, "it makes other records than it announces")
    try:
        return records.parse(data)
    except ArtifactError as error:
        raise DeltaError(_AT_TO, f"it announces no release: {error}") from error
