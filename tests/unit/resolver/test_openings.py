"""Commitments to the hits per listed name."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest

from lachan import durable
from resolver._hot.tally import TALLY_LAYOUT
from resolver.openings import (
    BEYOND,
    HOUR,
    KEEP_HOURS,
    PART_BYTES,
    Commitment,
    Openings,
    OpeningsError,
    TallyFile,
    tree_root,
)
from tests.support.blocklist import entry
from tests.support.engine import policy, rig
from tests.support.packets import question

NOON = 12 * HOUR


def write(tally: TallyFile, worker: int, hour: int, hits: dict[int, int], beyond: int = 0) -> None:
    words = tally.part(worker).cast("Q")
    at = hour // HOUR % 2 * TALLY_LAYOUT["half_words"]
    words[at], words[at + 1] = hour + 1, beyond
    for place, (fingerprint, count) in enumerate(hits.items()):
        words[at + TALLY_LAYOUT["header"] + 2 * place] = fingerprint
        words[at + TALLY_LAYOUT["header"] + 2 * place + 1] = count


@pytest.fixture
def tally(tmp_path: Path) -> TallyFile:
    return TallyFile(tmp_path / "tally.ring", 2)


def test_an_hour_is_folded_over_all_workers(tally: TallyFile) -> None:
    write(tally, 0, NOON, {5: 2, 9: 1})
    write(tally, 1, NOON, {9: 4}, beyond=3)
    assert tally.fold(NOON) == {5: 2, 9: 5, BEYOND: 3}
    assert tally.fold(NOON - HOUR) == {}
    write(tally, 1, NOON + 2 * HOUR, {})
    assert tally.fold(NOON) is None


def test_the_file_survives_and_is_made_anew_for_other_workers(tally: TallyFile, tmp_path: Path) -> None:
    write(tally, 0, NOON, {5: 2})
    assert TallyFile(tmp_path / "tally.ring", 2).fold(NOON) == {5: 2}
    assert TallyFile(tmp_path / "tally.ring", 1).fold(NOON) == {}
    assert (tmp_path / "tally.ring").stat().st_size == PART_BYTES


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 13])
def test_the_tree_is_that_of_rfc_9162(size: int) -> None:
    def reference(leaves: list[bytes]) -> bytes:
        if len(leaves) == 1:
            return hashlib.sha256(b"\0" + leaves[0]).digest()
        k = 1
        while k * 2 < len(leaves):
            k *= 2
        return hashlib.sha256(b"\1" + reference(leaves[:k]) + reference(leaves[k:])).digest()

    leaves = [struct.pack("!I", number) for number in range(size)]
    assert tree_root(leaves) == reference(leaves)


def test_the_root_is_kept_before_it_is_told_and_never_changes(tally: TallyFile, tmp_path: Path) -> None:
    write(tally, 0, NOON, {5: 2})
    openings = Openings(tmp_path / "openings", tally, 0)
    told = openings.root_before(NOON + HOUR + 7)
    assert told is not None
    kept = Commitment.decode(openings.path(NOON).read_bytes())
    assert (kept.hour, kept.counts, kept.root()) == (NOON, {5: 2}, told[1])
    # More is counted late, or the supervisor starts anew: the hour stays what it was.
    write(tally, 0, NOON, {5: 3})
    assert Openings(tmp_path / "openings", tally, 0).root_before(NOON + HOUR) == told
    assert openings.path(NOON).stat().st_mode & 0o777 == 0o600


def test_equal_counts_have_unequal_roots(tally: TallyFile, tmp_path: Path) -> None:
    write(tally, 0, NOON, {5: 2})
    roots = {Openings(tmp_path / name, tally, 0).root_before(NOON + HOUR) for name in ("a", "b")}
    assert len(roots) == 2


def test_of_an_hour_before_counting_began_nothing_is_told(tally: TallyFile, tmp_path: Path) -> None:
    assert Openings(tmp_path / "openings", tally, NOON + HOUR).root_before(NOON + HOUR) is None
    assert Openings(tmp_path / "openings", tally, NOON + HOUR - 1).root_before(NOON + HOUR) is not None


def test_an_hour_that_was_overwritten_is_not_committed_to(tally: TallyFile, tmp_path: Path) -> None:
    write(tally, 0, NOON + 2 * HOUR, {5: 2})
    assert Openings(tmp_path / "openings", tally, 0).root_before(NOON + HOUR) is None


def test_nothing_is_told_where_it_cannot_be_kept(tally: TallyFile, tmp_path: Path) -> None:
    (tmp_path / "openings").write_text("a file where a folder should be")
    with pytest.raises(durable.FileError):
        Openings(tmp_path / "openings", tally, 0).root_before(NOON + HOUR)


def test_a_damaged_file_is_an_error_not_another_root(tally: TallyFile, tmp_path: Path) -> None:
    openings = Openings(tmp_path / "openings", tally, 0)
    openings.root_before(NOON + HOUR)
    openings.path(NOON).write_text('{"hour": 1}')
    with pytest.raises(OpeningsError):
        Openings(tmp_path / "openings", tally, 0).root_before(NOON + HOUR)


def test_old_hours_are_forgotten(tally: TallyFile, tmp_path: Path) -> None:
    openings = Openings(tmp_path / "openings", tally, 0)
    openings.root_before(NOON + HOUR)
    openings.root_before(NOON + (KEEP_HOURS + 2) * HOUR)
    assert not openings.path(NOON).exists()


def test_the_packet_path_counts_by_the_listed_name() -> None:
    rules = policy(entry("bad.example"), entry("worse.example"))
    assert rules.snapshot is not None
    made = rig(rules)
    for name in ("bad.example", "www.bad.example", "worse.example", "fine.example"):
        made.ask(question(name))
    header, half = (TALLY_LAYOUT[key] * 8 for key in ("header", "half_words"))
    hits = {
        fingerprint: count
        for start in (0, half)
        for fingerprint, count in struct.iter_unpack("<QQ", made.tally[start + header : start + half])
        if count
    }
    assert hits == {
        rules.snapshot.fingerprint("bad.example"): 2,
        rules.snapshot.fingerprint("worse.example"): 1,
    }
