"""The release's definition: its bytes.

A header, the order table, then the records, sorted, 14 bytes each: the fingerprint (u64), flags, category, and order
index (u32), little-endian. The release's digest is SHA-256 of all of it.

Holds always: the same entries, serial and key give the same bytes; what `parse` accepts has no unknown flag or
category, no order out of its table, nothing unsorted or twice, and no byte too many; an error names its offset.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from blocklist_sync.artifact import _snapshot, orders
from blocklist_sync.artifact._pack import Packer
from blocklist_sync.artifact.categories import ALWAYS_MANDATED, Category
from blocklist_sync.artifact.errors import ArtifactError, RecordsError
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.rules import Scope

MAGIC = b"LACHANR1"
FORMAT = 1
KEY_BYTES = 16
RECORD_BYTES = 14
MAX_RECORDS = 16_000_000
MAX_ORDER_TABLE_BYTES = 8 << 20
MAX_BYTES = 256 << 20

SUBTREE = 1
EXCEPTION = 2
EXCEPTION_BELOW = 4

# Magic, format, key epoch, serial, key, records, names, orders, bytes of the order table.
_HEADER = struct.Struct("<8sIIQ16sQQII")
_RECORD = struct.Struct("<QBBI")
HEADING_BYTES = _HEADER.size

_Kind = tuple[Scope, bool, Category, Order]


class Entry(NamedTuple):
    """One listed name, in the clear; `name` is canonical."""

    name: str
    scope: Scope
    exception: bool
    category: Category
    order: Order

    @property
    def mandated(self) -> bool:
        """Whether it binds everybody: by its order, or by its category whatever the order says."""
        return self.order.mandated or self.category in ALWAYS_MANDATED


class Record(NamedTuple):
    """One entry as the release carries it."""

    fingerprint: int
    flags: int
    category: int
    order: int


@dataclass(frozen=True)
class FingerprintKey:
    """The key that names are hashed under, and its epoch."""

    epoch: int
    key: bytes


@dataclass(frozen=True)
class Release:
    """A release whose every byte was checked; `data` is all of it, its records begin at `offset`."""

    data: bytes
    serial: int
    key: FingerprintKey
    count: int
    names: int
    orders: tuple[Order, ...]
    order_table: bytes
    offset: int

    @property
    def digest(self) -> bytes:
        """SHA-256 of the release."""
        return hashlib.sha256(self.data).digest()

    def __iter__(self) -> Iterator[Record]:
        return map(Record._make, _RECORD.iter_unpack(memoryview(self.data)[self.offset :]))


class Encoder:
    """Makes a release of a list that comes piece by piece, in any order, too long to be held as objects.

    Memory is 20 bytes an entry while it comes, 28 a record once it is sorted and written, and the kinds.
    """

    def __init__(self, key: FingerprintKey) -> None:
        self._key = key
        self._packer = Packer(key.key)
        self._numbers: dict[_Kind, int] = {}

    def kind(self, scope: Scope, exception: bool, category: Category, order: Order) -> int:
        """The number of what entries have in common but for the name."""
        kind = (scope, exception, category, order)
        number = self._numbers.get(kind)
        if number is None:
            flags = SUBTREE * (scope is Scope.SUBTREE) | EXCEPTION * exception
            number = self._numbers[kind] = self._packer.kind(flags, category)
        return number

    def add(self, entries: Iterable[Entry]) -> None:
        """Adds entries.

        Raises:
            ArtifactError: A name cannot be put on the wire.
        """
        add = self._packer.add
        last: tuple[object, ...] = (None, None, None, None)
        number = -1
        for name, scope, exception, category, order in entries:
            # Entries of one kind mostly share its objects: comparing those is far quicker than hashing them.
            if order is not last[3] or category is not last[2] or scope is not last[0] or exception is not last[1]:
                number = self.kind(scope, exception, category, order)
                last = (scope, exception, category, order)
            add(name, number)

    def add_lines(self, lines: bytes, kinds: list[int]) -> int:
        """Adds an entry for each line, `NAME TAB INDEX [TAB …] LF`; much the quickest road.

        Args:
            lines: Whole lines.
            kinds: The number of each kind that a line may name by its index.

        Returns:
            How many lines there were.

        Raises:
            ArtifactError: A line is malformed.
        """
        return self._packer.add_lines(lines, kinds)

    def release(self, serial: int) -> bytes:
        """The release of what was added; nothing can be added afterwards.

        Raises:
            FingerprintCollisionError: Two names have one fingerprint under this key: draw the next.
            ArtifactError: There are too many entries, or an order's text is unfit.
        """
        used = set(self._packer.used())
        table = sorted({order for (*_, order), number in self._numbers.items() if number in used})
        index = {order: number for number, order in enumerate(table)}
        of_kind = [index.get(order, 0) for *_, order in self._numbers]
        count, names = self._packer.sort(struct.pack(f"<{len(of_kind)}I", *of_kind))
        if count > MAX_RECORDS:
            raise ArtifactError(f"{count} entries, more than {MAX_RECORDS}")
        order_table = orders.encode(table)
        return self._packer.release(header(serial, self._key, count, names, len(table), order_table))


def header(serial: int, key: FingerprintKey, count: int, names: int, order_count: int, order_table: bytes) -> bytes:
    """What stands before the records of a release, the order table included."""
    fixed = _HEADER.pack(MAGIC, FORMAT, key.epoch, serial, key.key, count, names, order_count, len(order_table))
    return fixed + order_table


def encode(entries: Iterable[Entry], serial: int, key: FingerprintKey) -> bytes:
    """The release of these entries.

    Raises:
        FingerprintCollisionError: Two names have one fingerprint under this key: draw the next.
        ArtifactError: There are too many entries, or a name or an order's text is unfit.
    """
    encoder = Encoder(key)
    encoder.add(entries)
    return encoder.release(serial)


def heading(data: bytes) -> tuple[int, FingerprintKey]:
    """Serial and key of the release that begins with `data`, at least `HEADING_BYTES` of it.

    Raises:
        RecordsError: It is none.
    """
    if len(data) < HEADING_BYTES:
        raise RecordsError(len(data), "the header is cut short")
    magic, version, epoch, serial, key, *_ = _HEADER.unpack_from(data)
    if (magic, version) != (MAGIC, FORMAT):
        raise RecordsError(0, "not a release that this reads")
    return serial, FingerprintKey(epoch, key)


def parse(data: bytes) -> Release:
    """The release in `data`, with every record looked at.

    Raises:
        RecordsError: It is none, or not exactly one.
    """
    if len(data) > MAX_BYTES:
        raise RecordsError(MAX_BYTES, f"larger than {MAX_BYTES} bytes")
    if len(data) < _HEADER.size:
        raise RecordsError(len(data), "the header is cut short")
    magic, version, epoch, serial, key, count, names, order_count, table_bytes = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise RecordsError(0, "not a release")
    if version != FORMAT:
        raise RecordsError(8, f"format {version}; this reads format {FORMAT}")
    if serial == 0:
        raise RecordsError(16, "serial 0 means no release")
    if count > MAX_RECORDS:
        raise RecordsError(40, f"{count} records, more than {MAX_RECORDS}")
    if table_bytes > MAX_ORDER_TABLE_BYTES:
        raise RecordsError(60, f"an order table of {table_bytes} bytes, more than {MAX_ORDER_TABLE_BYTES}")
    offset = _HEADER.size + table_bytes
    end = offset + count * RECORD_BYTES
    if len(data) < end:
        raise RecordsError(len(data), f"cut short: the header announces {end} bytes")
    if len(data) > end:
        raise RecordsError(end, "bytes after the last record")
    order_table = data[_HEADER.size : offset]
    try:
        table = orders.decode(order_table, order_count)
    except orders.OrdersError as error:
        raise RecordsError(_HEADER.size + error.offset, error.reason) from error
    found = _snapshot.check(data, offset, count, len(table))
    if found != names:
        raise RecordsError(48, f"{names} names announced, {found} found")
    return Release(data, serial, FingerprintKey(epoch, key), count, names, table, order_table, offset)
