from __future__ import annotations

import random
import struct
from collections.abc import Callable

import pytest

from blocklist_sync.artifact import _delta, delta, records
from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.errors import ArtifactError, DeltaError
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.records import Encoder, FingerprintKey, Release
from blocklist_sync.artifact.rules import Scope
from tests.support.blocklist import KEY, MANDATE, OFFER, entry, release

THIRD = Order("56/CV", mandated=True)


def check(old: Release, new: Release) -> bytes:
    """The delta, seen to work."""
    data = delta.encode(old, new)
    assert delta.apply(old, delta.parse(data)).data == new.data
    return data


def test_a_delta_makes_the_next_release() -> None:
    stays = [entry(f"n{i}.example", random.choice(list(Category))) for i in range(50)]
    old = release(*stays, entry("gone.example", order=OFFER), serial=4)
    # One order goes, one comes before the one that stays, a kind changes, and an exception marks what is above it.
    new = release(
        *stays[:-1],
        stays[-1]._replace(scope=Scope.EXACT),
        entry("new.example", order=Order("01/QĐ", mandated=True)),
        entry("ok.n1.example", exception=True),
        entry("ok.n1.example", stays[1].category, exception=True),
        serial=9,
    )
    told = delta.parse(check(old, new))
    assert (told.from_serial, told.to_serial, told.from_digest, told.to_digest) == (4, 9, old.digest, new.digest)
    assert (told.orders_removed, told.orders_added, told.names) == (1, 1, new.names)
    # There and back again.
    check(release(*stays, serial=1), release(serial=2))
    check(release(serial=1), release(*stays, serial=2))
    assert len(check(release(*stays, serial=1), release(*stays, serial=2))) == 128


def test_every_order_that_stays_may_move() -> None:
    many = [Order(f"{n:03}", mandated=bool(n % 2)) for n in range(300)]
    before = [entry(f"n{n}.example", order=order) for n, order in enumerate(many)]
    check(release(*before, serial=1), release(*before[1::3], entry("z.example", order=THIRD), serial=2))
    check(release(*before[1::3], serial=1), release(*before, serial=2))


def test_one_name_with_many_records() -> None:
    orders = [Order(f"{n}", mandated=True) for n in range(40)]
    all_of_them = [entry("a.example", order=order) for order in orders]
    for seed in range(20):
        source = random.Random(seed)
        old, new = (release(*source.sample(all_of_them, 25), serial=serial) for serial in (1, 2))
        check(old, new)


def test_a_hundred_names_of_a_long_list_are_a_thousand_bytes() -> None:
    def listed(first: int, serial: int) -> Release:
        encoder = Encoder(KEY)
        kind = encoder.kind(Scope.SUBTREE, False, Category.GAMBLING, MANDATE)
        encoder.add_lines(b"".join([b"n%d.example\t0\n" % n for n in range(first, first + 200_000)]), [kind])
        return records.parse(encoder.release(serial))

    assert len(check(listed(0, 1), listed(100, 2))) < 1200


def test_releases_that_have_no_delta() -> None:
    old = release(entry("a.example"), serial=2)
    with pytest.raises(ArtifactError, match="not newer"):
        delta.encode(old, release(entry("b.example"), serial=2))
    with pytest.raises(ArtifactError, match="two fingerprint keys"):
        delta.encode(old, release(entry("a.example"), serial=3, key=FingerprintKey(2, KEY.key)))


def test_a_delta_of_another_release_is_refused() -> None:
    old, new = release(entry("a.example"), serial=1), release(entry("b.example"), serial=2)
    step = delta.parse(delta.encode(old, new))
    for other, offset in ((new, 16), (release(entry("c.example"), serial=1), 32)):
        with pytest.raises(DeltaError) as refused:
            delta.apply(other, step)
        assert refused.value.offset == offset


# Sorted under KEY, so that the sections below can be written by hand: two orders, four records.
OLD = release(
    entry("a.example"), entry("b.example"), entry("c.example", order=OFFER), entry("d.example", order=OFFER), serial=1
)
ROWS = sorted(OLD)
NEW = release(entry("a.example"), entry("b.example"), entry("e.example", order=THIRD), serial=2)
GOOD = delta.encode(OLD, NEW)
# Header 128 bytes; the index of one order that goes; "56/CV" behind two bytes; one kind; two gaps; one fingerprint.
ORDERS, COME, KINDS, REMOVED, ADDED, END = 128, 130, 137, 143, 145, 153


def _set(at: int, form: str, value: object) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        struct.pack_into(form, data, at, value)

    return change


def _also(*changes: Callable[[bytearray], None]) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        for one in changes:
            one(data)

    return change


def _insert(at: int, value: bytes) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        data[at:at] = value

    return change


def test_the_sections_are_where_the_cases_below_take_them_to_be() -> None:
    told = delta.parse(GOOD)
    assert (told.orders_removed, told.order_bytes, told.kinds) == (1, COME + 7 - COME, 1)
    assert (told.removed, told.removed_bytes, told.added, told.width) == (2, 2, 1, 8)
    assert len(GOOD) == END


