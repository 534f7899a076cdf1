"""Following a log: every line once, through renames, cuts and restarts."""

from __future__ import annotations

import random
from pathlib import Path

from resolver.rpzlog import follow
from resolver.rpzlog.follow import Follower, Place


def all_of(log: Path, place: Place | None) -> tuple[list[bytes], Place | None, int]:
    """Everything there is to read now."""
    lines, gaps = [], 0
    while True:
        turn = Follower(log).read(place)
        lines += turn.lines
        gaps += turn.gaps
        place = turn.place
        if turn.caught_up:
            return lines, place, gaps


def write(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def test_what_was_there_before_is_not_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert all_of(log, None) == ([], None, 0)
    write(log, "before\n")
    lines, place, _ = all_of(log, None)
    write(log, "after\n")
    assert (lines, all_of(log, place)[0]) == ([], [b"after"])


def test_a_log_that_came_to_be_meanwhile_is_told_from_its_beginning(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "log")
    assert follower.read(None).lines == []
    write(tmp_path / "log", "first\n")
    assert follower.read(None).lines == [b"first"]


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    _, place, _ = all_of(log, None)
    write(log, "one\ntw")
    lines, place, _ = all_of(log, place)
    write(log, "o\n")
    assert (lines, all_of(log, place)[0]) == ([b"one"], [b"two"])


def test_renamed_files_are_read_to_their_ends_in_order_though_nobody_looked_meanwhile(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    _, place, _ = all_of(log, None)
    write(log, "1\n")
    _, place, _ = all_of(log, place)
    write(log, "2\n")
    for number in (3, 4, 5):
        for old in (1, 0):
            if (tmp_path / f"log.{old}").exists():
                (tmp_path / f"log.{old}").rename(tmp_path / f"log.{old + 1}")
        log.rename(tmp_path / "log.0")
        write(log, f"{number}\n")
    assert all_of(log, place)[::2] == ([b"2", b"3", b"4", b"5"], 0)


def test_a_file_renamed_and_not_followed_yet_loses_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    _, place, _ = all_of(log, None)
    log.rename(tmp_path / "log.0")
    # Still written, while the next file is not there yet, and then while it is empty.
    write(tmp_path / "log.0", "1\n")
    lines, place, _ = all_of(log, place)
    log.touch()
    write(tmp_path / "log.0", "2\n")
    more, place, _ = all_of(log, place)
    write(log, "3\n")
    assert [*lines, *more, *all_of(log, place)[0]] == [b"1", b"2", b"3"]


def test_a_cut_is_a_gap_even_where_the_file_has_grown_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    _, place, _ = all_of(log, None)
    write(log, "first line\n")
    _, place, _ = all_of(log, place)
    log.write_text("another line, longer than before\n")
    lines, place, gaps = all_of(log, place)
    assert (lines, gaps) == ([b"another line, longer than before"], 1)
    log.write_text("")
    assert all_of(log, place)[::2] == ([], 1)


def test_a_file_that_is_gone_or_compressed_unread_is_a_gap(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    _, place, _ = all_of(log, None)
    write(log, "1\n")
    log.rename(tmp_path / "log.1.gz")
    write(log, "2\n")
    (tmp_path / "log.1.gz").unlink()
    (tmp_path / "kept").touch()
    assert all_of(log, place)[::2] == ([b"2"], 1)


def test_a_line_longer_than_any_is_passed_over_and_counted(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    _, place, _ = all_of(log, None)
    write(log, "x" * (follow.MAX_LINE_BYTES + 1) + "\nshort\n")
    turn = Follower(log).read(place)
    assert (turn.lines, turn.overlong) == ([b"short"], 1)


def test_random_histories_give_every_line_once(tmp_path: Path) -> None:
    rng = random.Random(9)
    log = tmp_path / "log"
    log.touch()
    _, place, _ = all_of(log, None)
    written, seen = 0, []
    for step in range(250):
        action = rng.randrange(10)
        if action < 6:
            for _ in range(rng.randrange(1, 5)):
                written += 1
                write(log, f"{written}\n")
        elif action < 8:
            for old in sorted(tmp_path.glob("log.*"), key=lambda path: -int(path.suffix[1:])):
                old.rename(tmp_path / f"log.{int(old.suffix[1:]) + 1}")
            log.rename(tmp_path / "log.0")
            write(log, "")
        else:
            lines, place, gaps = all_of(log, place)
            seen += lines
            assert gaps == 0, step
    seen += all_of(log, place)[0]
    assert [int(line) for line in seen] == list(range(1, written + 1))
