"""A worker's cells: which row a count goes to, and what a buffer must be."""

from __future__ import annotations

import struct
import time

import pytest

from resolver._hot.counters import LAYOUT, Counters
from tests.support.blocklist import entry
from tests.support.engine import TCP, Rig, policy, rig
from tests.support.packets import question

ROW_BYTES = LAYOUT["row_cells"] * 8


def rows(own: Rig) -> dict[int, int]:
    """Of each row that was begun, its number and its window's start."""
    starts = (struct.unpack_from("<Q", own.ring, row * ROW_BYTES)[0] for row in range(LAYOUT["windows"]))
    return {row: start - 1 for row, start in enumerate(starts) if start}


def test_the_cells_of_a_row_do_not_overlap() -> None:
    single = {
        LAYOUT[name]
        for name in ("window", "overridden", "upstream_failures", "cache_hits", "cache_misses", "forwarded")
    }
    assert len(single) == 6
    assert max(single) < LAYOUT["drop"]
    assert LAYOUT["drop"] + LAYOUT["drops"] <= LAYOUT["blocked"]
    assert LAYOUT["blocked"] + LAYOUT["categories"] * LAYOUT["actions"] <= LAYOUT["queries"]
    end = LAYOUT["queries"] + LAYOUT["transports"] * LAYOUT["profiles"] * LAYOUT["rcodes"]
    assert end == LAYOUT["row_cells"]


def test_counts_stand_in_the_row_of_the_window_that_runs() -> None:
    own = rig(policy(entry("bad.example")), upstreams=0)
    before = int(time.time())
    own.ask(question("bad.example"))
    after = int(time.time())
    found = rows(own)
    # The window may end between the two looks at the clock.
    assert set(found.values()) <= {before - before % 300, after - after % 300}
    assert all(row == start // 300 % LAYOUT["windows"] for row, start in found.items())
    assert own.queries(TCP, rcode=3) == 1


def test_a_row_that_held_another_window_begins_at_zero() -> None:
    own = rig(policy(entry("bad.example")), upstreams=0)
    now = int(time.time())
    row = now // 300 % LAYOUT["windows"]
    stale = now - now % 300 - 300 * LAYOUT["windows"] + 1
    for number in {row, (row + 1) % LAYOUT["windows"]}:
        own.ring[number * ROW_BYTES : (number + 1) * ROW_BYTES] = struct.pack("<Q", stale) * LAYOUT["row_cells"]
    counters = Counters(memoryview(own.ring), 300)
    assert counters is not None
    again = rig(policy(entry("bad.example")), upstreams=0, ring=own.ring)
    again.ask(question("bad.example"))
    [(found, start)] = [(number, start) for number, start in rows(again).items() if start != stale - 1]
    cells = struct.unpack_from(f"<{LAYOUT['row_cells']}Q", again.ring, found * ROW_BYTES)
    assert start >= now - now % 300
    assert sum(cells[1:]) == 2


def test_a_row_of_the_same_window_goes_on() -> None:
    # As after a worker was started again: what the one before counted stays.
    own = rig(policy(entry("bad.example")), upstreams=0)
    own.ask(question("bad.example"))
    again = rig(policy(entry("bad.example")), upstreams=0, ring=own.ring)
    again.ask(question("bad.example"))
    assert again.queries(TCP, rcode=3) == 2


@pytest.mark.parametrize(
    "size", [0, 1, ROW_BYTES, LAYOUT["windows"] * ROW_BYTES - 8, LAYOUT["windows"] * ROW_BYTES + 8]
)
def test_a_buffer_has_one_size(size: int) -> None:
    with pytest.raises(ValueError, match=f"{size} bytes"):
        Counters(bytearray(size), 300)


def test_a_buffer_is_writable_and_a_window_has_a_length() -> None:
    with pytest.raises(BufferError):
        Counters(bytes(LAYOUT["windows"] * ROW_BYTES), 300)
    with pytest.raises(ValueError, match="at least a second"):
        Counters(bytearray(LAYOUT["windows"] * ROW_BYTES), 0)


def test_who_is_turned_away_is_a_drop_of_the_window_that_runs() -> None:
    ring = bytearray(LAYOUT["windows"] * ROW_BYTES)
    counters = Counters(ring, 300)
    for reason in (1, 3, 3):
        counters.turn_away(reason, 301)
    counters.turn_away(1, 600)
    drops = {
        row: struct.unpack_from(f"<{LAYOUT['drops']}Q", ring, row * ROW_BYTES + LAYOUT["drop"] * 8) for row in (1, 2)
    }
    assert drops == {1: (0, 1, 0, 2, 0, 0), 2: (0, 1, 0, 0, 0, 0)}
    with pytest.raises(ValueError, match="there is no reason 6"):
        counters.turn_away(LAYOUT["drops"], 600)
