"""Counts per rule: committed to by one root, opened name by name."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from lachan.rulecounts import (
    BEYOND,
    MAX_BUCKET_RULES,
    Bucket,
    Counted,
    Opened,
    RuleCountError,
    depth_for,
    entries_of,
    place,
    seal,
    verify,
)

KEY = bytes(range(32))
RNG = random.Random(3)
RULES = sorted({RNG.getrandbits(64) for _ in range(300)})
COUNTS = {rule: number % 70 for number, rule in enumerate(RULES[::3])}
HOUR = Counted(KEY, COUNTS, RULES)
ROOT = HOUR.root()
ASKED = [BEYOND, RULES[0], RULES[1], RULES[299]]


@pytest.mark.parametrize("count", [0, 1, 2, 8, 9, 64, 65, 1000])
def test_every_rule_opens_whatever_their_number(count: int) -> None:
    drawn = random.Random(count)
    rules = sorted({drawn.getrandbits(64) for _ in range(count)})
    counts = dict.fromkeys(rules, 3)
    hour = Counted(KEY, counts, rules)
    buckets, opened = hour.open([*rules, BEYOND])
    assert verify(hour.root(), [*rules, BEYOND], buckets, opened) == {**counts, BEYOND: 0}
    assert {len(bucket.path) for bucket in buckets} == {depth_for(count + 1)}


def test_a_rule_without_hits_opens_as_zero_and_one_off_the_list_as_none() -> None:
    stranger = RULES[5] ^ 1
    buckets, opened = HOUR.open([*ASKED, stranger])
    found = verify(ROOT, [*ASKED, stranger], buckets, opened)
    assert found == {BEYOND: 0, RULES[0]: 0, RULES[1]: 0, RULES[299]: 0, stranger: None}
    assert verify(ROOT, [RULES[3]], *HOUR.open([RULES[3]])) == {RULES[3]: 1}


def test_nothing_is_opened_but_what_was_asked() -> None:
    buckets, opened = HOUR.open(ASKED)
    assert {one.fingerprint for one in opened} == set(ASKED)
    # The others leave as seals: not one of them can be found by trying every count without its salt.
    told = {one.salt for one in opened}
    for bucket in buckets:
        for fingerprint, sealed in entries_of(bucket.entries):
            if fingerprint not in ASKED:
                assert all(seal(salt, fingerprint, count) != sealed for salt in told for count in range(70))


def test_hits_on_names_that_left_the_list_are_committed_to_as_well() -> None:
    gone = RULES[7] ^ 2
    hour = Counted(KEY, {gone: 5}, RULES)
    assert verify(hour.root(), [gone], *hour.open([gone])) == {gone: 5}


def changed(count: int = 9, **fields: object) -> tuple[list[Bucket], list[Opened]]:
    buckets, opened = HOUR.open([RULES[3]])
    del count
    return [replace(buckets[0], **fields)], opened  # type: ignore[arg-type] - each field has its own type


def test_each_lie_is_refused() -> None:
    buckets, opened = HOUR.open([RULES[3]])
    lies: list[tuple[list[Bucket], list[Opened], str]] = [
        (buckets, [replace(opened[0], count=2)], "not what was committed"),
        (buckets, [replace(opened[0], salt=bytes(16))], "not what was committed"),
        (buckets, [replace(opened[0], salt=b"")], "out of bounds"),
        (buckets, [], "is not opened"),
        ([], opened, "bucket of rule"),
        (*changed(entries=b"".join([RULES[3].to_bytes(8, "big"), seal(bytes(16), RULES[3], 7)])), "does not lead"),
        (*changed(position=buckets[0].position ^ 1), "does not lead"),
        (*changed(position=1 << 30), "no place"),
        (*changed(path=(b"short",)), "32 bytes"),
        (*changed(path=(bytes(32),) * 25), "no place"),
        (*changed(entries=bytes(41)), "a bucket of"),
        (*changed(entries=bytes(40 * (MAX_BUCKET_RULES + 1))), "a bucket of"),
    ]
    for told, counts, why in lies:
        with pytest.raises(RuleCountError, match=why):
            verify(ROOT, [RULES[3]], told, counts)


def test_nobody_commits_to_two_counts_of_one_name() -> None:
    twice = [Opened(RULES[3], count, bytes(16)) for count in (0, 64)]
    entry = [RULES[3].to_bytes(8, "big") + seal(one.salt, one.fingerprint, one.count) for one in twice]
    from lachan.ledger.tree import leaf_hash, node_hash

    # Both in one bucket.
    both = Bucket(0, b"".join(entry), ())
    with pytest.raises(RuleCountError, match="twice"):
        verify(leaf_hash(both.entries), [RULES[3]], [both], twice[:1])
    # One each in two buckets: the fingerprint's first bit names one of them.
    root = node_hash(leaf_hash(entry[0]), leaf_hash(entry[1]))
    halves = [Bucket(0, entry[0], (leaf_hash(entry[1]),)), Bucket(1, entry[1], (leaf_hash(entry[0]),))]
    own = place(RULES[3], 1)
    assert verify(root, [RULES[3]], [halves[own]], [twice[own]]) == {RULES[3]: twice[own].count}
    with pytest.raises(RuleCountError, match="not its own"):
        verify(root, [RULES[3]], [halves[1 - own]], [twice[1 - own]])
