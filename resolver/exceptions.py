"""What the operator lets pass against the list, as the supervisor keeps and tells it.

Holds always: an emergency override is on the disk before anybody is told of it; what reports say of it is made by the
list in force, without its name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from blocklist_sync.artifact._snapshot import Snapshot
from blocklist_sync.artifact.names import NameRefusedError, canonical
from lachan import log, terms
from resolver.control import Handler, Message
from resolver.overrides import FORM, Override, OverrideError, Overrides, Told, make, told
from resolver.policy import ignored_allowed
from resolver.settings import Edge


class Exceptions:
    """The operator's exceptions.

    Args:
        path: Where overrides are kept.
        changed: Called after a change, which is to be announced to workers.
        clock: Seconds since 1970-01-01 UTC.

    Attributes:
        revision: Goes up with every change.
        announced: The revision that every worker knows.
        ignored: Names of the allowlist that are mandated to be blocked.
    """

    def __init__(self, path: Path, changed: Callable[[], None], clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._changed = changed
        self._clock = clock
        self._all = Overrides()
        self._told: dict[Override, Told] = {}
        self._snapshot: Snapshot | None = None
        self.revision = self.announced = 0
        self.ignored: tuple[str, ...] = ()

    def recover(self) -> None:
        """Reads what was kept."""
        self._all = Overrides(FORM.recover(self._path))

    def live(self) -> tuple[Override, ...]:
        """Overrides in force now."""
        return self._all.live(self._clock())

    def judge(self, edge: Edge, snapshot: Snapshot | None) -> None:
        """Weighs all of them by a list that is about to be in force."""
        self._snapshot = snapshot
        self._told = dict(zip(self._all.kept, told(self._all.kept, snapshot), strict=True))
        ignored = tuple(ignored_allowed(edge, snapshot))
        if ignored and ignored != self.ignored:
            log.get().warning("allowed names are mandated to be blocked: ignored", count=len(ignored))
        self.ignored = ignored

    def within(self, start: int, end: int) -> Sequence[Told]:
        """What a report says of those in force at some moment of a window; from any thread."""
        known = self._told
        return [known[one] for one in self._all.within(start, end) if one in known]

    def _keep(self, changed: Overrides) -> None:
        terms.write(self._path, changed.kept)
        self._all = changed
        self._told = dict(zip(changed.kept, told(changed.kept, self._snapshot), strict=True))
        self.revision += 1
        self._changed()

    def _add(self, message: Message, _: list[int]) -> tuple[Message, Sequence[int]]:
        now = self._clock()
        try:
            name = canonical(str(message["name"]))
        except NameRefusedError as error:
            raise OverrideError(str(error)) from error
        override = make(
            name,
            scope=str(message["scope"]),
            code=str(message["code"]),
            reason=str(message["reason"]),
            hours=float(message["hours"]),
            now=now,
        )
        self._keep(self._all.adding(override, now))
        log.get().warning("an emergency override is in force", code=override.code.label, ends_at=override.ends_at)
        return {"override": override.document(), "revision": self.revision}, ()

    def _remove(self, message: Message, _: list[int]) -> tuple[Message, Sequence[int]]:
        try:
            name = canonical(str(message["name"]))
        except NameRefusedError as error:
            raise OverrideError(str(error)) from error
        self._keep(self._all.removing(name, self._clock()))
        log.get().warning("an emergency override was taken back")
        return {"revision": self.revision}, ()

    def handlers(self) -> dict[str, Handler]:
        """Commands of the operator."""
        return {"override-add": self._add, "override-remove": self._remove}

    def status(self) -> Message:
        """What is told of them here, where names are known."""
        return {
            "overrides": [one.document() for one in self.live()],
            "revision": self.revision,
            "announced": self.announced,
            "allowed_ignored": list(self.ignored[:100]),
        }
