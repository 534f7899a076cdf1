from __future__ import annotations

import random
import struct

import pytest

from blocklist_sync.artifact import records
from blocklist_sync.artifact._pack import Packer
from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.errors import ArtifactError, FingerprintCollisionError
from blocklist_sync.artifact.records import Encoder
from blocklist_sync.artifact.rules import Scope
from tests.support import packing
from tests.support.blocklist import KEY, MANDATE, OFFER, entry


def packer(*names: str) -> Packer:
    packer = Packer(KEY.key)
    kind = packer.kind(records.SUBTREE, Category.GAMBLING)
    for name in names:
        packer.add(name, kind)
    return packer


def test_two_texts_with_one_fingerprint_collide() -> None:
    # Two names are one string to the hash only by the same label bytes, so a collision is staged with the case.
    with pytest.raises(FingerprintCollisionError):
        packer("a.example", "b.example", "A.example").sort(bytes(4))
    assert packer("a.example", "a.example").sort(bytes(4)) == (1, 1)


def test_a_collision_above_an_exception_marks_nothing() -> None:
    entries = [entry("BAD.example"), entry("ok.bad.example", exception=True)]
    parsed = records.parse(records.encode(entries, 1, KEY))
    assert not any(record.flags & records.EXCEPTION_BELOW for record in parsed)


def test_a_large_list_in_any_order_is_what_the_reference_says() -> None:
    source = random.Random(3)
    entries = [
        entry(
            f"{'x.' * source.randrange(3)}n{source.randrange(1500)}.example",
            source.choice(list(Category)),
            order=source.choice([MANDATE, OFFER]),
            scope=source.choice(list(Scope)),
            exception=source.random() < 0.2,
        )
        for _ in range(4000)
    ]
    expected = packing.encode(entries, 9, KEY)
    assert records.encode(iter(entries), 9, KEY) == expected
    source.shuffle(entries)
    assert records.encode(entries, 9, KEY) == expected


def test_one_name_under_many_kinds_and_the_same_exception_over_and_over() -> None:
    entries = [entry("a.example", order=records.Order(f"{n}", mandated=True)) for n in range(300)]
    entries += [entry(f"n{n % 7}.a.b.c.example", exception=True) for n in range(20_000)]
    assert records.encode(entries, 1, KEY) == packing.encode(entries, 1, KEY)


def test_lines_are_entries() -> None:
    entries = [entry("a.example"), entry("b.example", order=OFFER), entry("www.a.example", exception=True)]
    encoder = Encoder(KEY)
    kinds = [encoder.kind(*one[1:]) for one in entries]
    # A kind that no entry has does not bring its order into the table.
    encoder.kind(Scope.EXACT, False, Category.SCAM, records.Order("0", mandated=True))
    assert encoder.add_lines(b"b.example\t1\t17\na.example\t0\n", kinds) == 2
    assert encoder.add_lines(b"www.a.example\t2\t+\n", kinds) == 1
    assert encoder.add_lines(b"", kinds) == 0
    assert encoder.release(5) == records.encode(entries, 5, KEY)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (b"a.example\t0\nb.example\t0", "line 2: not a name"),
        (b"a.example\n", "line 1: not a name"),
        (b"a.example\t1\n", "line 1: no kind"),
        (b"a.example\t-1\n", "line 1: no kind"),
        (b"a.example\t\n", "line 1: no kind"),
        (b"a.example\t0x\n", "line 1: no kind"),
        (b"a.example\t99999999999999999999\n", "line 1: no kind"),
        (b"a.example\t0\n\t0\n", "line 2: a label"),
        (b"a..example\t0\n", "line 1: a label"),
        (b"\xc3\xa9.example\t0\n", "line 1: a name in A-labels"),
        (b"a." * 127 + b"example\t0\n", "line 1: a name is at most"),
        (b"\n", "line 1: not a name"),
    ],
)
def test_a_malformed_line_is_named(lines: bytes, reason: str) -> None:
    encoder = Encoder(KEY)
    kind = encoder.kind(Scope.SUBTREE, False, Category.GAMBLING, MANDATE)
    with pytest.raises(ArtifactError, match=reason):
        encoder.add_lines(lines, [kind])


def test_the_longest_name_passes() -> None:
    name = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])
    assert len(name) == 253
    entries = [entry(name, exception=True), entry(name[64:])]
    assert records.encode(entries, 1, KEY) == packing.encode(entries, 1, KEY)


def test_misuse_is_refused() -> None:
    with pytest.raises(ArtifactError, match="16 bytes"):
        Packer(b"short")
    own = packer("a.example")
    assert len(own) == 1
    assert own.used() == [0]
    for flags, category in ((records.EXCEPTION_BELOW, 1), (8, 1), (0, 0), (0, 9)):
        with pytest.raises(ArtifactError, match="no kind of entry"):
            own.kind(flags, category)
    for kind in (-1, 1):
        with pytest.raises(ArtifactError, match="no kind"):
            own.add("a.example", kind)
    with pytest.raises(ArtifactError, match="not sorted yet"):
        own.release(b"")
    for index in (b"", bytes(8)):
        with pytest.raises(ArtifactError, match="an order index for each kind"):
            own.sort(index)
    own.sort(struct.pack("<I", 7))
    with pytest.raises(ArtifactError, match="sorted"):
        own.sort(bytes(4))
    with pytest.raises(ArtifactError, match="sorted already"):
        own.add("b.example", 0)
    assert own.release(b"before") == own.release(b"before")
    assert own.release(b"")[8:] == struct.pack("<BBI", records.SUBTREE, Category.GAMBLING, 7)


def test_an_empty_list_is_a_release() -> None:
    assert records.parse(records.encode([], 1, KEY)).count == 0
