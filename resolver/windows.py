"""Which windows to tell, and which spans of time were told: plain arithmetic on seconds.

Holds always: a window that touches a span is never due; at most the ring's depth is due at once, however far the clock
jumped; the spans kept are bounded, and what is forgotten to keep them so counts as told.
"""

from __future__ import annotations

from collections.abc import Iterable

from resolver.counters import DEPTH

GRACE_SECONDS = 1
"""After a window's end, for workers to finish counting in it."""
SPANS_MAX = 16

Span = tuple[int, int]
"""From the first second, up to but without the second one."""


def covers(spans: Iterable[Span], start: int, end: int) -> bool:
    """Whether any part of the time from `start` to `end` was told."""
    return any(start < span_end and span_start < end for span_start, span_end in spans)


def lost_before(spans: Iterable[Span], start: int, seconds: int) -> int:
    """How many whole windows lie between `start` and the last span before it."""
    ends = [span_end for _, span_end in spans if span_end <= start]
    return (start - max(ends)) // seconds if ends else 0


def cover(spans: Iterable[Span], start: int, end: int) -> tuple[Span, ...]:
    """The spans with the time from `start` to `end` added.

    A gap before it stays open though its windows were declared lost: after a clock that was years ahead is set right,
    there is time in it to tell.
    """
    merged: list[Span] = []
    for span in sorted([*spans, (start, end)]):
        if merged and span[0] <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], span[1]))
        else:
            merged.append(span)
    while len(merged) > SPANS_MAX:
        # Only a clock set back again and again comes here. Closing the narrowest gap forgets time that could still have
        # been told; it never tells any twice.
        gap = min(range(len(merged) - 1), key=lambda place: merged[place + 1][0] - merged[place][1])
        merged[gap : gap + 2] = [(merged[gap][0], merged[gap + 1][1])]
    return tuple(merged)


def due_windows(spans: Iterable[Span], now: float, since: int, seconds: int, depth: int = DEPTH) -> tuple[int, ...]:
    """Which windows have closed, may still be in the ring, and were not told: their starts, oldest first.

    Args:
        spans: What was told.
        now: Seconds since 1970-01-01 UTC, as the wall clock says now.
        since: When the ring began, as the wall clock said then.
        seconds: Length of a window.
        depth: How many windows the ring holds, the open one included.
    """
    current = int(now) // seconds * seconds
    last = (int(now) - GRACE_SECONDS) // seconds * seconds - seconds
    begin = since // seconds * seconds
    if begin > current + seconds:
        # The clock was set back behind the ring's beginning, so that this says nothing: begin with the newest.
        begin = last
    first = max(current - (depth - 1) * seconds, begin, 0)
    spans = tuple(spans)
    return tuple(start for start in range(first, last + 1, seconds) if not covers(spans, start, start + seconds))
