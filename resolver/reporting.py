"""Tells every closed window once: from the ring, by the reporter, into the spool."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from blocklist_sync.edge.suspension import Suspension
from lachan import clock, log
from lachan.compliance.v1 import report_pb2 as pb
from lachan.durable import FileError
from lachan.spool import SpoolError
from resolver.counters import Ring
from resolver.openings import Openings, OpeningsError
from resolver.overrides import Told
from resolver.report import ClockState, ListState, Reporter, ReportError
from resolver.rules import RulesError
from resolver.windows import GRACE_SECONDS

RETRY_SECONDS = 1.0


class Reporting:
    """The supervisor's reporting job.

    Args:
        ring: Where workers count.
        reporter: Makes and spools the reports.
        openings: Commits to the hits per listed name.
        state: Tells which list is in force.
        enforcing: False in shadow mode.
        overrides: Tells which were in force between two moments, seconds since 1970.
        suspensions: Likewise, of releases.
        spooled: Called after a report went into the spool.
    """

    def __init__(
        self,
        ring: Ring,
        reporter: Reporter,
        openings: Openings,
        state: Callable[[], ListState],
        *,
        enforcing: bool,
        overrides: Callable[[int, int], Sequence[Told]],
        suspensions: Callable[[int, int], Sequence[Suspension]],
        spooled: Callable[[], None],
    ) -> None:
        self._ring = ring
        self._reporter = reporter
        self._openings = openings
        self._state = state
        self._enforcing = enforcing
        self._overrides = overrides
        self._suspensions = suspensions
        self._spooled = spooled
        self._steps = clock.StepDetector(clock.read())

    def _clock(self) -> ClockState:
        self._steps.observe(clock.read())
        discipline = clock.discipline()
        return ClockState(discipline.synchronised, discipline.max_error_us, self._steps.take())

    def tell(self, now: float) -> int:
        """Tells what is due; how many windows that were. Blocks while the disk syncs.

        Raises:
            SpoolError: The disk takes no more; what was not told is due again.
            FileError, OpeningsError, RulesError: An hour cannot be committed to; likewise.
        """
        told = 0
        for start in self._reporter.due(now, self._ring.created_at, self._ring.window_seconds):
            counts = self._ring.fold(start)
            if counts is None:
                continue  # overwritten meanwhile: the next report declares it lost
            self._reporter.write(
                counts,
                self._ring.boot_epoch,
                self._state(),
                self._clock(),
                now,
                # A part of a window without enforcement is enough: settings may have changed since.
                enforcing=self._enforcing and not any(action == pb.ACTION_SHADOW for _, action in counts.blocked),
                overrides=self._overrides(start, start + self._ring.window_seconds),
                suspensions=self._suspensions(start, start + self._ring.window_seconds),
                commitment=self._openings.root_before(start),
            )
            told += 1
        return told

    async def run(self) -> None:
        """Tells windows as they close, for ever."""
        seconds = self._ring.window_seconds
        while True:
            now = time.time()
            try:
                if await asyncio.to_thread(self.tell, now):
                    self._spooled()
            except (SpoolError, ReportError, OpeningsError, RulesError, FileError) as error:
                log.get().error("a window could not be told; trying again", reason=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                continue
            wait = seconds - now % seconds + GRACE_SECONDS
            # A clock that is set back or forward is noticed within a window of real time.
            await asyncio.sleep(min(wait, seconds))
