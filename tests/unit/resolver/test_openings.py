"""Commitments to the hits per listed name."""

from __future__ import annotations

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
    RuleLists,
    TallyFile,
)
from tests.support.blocklist import entry
from tests.support.engine import policy, rig
from tests.support.packets import question

NOON = 12 * HOUR
RULES = (9, 5, 7)


def kept(openings: Openings, hour: int) -> Path:
    path = openings.path(hour)
    assert path is not None
    return path


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


def test_the_root_is_kept_before_it_is_told_and_never_changes(tally: TallyFile, tmp_path: Path) -> None:
    write(tally, 0, NOON, {5: 2})
    openings = Openings(tmp_path / "openings", tally, 0, lambda: RULES)
    told = openings.root_before(NOON + HOUR + 7)
    assert told is not None
    made = Commitment.decode(kept(openings, NOON).read_bytes())
    assert (made.hour, made.counts, made.counted(sorted(RULES)).root()) == (NOON, {5: 2}, told[1])
    # More is counted late, or the supervisor starts anew: the hour stays what it was.
    write(tally, 0, NOON, {5: 3})
    assert Openings(tmp_path / "openings", tally, 0, lambda: RULES).root_before(NOON + HOUR) == told
    assert kept(openings, NOON).stat().st_mode & 0o777 == 0o600


def test_equal_counts_have_unequal_roots(tally: TallyFile, tmp_path: Path) -> None:
    write(tally, 0, NOON, {5: 2})
    roots = {Openings(tmp_path / name, tally, 0, lambda: RULES).root_before(NOON + HOUR) for name in ("a", "b")}
    assert len(roots) == 2


def test_of_an_hour_before_counting_began_nothing_is_told(tally: TallyFile, tmp_path: Path) -> None:
    assert Openings(tmp_path / "openings", tally, NOON + HOUR, lambda: RULES).root_before(NOON + HOUR) is None
    assert Openings(tmp_path / "openings", tally, NOON + HOUR - 1, lambda: RULES).root_before(NOON + HOUR) is not None


def test_an_hour_that_was_overwritten_is_not_committed_to(tally: TallyFile, tmp_path: Path) -> None:
    write(tally, 0, NOON + 2 * HOUR, {5: 2})
    assert Openings(tmp_path / "openings", tally, 0, lambda: RULES).root_before(NOON + HOUR) is None


def test_nothing_is_told_where_it_cannot_be_kept(tally: TallyFile, tmp_path: Path) -> None:
    (tmp_path / "openings").write_text("a file where a folder should be")
    with pytest.raises(durable.FileError):
        Openings(tmp_path / "openings", tally, 0, lambda: RULES).root_before(NOON + HOUR)


def test_a_damaged_file_is_an_error_not_another_root(tally: TallyFile, tmp_path: Path) -> None:
    openings = Openings(tmp_path / "openings", tally, 0, lambda: RULES)
    openings.root_before(NOON + HOUR)
    kept(openings, NOON).write_text('{"hour": 1}')
    with pytest.raises(OpeningsError):
        Openings(tmp_path / "openings", tally, 0, lambda: RULES).root_before(NOON + HOUR)


def test_old_hours_are_forgotten(tally: TallyFile, tmp_path: Path) -> None:
    openings = Openings(tmp_path / "openings", tally, 0, lambda: RULES)
    openings.root_before(NOON + HOUR)
    openings.root_before(NOON + (KEEP_HOURS + 2) * HOUR)
    assert openings.path(NOON) is None


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


def test_hours_share_a_list_and_a_small_difference_is_kept_beside_it(tmp_path: Path, tally: TallyFile) -> None:
    lists = [list(range(1, 101)), list(range(1, 101)), list(range(2, 103)), list(range(1000, 1100))]
    openings = Openings(tmp_path / "openings", tally, 0, lambda: lists[0])
    roots = []
    for number in range(4):
        told = openings.root_before(NOON + (number + 1) * HOUR)
        assert told is not None
        roots.append(told)
        lists.pop(0)
    files = sorted(path.name for path in (tmp_path / "openings").glob("rules-*.bin"))
    assert len(files) == 2
    for hour, root in roots:
        again = Openings(tmp_path / "openings", tally, 0, lambda: ()).commitment(hour)
        assert again is not None
        assert again.root() == root
    third = Commitment.decode(kept(openings, roots[2][0]).read_bytes())
    assert (third.added, third.removed) == ([101, 102], [1])
    # A list that no hour names any more goes with its last hour.
    lists.append([1])
    openings.root_before(NOON + (KEEP_HOURS + 9) * HOUR)
    assert len(list((tmp_path / "openings").glob("rules-*.bin"))) == 1


def test_a_list_that_was_damaged_is_an_error_not_another_root(tmp_path: Path, tally: TallyFile) -> None:
    openings = Openings(tmp_path / "openings", tally, 0, lambda: RULES)
    openings.root_before(NOON + HOUR)
    (path,) = (tmp_path / "openings").glob("rules-*.bin")
    path.write_bytes(bytes(8))
    fresh = Openings(tmp_path / "openings", tally, 0, lambda: RULES)
    with pytest.raises(OpeningsError):
        fresh.root_before(NOON + HOUR)
    # A later hour keeps its list whole, since there is none to differ from.
    assert fresh.root_before(NOON + 2 * HOUR) is not None
    assert RuleLists(tmp_path / "openings").keep([1], "0" * 32)[1:] == ([], [])
