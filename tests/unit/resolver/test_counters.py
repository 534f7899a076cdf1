"""The ring of windows: made, adopted, folded over workers, and totals that never go down."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from resolver._hot.counters import LAYOUT
from resolver.counters import DEPTH, HEADER_BYTES, PART_BYTES, Ring, RingError, Totals, WindowCounts, plus

STEP = 10
ROOT = Path(__file__).resolve().parents[3]


def create(path: Path, **changed: object) -> Ring:
    arguments = {
        "window_seconds": STEP, "workers": 2, "profiles": ["default", "school"], "epoch": b"e" * 16, "previous": b"",
        "now": 1000,
    }  # fmt: skip
    return Ring.create(path, **{**arguments, **changed})  # type: ignore[arg-type] # each as `create` takes it


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "counters.ring"


@pytest.fixture
def ring(path: Path) -> Iterator[Ring]:
    made = create(path)
    yield made
    made.close()


def write(ring: Ring, worker: int, window: int, **counts: int) -> None:
    """Puts counts into a worker's row, as the compiled core does; `queries_2_1_3` is transport, profile, rcode."""
    row = window // ring.window_seconds % DEPTH * LAYOUT["row_cells"]
    with ring.part(worker).cast("Q") as cells:
        if cells[row] != window + 1:
            for number in range(LAYOUT["row_cells"]):
                cells[row + number] = 0
        cells[row] = window + 1
        for key, count in counts.items():
            name, *numbers = key.rsplit("-") if "-" in key else [key]
            cell = LAYOUT[name]
            if name == "queries":
                transport, profile, rcode = map(int, numbers)
                cell += (transport * LAYOUT["profiles"] + profile) * LAYOUT["rcodes"] + rcode
            elif name == "blocked":
                cell += int(numbers[0]) * LAYOUT["actions"] + int(numbers[1])
            elif name == "drop":
                cell += int(numbers[0])
            cells[row + cell] += count


def test_a_ring_says_what_it_was_made_for(path: Path) -> None:
    made = create(path, previous=b"p" * 16)
    for ring in (made, Ring(path)):
        assert (ring.window_seconds, ring.workers, ring.profiles) == (STEP, 2, ("default", "school"))
        assert (ring.boot_epoch, ring.previous_boot_epoch, ring.created_at) == (b"e" * 16, b"p" * 16, 1000)
        ring.close()
    assert path.stat().st_size == HEADER_BYTES + 2 * PART_BYTES
    # Reserved, not sparse: a full disk must not kill a worker.
    assert path.stat().st_blocks * 512 >= path.stat().st_size


def test_a_ring_laid_out_alike_is_adopted_with_its_counts(path: Path, ring: Ring) -> None:
    write(ring, 0, 1000, cache_hits=3)
    adopted = Ring.adopt_or_create(
        path, window_seconds=STEP, workers=2, profiles=["default", "school"], epoch=b"f" * 16, now=2000
    )
    assert (adopted.boot_epoch, adopted.created_at) == (b"e" * 16, 1000)
    counts = adopted.fold(1000)
    assert counts is not None
    assert counts.cache_hits == 3
    adopted.close()


@pytest.mark.parametrize(
    "changed",
    [{"window_seconds": 20}, {"workers": 3}, {"profiles": ["default"]}, {"profiles": ["school", "default"]}],
)
def test_a_ring_laid_out_otherwise_gives_way_to_one_that_names_it(
    path: Path, ring: Ring, changed: dict[str, object]
) -> None:
    wanted = {"window_seconds": STEP, "workers": 2, "profiles": ["default", "school"], **changed}
    fresh = Ring.adopt_or_create(path, **wanted, epoch=b"f" * 16, now=2000)  # type: ignore[arg-type] # as it takes them
    assert (fresh.boot_epoch, fresh.previous_boot_epoch) == (b"f" * 16, b"e" * 16)
    assert fresh.fold(1000) is not None
    fresh.close()
    # Whoever still counts into the old one counts into memory of its own.
    write(ring, 0, 1000, cache_hits=1)


def test_without_a_ring_the_first_one_has_no_predecessor(path: Path) -> None:
    fresh = Ring.adopt_or_create(path, window_seconds=STEP, workers=1, profiles=["default"], epoch=b"f" * 16, now=1)
    assert fresh.previous_boot_epoch == b""
    fresh.close()