@pytest.mark.parametrize(
    ("change", "offset", "reason"),
    [
        (lambda data: data.__delitem__(slice(127, None)), 127, "header"),
        (_set(0, "B", 0), 0, "not a delta"),
        (_set(8, "<I", 2), 8, "format 2"),
        (_set(13, "B", 1), 13, "not zero"),
        (_set(12, "B", 0), KINDS, "kinds"),
        (_set(12, "B", 9), KINDS, "kinds"),
        (_set(24, "<Q", 1), 16, "from serial 1 to 1"),
        (_set(24, "<Q", 3), 64, "other records"),
        (_set(64, "B", 0), 64, "other records"),
        (_set(96, "<I", 7), 64, "other records"),
        (_set(100, "<I", 1 << 17), 96, "orders"),
        (_set(104, "<I", 1 << 31), 96, "orders"),
        (_set(100, "<I", 13), END, "cut short"),
        (_set(108, "<I", 1 << 31), END, "cut short"),
        (_set(108, "<I", 6), COME, "ends inside a row"),
        (_set(ORDERS, "<H", 2), ORDERS, "no order 2"),
        (_set(COME, "B", 9), COME, "unknown flags"),
        (_also(_set(COME + 2, "5s", b"12/Q\xc4"), _set(COME, "B", 1)), COME + 6, "not UTF-8"),
        (_set(112, "<I", 1 << 31), 96, "records would be left"),
        (_set(112, "<I", 3), REMOVED, "removed"),
        (_set(112, "<I", 1), REMOVED + 1, "after the last"),
        (_set(116, "<I", 1 << 31), REMOVED, "removed"),
        (_set(116, "<I", 3), ADDED + 1, "added"),
        (_set(120, "<I", 2), ADDED, "added"),
        (_set(120, "<I", 1 << 30), 96, "records would be left"),
        (_set(120, "<I", 0), ADDED, "after the last"),
        (_set(124, "<I", 0), ADDED + 2, "no such kind"),
        (_set(124, "<I", 1 << 31), KINDS, "kinds"),
        (_set(KINDS + 2, "<I", 2), ADDED, "no such order"),
        (_set(KINDS, "B", 0xFF), 64, "other records"),
        (_set(REMOVED, "B", 4), REMOVED, "no such record"),
        # The last record goes first: what comes before it would be more than is left.
        (_set(REMOVED, "B", 3), REMOVED, "no such record"),
        (_set(REMOVED + 1, "B", 0x80), REMOVED + 1, "does not end"),
        (_also(_set(REMOVED, "B", 0x80), _set(REMOVED + 1, "B", 0x80)), REMOVED, "does not end"),
        (_set(ADDED, "<Q", 5), 64, "other records"),
        (lambda data: data.append(0), END, "after the last"),
        (lambda data: data.pop(), ADDED, "added"),
    ],
)
def test_what_is_malformed_is_refused_with_its_place(
    change: Callable[[bytearray], None], offset: int, reason: str
) -> None:
    data = bytearray(GOOD)
    change(data)
    with pytest.raises(DeltaError, match=reason) as refused:
        delta.apply(OLD, delta.parse(bytes(data)))
    assert refused.value.offset == offset


def test_an_order_that_goes_takes_its_records_with_it() -> None:
    # The two records under it stay: nothing is removed.
    data = bytearray(GOOD)
    struct.pack_into("<II", data, 112, 0, 0)
    del data[REMOVED:ADDED]
    with pytest.raises(DeltaError, match="an order that goes") as refused:
        delta.apply(OLD, delta.parse(bytes(data)))
    assert refused.value.offset == KINDS


def test_an_added_order_must_be_new() -> None:
    other = release(entry("a.example", order=THIRD), entry("b.example", order=OFFER), serial=1)
    data = bytearray(GOOD)
    data[32:64] = other.digest
    data[ORDERS] = 0
    with pytest.raises(DeltaError, match="there already") as refused:
        delta.apply(other, delta.parse(bytes(data)))
    assert refused.value.offset == COME


def _apply(added: list[int], column: bytes, kinds: list[tuple[int, int, int]], width: int = 8) -> bytes:
    """Adds records to the old ones, with a delta that is nothing but that."""
    packed = b"".join(struct.pack("<BBI", *kind) for kind in kinds)
    gaps = b"".join(gap.to_bytes(width, "little") for gap in added)
    return _delta.apply(
        OLD.data,
        OLD.offset,
        OLD.count,
        struct.pack("<II", 0, 1),
        b"",
        2,
        packed + gaps + column,
        kinds_at=0,
        kinds=len(kinds),
        removed=0,
        removed_bytes=0,
        added=len(added),
        width=width,
    )


def test_added_records_are_sorted_and_new() -> None:
    low, high = (1, 4, 0), (1, 4, 1)
    assert len(_apply([1, 0], b"\0\1", [low, high])) == 6 * 14
    for added, column, kinds, offset, reason in (
        ([1, 0], b"\1\0", [low, high], 20, "not sorted"),
        ([1, 0], b"\0\0", [low, high], 20, "not sorted"),
        ([1, (1 << 64) - 1], b"\0\1", [low, high], 20, "too large"),
        ([1], b"\2", [low, high], 20, "no such kind"),
        ([1], b"", [low, high], 20, "does not end"),
        ([1], b"\0\0", [low, high], 21, "after the last"),
        ([1], b"\x80\x80\x80\x80\x80\0", [low, high], 20, "does not end"),
        ([1], b"", [], 8, "no such kind"),
        ([ROWS[1].fingerprint], b"", [tuple(ROWS[1])[1:]], 6, "there already"),
    ):
        with pytest.raises(DeltaError, match=reason) as refused:
            _apply(added, column, kinds)  # type: ignore[arg-type]  # rows of a table
        assert refused.value.offset == offset, (added, reason)


def test_what_is_larger_than_any_delta_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta, "MAX_BYTES", 100)
    with pytest.raises(DeltaError, match="larger than 100"):
        delta.parse(bytes(101))
