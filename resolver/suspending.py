"""The break-glass of an edge: the release in force suspended, the one before it in force, for some hours.

Holds always: a release is suspended only where one before it, all of which verifies and which lists something, is on
this disk; the suspension is on the disk before any worker hears of it; reports say of it a serial, a digest, a code
and two times.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from blocklist_sync.edge import suspension
from blocklist_sync.edge.activate import Activation, ReleaseStore
from blocklist_sync.edge.suspension import Suspension, Suspensions, make
from lachan import durable, log, terms
from resolver.control import Handler, Message
from resolver.errors import ResolverError
from resolver.overrides import ReasonCode


class Suspending:
    """What is suspended here.

    Args:
        folder: The sync's, which holds releases and suspensions.
        changed: Called after a change: what is in force is to be looked at again.
        clock: Seconds since 1970-01-01 UTC.

    Attributes:
        revision: Goes up with every change.
        announced: The revision that every worker knows.
    """

    def __init__(self, folder: Path, changed: Callable[[], None], clock: Callable[[], float] = time.time) -> None:
        self._path = folder / suspension.FILE
        self._store = ReleaseStore(folder)
        self._changed = changed
        self._clock = clock
        self._all = Suspensions()
        self._weighed: frozenset[bytes] = frozenset()
        self._applied: frozenset[bytes] = frozenset()
        self.revision = self.announced = 0

    def recover(self) -> None:
        """Reads what was kept; where it is lost, the newest release is in force."""
        self._all = Suspensions(suspension.FORM.recover(self._path))

    def live(self) -> tuple[Suspension, ...]:
        """Those in force now."""
        return self._all.live(self._clock())

    def holds(self, records_digest: bytes) -> bool:
        """Whether a release is suspended now."""
        return records_digest in self._all.passed_over(self._clock())

    def enforced(self) -> Activation | None:
        """The release to be in force now. Reads every byte of it: takes tens of milliseconds a million names."""
        now = self._clock()
        self._weighed = self._all.passed_over(now)
        found = self._store.in_force(repair=True, passing=self._weighed)
        if found is None:
            return None
        # What is in force instead of another is so since that was suspended.
        since = [one.created_at for one in self._all.live(now) if one.serial > found.serial]
        return replace(found, activated_at=max(found.activated_at, *since)) if since else found

    def settled(self, revision: int) -> None:
        """What `enforced` found last is in force in every worker, as of a revision."""
        self._applied, self.announced = self._weighed, revision

    def turned(self) -> bool:
        """Whether a suspension has begun or ended that workers do not know of: time alone ends one."""
        return self._applied != self._all.passed_over(self._clock())

    def within(self, start: int, end: int) -> Sequence[Suspension]:
        """What a report says of those in force at some moment of a window; from any thread."""
        return self._all.within(start, end)

    def _keep(self, changed: Suspensions) -> None:
        durable.make_folder(self._path.parent)
        terms.write(self._path, changed.kept)
        self._all = changed
        self.revision += 1
        self._changed()

    def _suspend(self, message: Message, _: list[int]) -> tuple[Message, Sequence[int]]:
        now = self._clock()
        code = str(message["code"])
        if code.upper() not in ReasonCode.__members__:
            raise ResolverError(f"{code[:40]!r} is no code; there are {', '.join(one.label for one in ReasonCode)}")
        passed = self._all.passed_over(now)
        current = self._store.in_force(repair=False, passing=passed)
        if current is None:
            raise ResolverError("there has never been a list that could be suspended")
        wanted = message.get("serial")
        if wanted is not None and wanted != current.serial:
            raise ResolverError(f"serial {current.serial} is in force, not {wanted}: nothing is suspended")
        before = self._store.in_force(repair=True, passing=passed | {current.records_digest})
        if before is None or before.serial >= current.serial:
            raise ResolverError(
                f"serial {current.serial} cannot be suspended: no release before it is on this disk, and what is "
                "mandated must stay blocked (`override add` lets a single name pass)"
            )
        if not before.entries:
            raise ResolverError(f"serial {current.serial} cannot be suspended: serial {before.serial} lists nothing")
        made = make(
            current.serial,
            current.records_digest,
            code=code,
            reason=str(message["reason"]),
            hours=float(message["hours"]),
            now=now,
        )
        self._keep(self._all.adding(made, now))
        log.get().warning("a release is suspended", serial=made.serial, instead=before.serial, ends_at=made.ends_at)
        return {"suspension": made.document(), "instead": before.serial, "revision": self.revision}, ()

    def _resume(self, *_: object) -> tuple[Message, Sequence[int]]:
        self._keep(self._all.ending(self._clock()))
        log.get().warning("no release is suspended any more")
        return {"revision": self.revision}, ()

    def handlers(self) -> dict[str, Handler]:
        """Commands of the operator."""
        return {"release-suspend": self._suspend, "release-resume": self._resume}

    def status(self) -> Message:
        """What is told of them here."""
        return {
            "live": [one.document() for one in self.live()],
            "revision": self.revision,
            "announced": self.announced,
        }
