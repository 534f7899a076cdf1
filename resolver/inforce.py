"""The rules as they stand in one worker: told by the supervisor, turned by the clock alone.

Holds always: tables are swapped whole; where they cannot be made, those before stay; a schedule turns and an override
ends here at their time, whether or not a supervisor lives.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from typing import Any

from blocklist_sync.artifact import policy as bundles
from blocklist_sync.artifact._snapshot import Snapshot
from resolver._hot.policy import Policy
from resolver.overrides import Override, of_document
from resolver.policy import Standing, compile_policy, standing
from resolver.rules import facts
from resolver.settings import Edge


def map_snapshot(fd: int) -> Snapshot:
    """Maps a sealed snapshot, every page of it present: no query ever waits for a page."""
    with os.fdopen(fd, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        return Snapshot(mmap.mmap(file.fileno(), size, mmap.MAP_SHARED | mmap.MAP_POPULATE, mmap.PROT_READ))


class InForce:
    """What holds in a worker.

    Args:
        edge: The configuration.
        key: 16 bytes that key the hash of names where there is no list.
        rules: As `Rules.describe` has them.
        fd: The snapshot, where there is one; it is closed.
        now: Seconds since 1970-01-01 UTC.

    Attributes:
        policy: The tables.
    """

    def __init__(self, edge: Edge, key: bytes, rules: Mapping[str, Any], fd: int | None, now: float) -> None:
        self._edge = edge
        self._key = key
        self._rules: Mapping[str, Any] = rules
        self._snapshot: Snapshot | None = None
        self._bundle = bundles.default()
        self._overrides: tuple[Override, ...] = ()
        self._standing = Standing(())
        self.policy: Policy
        self.take(rules, fd, now)

    def take(self, rules: Mapping[str, Any], fd: int | None, now: float) -> None:
        """Makes the tables of other rules.

        Raises:
            ValueError, ResolverError, ArtifactError: They cannot be; all is as it was.
        """
        snapshot = map_snapshot(fd) if fd is not None else None
        bundle = bundles.parse(rules["bundle"].encode())
        overrides = tuple(map(of_document, rules["overrides"]))
        holds = standing(self._edge, bundle, overrides, now)
        self.policy = compile_policy(self._edge, holds, snapshot, rules["epoch"], self._key)
        self._rules, self._snapshot, self._bundle = rules, snapshot, bundle
        self._overrides, self._standing = overrides, holds

    def turn(self, now: float) -> bool:
        """Makes the tables anew where the time asks for others; whether it did. Due every second, at least."""
        holds = standing(self._edge, self._bundle, self._overrides, now)
        if holds == self._standing:
            return False
        self.policy = compile_policy(self._edge, holds, self._snapshot, self._rules["epoch"], self._key)
        self._standing = holds
        return True

    def facts(self) -> dict[str, Any]:
        """What is told of the rules."""
        return facts(self._rules)

    def standing(self) -> dict[str, Any]:
        """What is told of the time: periods of schedules and number of overrides that hold."""
        return {
            "periods": {one.name: list(one.periods) for one in self._standing.profiles if one.periods},
            "overrides": len(self._standing.overrides),
        }
