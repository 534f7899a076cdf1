"""A kept state: gone on from where the log is the same, and never where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocklist_sync.central.log.approvals import Log
from blocklist_sync.central.log.fold import Coordinates, State
from blocklist_sync.central.log.folder import LogFolder
from blocklist_sync.central.log.statecache import StateCache, continued
from tests.support.clear_list import write_lines
from tests.support.registry import GAMBLING, NOW

HEAD = bytes(range(32))


class Steps(LogFolder):
    """A log whose head at every length is one."""

    def head_at(self, length: int) -> bytes:
        del length
        return HEAD


def kept(path: Path, length: int, as_of: int, head: bytes = HEAD) -> StateCache:
    cache = StateCache(path)
    counts = write_lines(cache.path, [GAMBLING], [("a.example", 0, 3)])
    cache.keep(State(Coordinates(length, head, as_of), cache.path, (GAMBLING,), tuple(counts)))
    return cache


def log(length: int) -> Log:
    return Log(length, HEAD, {}, ())


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    cache = StateCache(tmp_path / "one.tsv")
    assert cache.load() is None
    found = kept(tmp_path / "one.tsv", 4, NOW).load()
    assert found is not None
    assert (found.at, found.kinds, found.counts) == (Coordinates(4, HEAD, NOW), (GAMBLING,), (1,))


@pytest.mark.parametrize(
    "damage", [lambda c: c.path.write_bytes(b"x"), lambda c: c.path.with_suffix(".json").write_text("[]")]
)
def test_what_is_damaged_is_as_if_it_were_not_there(tmp_path: Path, damage: object) -> None:
    cache = kept(tmp_path / "one.tsv", 4, NOW)
    damage(cache)  # type: ignore[operator]
    assert cache.load() is None


def test_the_longest_of_the_same_log_is_gone_on_from(tmp_path: Path) -> None:
    short, long = kept(tmp_path / "one.tsv", 3, NOW - 9), kept(tmp_path / "other.tsv", 4, NOW - 5)
    source = Steps(tmp_path)
    found = continued([short, long], source, log(5), NOW)
    assert found is not None
    assert found.path == long.path
    # Of a log that is shorter, of an earlier moment, or of another log: not that one.
    for cut, as_of in ((3, NOW), (5, NOW - 7)):
        before = continued([short, long], source, log(cut), as_of)
        assert before is not None
        assert before.path == short.path
    assert continued([kept(tmp_path / "another.tsv", 4, NOW, bytes(32))], source, log(5), NOW) is None
