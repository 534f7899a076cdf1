from __future__ import annotations

import struct

import pytest

from blocklist_sync.artifact.categories import Category
from resolver._hot.census import CENSUS_LAYOUT, Census
from resolver.schools import PART_BYTES
from tests.support.blocklist import entry
from tests.support.engine import SCHOOL, STRANGER, UDP, mapped, policy, rig
from tests.support.packets import question

HEAD = CENSUS_LAYOUT["head_words"]
NETWORKS = [(mapped("198.51.100.0"), 96 + 24, 0), (mapped("198.51.100.128"), 96 + 25, 3)]
NOW = 1_790_000_000


def header(tag: int = 0b110, until: int = 1 << 40) -> bytearray:
    words = [0] * HEAD
    words[CENSUS_LAYOUT["tag"]], words[CENSUS_LAYOUT["until"]] = tag, until
    words[CENSUS_LAYOUT["key"]] = 0x0123456789ABCDEF
    return bytearray(struct.pack(f"{HEAD}Q", *words))


def cells(part: bytearray, school: int, half: int = 0) -> tuple[list[int], int]:
    """A school's counts, and how many bits of its sketch are set."""
    at = half * CENSUS_LAYOUT["half_words"] + CENSUS_LAYOUT["half_head"] + school * CENSUS_LAYOUT["school_words"]
    words = memoryview(part).cast("Q")[at : at + CENSUS_LAYOUT["school_words"]].tolist()
    return words[: CENSUS_LAYOUT["cells"]], sum(word.bit_count() for word in words[CENSUS_LAYOUT["cells"] :])


def test_each_school_has_its_own_counts_and_a_client_one_bit() -> None:
    part = bytearray(PART_BYTES)
    census = Census(NETWORKS, header(), part)
    for _ in range(5):
        census.count(mapped("198.51.100.7"), 0, NOW)
    census.count(mapped("198.51.100.8"), int(Category.GAMBLING), NOW)
    census.count(mapped("198.51.100.200"), 0, NOW)
    census.count(mapped("192.0.2.1"), 0, NOW)
    counts, bits = cells(part, 0)
    assert (counts[0], counts[Category.GAMBLING], sum(counts), bits) == (6, 1, 7, 2)
    assert cells(part, 3)[0][0] == 1
    # No address is anywhere in it.
    assert b"\xc6\x33\x64\x07" not in bytes(part)
    assert b"\x07\x64\x33\xc6" not in bytes(part)


def test_a_client_sets_the_same_bit_in_every_worker_and_another_one_under_another_key() -> None:
    parts = [bytearray(PART_BYTES) for _ in range(3)]
    other = header()
    other[8 * CENSUS_LAYOUT["key"]] ^= 1
    for part, head in zip(parts, (header(), header(), other), strict=True):
        Census(NETWORKS, head, part).count(SCHOOL, 0, NOW)
    assert parts[0] == parts[1] != parts[2]


def test_nothing_is_counted_without_a_day_or_after_its_end() -> None:
    for head in (header(tag=0), header(until=NOW)):
        part = bytearray(PART_BYTES)
        Census(NETWORKS, head, part).count(SCHOOL, 0, NOW)
        assert cells(part, 0) == ([0] * 16, 0)


def test_a_new_day_begins_in_the_other_half_and_one_that_comes_back_from_nothing() -> None:
    part, head = bytearray(PART_BYTES), header(tag=0b110)
    census = Census(NETWORKS, head, part)
    census.count(SCHOOL, 0, NOW)
    head[:] = header(tag=0b1001)
    census.count(SCHOOL, 0, NOW)
    assert (cells(part, 0, 0)[0][0], cells(part, 0, 1)[0][0]) == (1, 1)
    # A worker in another's place goes on with its counts.
    Census(NETWORKS, head, part).count(SCHOOL, 0, NOW)
    assert cells(part, 0, 1)[0][0] == 2
    head[:] = header(tag=0b1010)
    census.count(SCHOOL, 0, NOW)
    assert cells(part, 0, 0) == ([1] + [0] * 15, 1)


def test_wrong_memory_and_too_many_schools_are_refused() -> None:
    with pytest.raises(ValueError, match="bytes, not"):
        Census(NETWORKS, header(), bytearray(PART_BYTES - 8))
    with pytest.raises(ValueError, match="are the most"):
        Census([(SCHOOL, 128, CENSUS_LAYOUT["schools"])], header(), bytearray(PART_BYTES))
    with pytest.raises(ValueError, match="16 bytes"):
        Census().count(b"", 0, NOW)


def test_the_engine_counts_schools_by_what_they_were_told() -> None:
    part = bytearray(PART_BYTES)
    rules = policy(entry("bad.example", Category.GAMBLING), entry("worse.example", Category.CSAM))
    at = rig(rules)
    at.engine.count_by(Census([(mapped("198.51.100.0"), 120, 0)], header(), part))
    for name, address in (
        ("www.bad.example", SCHOOL),
        ("worse.example", SCHOOL),
        ("bad.example", mapped("127.0.0.1")),
        ("bad.example", STRANGER),
    ):
        at.ask(question(name), client=address, transport=UDP)
    counts, bits = cells(part, 0)
    assert (counts[0], counts[Category.GAMBLING], counts[Category.CSAM], bits) == (2, 1, 1, 1)
    # A clean name waits for an upstream, and is counted once it is answered: as what was passed.
    at.exchange(question("clean.example"), lambda asked: asked[:2] + b"\x81\x80" + asked[4:], client=SCHOOL)
    counts, bits = cells(part, 0)
    assert (counts[0], sum(counts[1:]), bits) == (3, 2, 1)


def test_what_shadow_mode_only_counts_is_not_blocked() -> None:
    part = bytearray(PART_BYTES)
    at = rig(policy(entry("bad.example", Category.GAMBLING), shadow=True))
    at.engine.count_by(Census([(mapped("198.51.100.0"), 120, 0)], header(), part))
    at.exchange(question("bad.example"), lambda asked: asked[:2] + b"\x81\x80" + asked[4:], client=SCHOOL)
    assert cells(part, 0)[0] == [1] + [0] * 15