def damage(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


HEAD = struct.calcsize("<8sIIII16s16sqI")


@pytest.mark.parametrize(
    "bad",
    [
        lambda _: b"",
        lambda _: b"LACHRING",
        lambda _: bytes(HEADER_BYTES),
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: damage(data, 0, b"X"),
        lambda data: damage(data, 8, b"\2"),
        lambda data: damage(data, 12, bytes(4)),
        lambda data: damage(data, 16, b"\xff\xff\xff\xff"),
        lambda data: damage(data, HEAD - 4, b"\xff\xff\xff\xff"),
        lambda data: damage(data, HEAD, b"\xff"),
        lambda data: damage(data, HEAD, b"{"),
        lambda data: damage(data, HEAD - 4, b"\0\0\0\0"),
        lambda data: damage(damage(data, HEAD - 4, b"\1\0\0\0"), HEAD, b"5"),
        lambda data: damage(damage(data, HEAD - 4, b"\3\0\0\0"), HEAD, b"[1]"),
    ],
)
def test_what_is_no_ring_is_refused_and_replaced(path: Path, bad: object) -> None:
    create(path).close()
    assert callable(bad)
    path.write_bytes(bad(path.read_bytes()))
    with pytest.raises(RingError, match=r"counters\.ring"):
        Ring(path)
    fresh = Ring.adopt_or_create(path, window_seconds=STEP, workers=1, profiles=["default"], epoch=b"f" * 16, now=1)
    assert fresh.previous_boot_epoch == b""
    fresh.close()


def test_a_ring_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RingError, match="No such file"):
        create(tmp_path / "none" / "counters.ring")
    with pytest.raises(RingError, match=r"none/counters\.ring"):
        Ring(tmp_path / "none" / "counters.ring")


# Folding --------------------------------------------------------------------------------------------------------------


def test_a_window_is_the_sum_of_its_workers(ring: Ring) -> None:
    write(ring, 0, 1000, **{"queries-1-0-0": 5, "queries-2-1-3": 2, "blocked-4-1": 2, "drop-2": 1, "overridden": 7})
    write(ring, 1, 1000, **{"queries-1-0-0": 1, "queries-1-0-11": 4, "queries-1-1-12": 8, "queries-1-1-15": 16,
                            "blocked-8-6": 3, "upstream_failures": 6, "cache_misses": 9, "forwarded": 10})  # fmt: skip
    assert ring.fold(1000) == WindowCounts(
        window_start=1000,
        window_seconds=STEP,
        queries={
            (1, "default", 0): 6, (2, "school", 3): 2, (1, "default", 16): 4,
            (1, "school", 23): 8, (1, "school", 15): 16,
        },
        blocked={(4, 1): 2, (8, 6): 3},
        drops={2: 1},
        overridden=7,
        upstream_failures=6,
        cache_misses=9,
        forwarded=10,
    )  # fmt: skip
    assert ring.fold(1000) == ring.fold(1000)


def test_a_window_in_which_nobody_counted_is_empty(ring: Ring) -> None:
    assert ring.fold(1000) == WindowCounts(1000, STEP, {}, {}, {}, 0, 0)
    write(ring, 0, 1000, cache_hits=3)
    # A row that still holds an older window says nothing of a newer one.
    assert ring.fold(1000 + DEPTH * STEP) == WindowCounts(1000 + DEPTH * STEP, STEP, {}, {}, {}, 0, 0)


def test_a_window_is_lost_once_one_worker_has_begun_to_write_over_it(ring: Ring) -> None:
    write(ring, 0, 1000, cache_hits=3)
    write(ring, 1, 1000, cache_hits=4)
    write(ring, 1, 1000 + DEPTH * STEP, cache_hits=1)
    assert ring.fold(1000) is None
    later = ring.fold(1000 + DEPTH * STEP)
    assert later is not None
    assert later.cache_hits == 1
    beside = ring.fold(1010)
    assert beside is not None
    assert beside.cache_hits == 0


