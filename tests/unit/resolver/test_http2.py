"""Frames are bounded before they are there."""

from __future__ import annotations

import pytest

from resolver.http2 import CLOSED_STREAMS_KEPT, FRAME_BYTES_MAX, Frames, Http2Connection

DATA, HEADERS, CONTINUATION = 0, 1, 9
END_HEADERS = 4
BLOCK = 1000


def frame(size: int, kind: int = DATA, flags: int = 0) -> bytes:
    return size.to_bytes(3, "big") + bytes([kind, flags]) + bytes(4) + bytes(size)


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_whole_frames_pass_however_they_arrive(step: int) -> None:
    frames = Frames(5, BLOCK)
    data = b"hello" + frame(0) + frame(FRAME_BYTES_MAX) + frame(BLOCK, HEADERS, END_HEADERS) + frame(3)
    assert all(frames.walk(data[at : at + step], float(at)) for at in range(0, len(data), step))
    assert frames.begun_at is None


def test_a_frame_is_refused_by_its_length_alone() -> None:
    frames = Frames(0, BLOCK)
    head = frame(FRAME_BYTES_MAX + 1)[:9]
    assert frames.walk(head[:8], 0.0)
    assert not frames.walk(head[8:], 0.0)


def test_a_head_over_many_frames_is_one_head() -> None:
    frames = Frames(0, BLOCK)
    assert frames.walk(frame(600, HEADERS), 0.0)
    assert frames.walk(frame(400, CONTINUATION), 0.0)
    assert not frames.walk(frame(1, CONTINUATION), 0.0)


def test_what_has_begun_is_told_until_it_ends() -> None:
    frames = Frames(0, BLOCK)
    assert frames.walk(frame(10)[:4], 1.0)
    assert frames.walk(frame(10)[4:12], 2.0)
    assert frames.begun_at == 1.0
    assert frames.walk(frame(10)[12:], 3.0)
    assert frames.begun_at is None
    assert frames.walk(frame(10, HEADERS), 4.0)
    assert frames.begun_at == 4.0
    assert frames.walk(frame(0, CONTINUATION, END_HEADERS), 5.0)
    assert frames.begun_at is None


def test_closed_streams_are_forgotten() -> None:
    assert Http2Connection.MAX_CLOSED_STREAMS == CLOSED_STREAMS_KEPT
