"""Shared memory outlives who made it, and is made anew only where it has another form."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from resolver.edgefile import EdgeFile
from resolver.heartbeats import Beats
from resolver.settings import Edge, normalise
from resolver.sharedmemory import SharedMemory


def edge(folder: Path, size: str = "4MB") -> Edge:
    return normalise(
        EdgeFile.model_validate(
            {
                "organisation": "a",
                "node": "edge-1",
                "state_dir": str(folder),
                "runtime_dir": str(folder),
                "workers": 2,
                "listen": [{"address": "127.0.0.1", "port": 5300}],
                "upstreams": [{"address": "127.0.0.1"}],
                "blocklist": {"snapshot": str(folder / "rules.snapshot")},
                "cache": {"size": size},
            }
        )
    )


def beats(memory: SharedMemory, one: Edge) -> Beats:
    """As a worker maps them."""
    return Beats(one.share(memoryview(mmap.mmap(memory.fd, one.shared_bytes))).beats, one.seats)


@pytest.fixture
def memory(tmp_path: Path) -> SharedMemory:
    memory = SharedMemory()
    assert not memory.lay_out(edge(tmp_path), ())
    return memory


def test_it_is_laid_out_as_workers_map_it(memory: SharedMemory, tmp_path: Path) -> None:
    one = edge(tmp_path)
    assert os.fstat(memory.fd).st_size == one.shared_bytes
    beats(memory, one).beat(1, 1, 77)
    assert [(beat.seat, beat.at) for beat in memory.read_beats()] == [(1, 77)]
    assert memory.cache_entries() == 0


def test_the_next_supervisor_takes_it_over_but_for_what_the_dead_left(memory: SharedMemory, tmp_path: Path) -> None:
    one = edge(tmp_path)
    for seat in (0, 1):
        beats(memory, one).beat(seat, seat, 77)
    after = SharedMemory(os.dup(memory.fd), memory.keys)
    assert after.lay_out(one, {1})
    assert after.keys == memory.keys
    assert [beat.seat for beat in after.read_beats()] == [1]
    after.clear(1)
    # Of an edge that had more of them.
    after.clear(100)
    assert after.read_beats() == []


def test_another_size_is_another_memory_with_other_keys(memory: SharedMemory, tmp_path: Path) -> None:
    after = SharedMemory(os.dup(memory.fd), memory.keys)
    assert not after.lay_out(edge(tmp_path, "8MB"), ())
    assert after.keys != memory.keys
    assert os.fstat(after.fd).st_ino != os.fstat(memory.fd).st_ino


def test_before_it_is_laid_out_there_is_nothing() -> None:
    memory = SharedMemory()
    memory.clear(0)
    assert (memory.fd, memory.read_beats(), memory.cache_entries()) == (-1, [], 0)
