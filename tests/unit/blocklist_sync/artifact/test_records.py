from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable

import pytest

from blocklist_sync.artifact import _snapshot, records
from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.errors import ArtifactError, RecordsError
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.rules import Scope
from tests.support.blocklist import KEY, MANDATE, OFFER, entry, release

ENTRIES = [
    entry("bad.example"),
    entry("ok.bad.example", exception=True),
    entry("worse.example", Category.SCAM, order=OFFER),
    entry("worse.example", Category.SCAM, order=OFFER, scope=Scope.EXACT),
]
# Header 64 bytes, then the rows of "12/QĐ" and "34/QĐ".
BODY = 64 + 2 * (2 + 6)


def test_the_same_entries_give_the_same_bytes() -> None:
    first = records.encode(ENTRIES, 3, KEY)
    for seed in range(20):
        shuffled = [*ENTRIES, random.Random(seed).choice(ENTRIES)]
        random.Random(seed).shuffle(shuffled)
        assert records.encode(shuffled, 3, KEY) == first
    # The format is a promise: a change of it must change its number too.
    assert hashlib.sha256(first).hexdigest() == "3622052854b834dcc78c2af80865c8d77db2d1093e545cec2e4731d32fa16343"


def test_a_release_comes_back() -> None:
    parsed = release(*ENTRIES, serial=3)
    assert (parsed.serial, parsed.key, parsed.count, parsed.names) == (3, KEY, 4, 3)
    assert parsed.orders == (MANDATE, OFFER)
    assert parsed.digest == hashlib.sha256(parsed.data).digest()
    found = list(parsed)
    assert found == sorted(found)
    bad = _snapshot.fingerprint("bad.example", KEY.key)
    assert (bad, records.SUBTREE | records.EXCEPTION_BELOW, Category.GAMBLING, 0) in found
    assert len(parsed.data) == BODY + 4 * 14


def test_exception_below_is_of_its_category_and_strictly_below() -> None:
    def shadowed(*entries: records.Entry) -> bool:
        return any(record.flags & records.EXCEPTION_BELOW for record in release(*entries))

    assert shadowed(entry("bad.example"), entry("a.b.bad.example", exception=True))
    assert shadowed(entry("bad.example"), entry("a.bad.example", exception=True, scope=Scope.EXACT))
    assert not shadowed(entry("bad.example"), entry("bad.example", exception=True))
    assert not shadowed(entry("bad.example", scope=Scope.EXACT), entry("a.bad.example", exception=True))
    assert not shadowed(entry("bad.example"), entry("a.bad.example", Category.SCAM, exception=True))
    assert not shadowed(entry("bad.example"), entry("a.notbad.example", exception=True))


def test_mandated_comes_from_the_order_or_the_category() -> None:
    assert entry("a.example").mandated
    assert not entry("a.example", order=OFFER).mandated
    assert entry("a.example", Category.CSAM, order=OFFER).mandated


def test_an_unfit_order_is_not_written() -> None:
    with pytest.raises(ArtifactError):
        records.encode([entry("a.example", order=Order("a\nb", mandated=True))], 1, KEY)


def _set(at: int, form: str, value: object) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        struct.pack_into(form, data, at, value)

    return change


def _swap(data: bytearray) -> None:
    data[BODY : BODY + 28] = data[BODY + 14 : BODY + 28] + data[BODY : BODY + 14]


def _repeat(data: bytearray) -> None:
    data[BODY + 14 : BODY + 28] = data[BODY : BODY + 14]


@pytest.mark.parametrize(
    ("change", "offset", "reason"),
    [
        (_set(0, "B", 0), 0, "not a release"),
        (_set(8, "<I", 2), 8, "format 2"),
        (_set(16, "<Q", 0), 16, "serial 0"),
        (_set(40, "<Q", 1 << 60), 40, "more than"),
        (_set(40, "<Q", 3), BODY + 42, "bytes after"),
        (_set(40, "<Q", 5), BODY + 56, "cut short"),
        (_set(48, "<Q", 4), 48, "3 found"),
        (_set(56, "<I", 1), 72, "bytes after the last row"),
        (_set(56, "<I", 1 << 31), 64, "orders, more than"),
        (_set(60, "<I", 1 << 31), 60, "order table of"),
        (_set(64, "B", 7), 64, "unknown flags"),
        (_set(BODY + 8, "B", 9), BODY + 8, "unknown flags"),
        (_set(BODY + 8, "B", 4), BODY + 8, "exception below"),
        (_set(BODY + 9, "B", 0), BODY + 9, "unknown category 0"),
        (_set(BODY + 9, "B", 9), BODY + 9, "unknown category 9"),
        (_set(BODY + 10, "<I", 2), BODY + 10, "order 2 of 2"),
        (_swap, BODY + 14, "not sorted"),
        (_repeat, BODY + 14, "repeated"),
        (lambda data: data.append(0), BODY + 56, "bytes after"),
        (lambda data: data.pop(), BODY + 55, "cut short"),
        (lambda data: data.__delitem__(slice(60, None)), 60, "header"),
    ],
)
def test_what_is_malformed_is_refused_with_its_place(
    change: Callable[[bytearray], None], offset: int, reason: str
) -> None:
    data = bytearray(records.encode(ENTRIES, 3, KEY))
    change(data)
    with pytest.raises(RecordsError, match=reason) as refused:
        records.parse(bytes(data))
    assert refused.value.offset == offset
