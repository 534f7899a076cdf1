"""Writers of the shared cache stopped and killed in the middle of a write: who may free what they claimed, and when."""

from __future__ import annotations

import os
import struct

import pytest

from resolver._hot.cache import Cache
from tests.support import midwrite
from tests.support.engine import SECRET, Memory, Rig, rig
from tests.support.packets import question

QUERY = question(midwrite.NAME, midwrite.RDTYPE, edns=False)


def keep(own: Rig) -> None:
    own.exchange(QUERY, midwrite.answer)


def misses(own: Rig) -> bool:
    """Whether the cache has no answer: without upstreams, what is not there fails at once."""
    return own.onlooker.ask(QUERY)[3] & 15 == 2  # type: ignore[index] # answered at once


def test_a_writer_stopped_in_the_middle_keeps_its_slot_until_it_is_known_to_be_dead() -> None:
    fd = os.memfd_create("cache")
    size = 1 << 20
    os.ftruncate(fd, size)
    own = rig(memory=Memory(size, fd=fd), writer=3)
    keep(own)
    # Its time is over: another writer asks anew, and writes where it stands.
    own.age(20)
    own.memory.held = False
    with midwrite.stopped_in_the_middle(fd, size, writer=5) as process:
        [slot] = own.memory.slots()
        assert (slot.sequence % 2, slot.writer) == (1, 5)
        # Neither what was there nor half of what is coming; and nobody else's to write.
        assert misses(own)
        keep(own)
        [slot] = own.memory.slots()
        assert (slot.sequence % 2, slot.writer) == (1, 5)
        # Of another writer's end nothing follows for this one.
        assert not own.cache.release(3)
        assert misses(own)
        process.kill()
        process.wait()
    assert own.cache.release(5)
    assert not own.cache.release(5)
    assert own.memory.slots() == []
    assert misses(own)
    keep(own)
    assert not misses(own)
    os.close(fd)


def test_a_place_that_somebody_else_writes_at_is_not_freed() -> None:
    own = rig(writer=3)
    keep(own)
    [slot] = own.memory.slots()
    # Killed between its note and its claim, while another writer was quicker.
    struct.pack_into("<Q", own.memory.map, own.memory.line(5), slot.at + 1)
    slot.sequence += 1
    slot.writer = 7
    slot.write()
    assert not own.cache.release(5)
    [slot] = own.memory.slots()
    assert (slot.sequence % 2, slot.writer) == (1, 7)
    # A note that points nowhere is no reason to touch anything.
    for nowhere in (1, slot.at + 2, own.memory.size, (1 << 64) - 1):
        struct.pack_into("<Q", own.memory.map, own.memory.line(7), nowhere)
        assert not own.cache.release(7)
    with pytest.raises(ValueError, match="264"):
        own.cache.release(264)
    with pytest.raises(ValueError, match="264"):
        Cache(bytearray(1 << 20), SECRET, 264)