def test_a_worker_in_another_process_is_read_here(path: Path, ring: Ring) -> None:
    program = f"""
from pathlib import Path
from resolver.counters import Ring
from tests.support.engine import CLIENT, TCP, policy, rig
from tests.support.blocklist import entry
from tests.support.packets import question
ring = Ring(Path({str(path)!r}))
own = rig(policy(entry("bad.example")), upstreams=0, ring=ring.part(1), window_seconds={STEP})
for _ in range(1000):
    own.ask(question("bad.example"))
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, timeout=60)
    with ring.part(1).cast("Q") as cells:
        starts = [cells[row * LAYOUT["row_cells"]] for row in range(DEPTH)]
    folded = [ring.fold(start - 1) for start in starts if start]
    assert sum(counts.queries[2, "default", 3] for counts in folded if counts) == 1000
    assert sum(counts.blocked[4, 1] for counts in folded if counts) == 1000


# Totals ---------------------------------------------------------------------------------------------------------------


def hits(totals: Totals, now: int) -> int:
    return totals.read(now).cache_hits


def test_totals_take_in_closed_windows_and_the_open_one(ring: Ring) -> None:
    totals = Totals(ring, 1003)
    write(ring, 0, 1000, cache_hits=1)
    assert [hits(totals, now) for now in (1004, 1004, 1009)] == [1, 1, 1]
    write(ring, 1, 1000, cache_hits=2)
    write(ring, 0, 1010, cache_hits=10)
    assert hits(totals, 1011) == 13
    # A worker that was late to turn counts into the window before.
    write(ring, 0, 1020, cache_hits=100)
    assert [hits(totals, now) for now in (1025, 1035, 1300)] == [113, 113, 113]


def test_totals_begin_with_the_window_they_were_made_in(ring: Ring) -> None:
    write(ring, 0, 990, cache_hits=50)
    assert hits(Totals(ring, 1003), 1004) == 0


def test_totals_never_go_down_however_long_nobody_looked(ring: Ring) -> None:
    totals = Totals(ring, 1000)
    write(ring, 0, 1000, cache_hits=5, **{"queries-1-0-0": 5})
    assert hits(totals, 1001) == 5
    # Written over before anybody looked again: what was seen of it stays.
    write(ring, 0, 1000 + DEPTH * STEP, cache_hits=1)
    late = totals.read(1001 + DEPTH * STEP)
    assert (late.cache_hits, late.queries[1, "default", 0]) == (6, 5)
    later = totals.read(1001 + 3 * DEPTH * STEP)
    assert (later.cache_hits, later.queries[1, "default", 0]) == (6, 5)


def test_totals_never_go_down_when_the_clock_is_set_back(ring: Ring) -> None:
    totals = Totals(ring, 1000)
    write(ring, 0, 1000, cache_hits=5)
    assert hits(totals, 1001) == 5
    for now in (995, 500, 1):
        assert hits(totals, now) == 5
    write(ring, 0, 1000, cache_hits=1)
    assert hits(totals, 1009) == 6
    assert hits(totals, 1011) == 6


def test_windows_add_up() -> None:
    a = WindowCounts(10, STEP, {(1, "default", 0): 1}, {(1, 1): 1}, {1: 1}, 1, 2, 3, 4, 5)
    b = WindowCounts(20, STEP, {(1, "default", 0): 2, (2, "default", 0): 3}, {(2, 1): 1}, {1: 2, 2: 1}, 1, 2, 3, 4, 5)
    assert plus(a, b) == WindowCounts(
        10, STEP, {(1, "default", 0): 3, (2, "default", 0): 3}, {(1, 1): 1, (2, 1): 1}, {1: 3, 2: 1}, 2, 4, 6, 8, 10
    )


def test_the_header_has_room_for_the_longest_names(path: Path) -> None:
    names = [f"{number}" * 32 for number in range(8)]
    assert len(json.dumps(names)) < HEADER_BYTES - HEAD
    ring = create(path, profiles=names)
    assert ring.profiles == tuple(names)
    ring.close()


def test_profiles_are_added_behind_those_that_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "counters.ring"
    ring = Ring.create(
        path, window_seconds=STEP, workers=1, profiles=["default", "school"], epoch=b"e" * 16, previous=b"", now=1
    )
    ring.add_profiles(["default", "school"])
    ring.add_profiles(["default", "school", "home"])
    assert ring.profiles == Ring(path).profiles == ("default", "school", "home")
    for wrong in (["default"], ["default", "home", "school"], []):
        with pytest.raises(RingError, match=r"counters\.ring"):
            ring.add_profiles(wrong)
