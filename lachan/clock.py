"""How far this machine's clock can be trusted: the kernel's own word, and steps of the wall clock.

The wall clock is compared with the boot clock, which counts through suspend and is slewed at the same rate: between two
readings their distance changes only when somebody sets the wall clock.
"""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass

STA_UNSYNC = 0x0040
TIME_ERROR = 5
UNKNOWN_ERROR_US = 16_000_000
"""What the kernel itself says of a clock that nobody disciplines."""
STEP_TOLERANCE_NS = 5_000_000
MAX_STEP_MS = (1 << 63) - 1


@dataclass(frozen=True)
class Discipline:
    """The kernel's word on its clock: whether somebody disciplines it, and its largest error in microseconds."""

    synchronised: bool
    max_error_us: int


@dataclass(frozen=True)
class Reading:
    """Both clocks at one moment, in nanoseconds; `width` is how long the reading took, which bounds its error."""

    wall: int
    boot: int
    width: int


class _Timex(ctypes.Structure):
    """`struct timex` of <sys/timex.h>; the fields after `tai` are padding."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time_sec", ctypes.c_long),
        ("time_usec", ctypes.c_long),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        ("padding", ctypes.c_int * 11),
    )


_libc = ctypes.CDLL(None)


def interpret(state: int, status: int, max_error_us: int) -> Discipline:
    """What adjtimex's return value, status bits and largest error say together."""
    return Discipline(state != TIME_ERROR and not status & STA_UNSYNC, max(0, max_error_us))


def discipline() -> Discipline:
    """Asks the kernel; needs no privilege. Where a filter keeps it from answering, the clock cannot be trusted."""
    timex = _Timex()
    state = _libc.adjtimex(ctypes.byref(timex))
    if state < 0:
        return Discipline(synchronised=False, max_error_us=UNKNOWN_ERROR_US)
    return interpret(state, timex.status, timex.maxerror)


def read() -> Reading:
    """Both clocks now."""
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    wall = time.clock_gettime_ns(time.CLOCK_REALTIME)
    after = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return Reading(wall, (before + after) // 2, after - before)


class StepDetector:
    """Adds up the steps of the wall clock; readings in, milliseconds out.

    Read every few seconds: two opposite steps between two readings cancel out.
    """

    def __init__(self, first: Reading) -> None:
        self._last = first
        self._stepped_ns = 0

    def observe(self, reading: Reading) -> int:
        """Takes a reading; the step since the one before it in milliseconds, signed, 0 where there was none."""
        last, self._last = self._last, reading
        step = (reading.wall - reading.boot) - (last.wall - last.boot)
        if abs(step) <= STEP_TOLERANCE_NS + reading.width + last.width:
            return 0
        self._stepped_ns += abs(step)
        return round(step / 1_000_000)

    def take(self) -> int:
        """All steps since the last call, absolute, in milliseconds; counting begins anew."""
        stepped, self._stepped_ns = self._stepped_ns, 0
        return min(stepped // 1_000_000, MAX_STEP_MS)
