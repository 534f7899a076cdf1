"""Looks now and then at what is published and at what is late, for the metrics.

Holds always: a look that fails is counted and leaves what was shown; nothing waits for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from tuf.api.exceptions import RepositoryError

from blocklist_sync.central.registry.book import Book
from blocklist_sync.central.registry.history import History
from blocklist_sync.central.registry.releases import Releases
from blocklist_sync.central.registry.stages import StagePlans
from blocklist_sync.central.release import offer
from blocklist_sync.central.release.repository import LIST_ROLE, Repository
from blocklist_sync.central.serving.metrics import Metrics
from lachan import log, postgres
from lachan.errors import LachanError

LOOK_SECONDS = 10.0


class RegistryWatch:
    """What the registry has to show."""

    def __init__(self, book: Book, history: History, releases: Releases, plans: StagePlans) -> None:
        self._book = book
        self._history = history
        self._releases = releases
        self._plans = plans

    async def look(self, metrics: Metrics, now: int) -> None:
        """Shows the log's length, and what is late by unit and stage."""
        metrics.steps.set(await self._book.length())
        late, _ = await self._history.overdue(now, await asyncio.to_thread(self._releases))
        metrics.late(self._plans.at(now).units(), [(one.stage.unit, one.stage.name) for one in late])


class Watch:
    """Looks for ever."""

    def __init__(
        self, metrics: Metrics, repository: Repository, registry: RegistryWatch | None, clock: Callable[[], datetime]
    ) -> None:
        self._metrics = metrics
        self._repository = repository
        self._registry = registry
        self._clock = clock

    def _published(self) -> None:
        contents = self._repository.opened()
        if contents is None or contents.listed is None or contents.snapshot is None or contents.timestamp is None:
            return
        expires = {
            "root": contents.root.signed.expires,
            LIST_ROLE: contents.listed.signed.expires,
            "snapshot": contents.snapshot.signed.expires,
            "timestamp": contents.timestamp.signed.expires,
        }
        if contents.targets is not None:
            expires["targets"] = contents.targets.signed.expires
        self._metrics.release(offer.read(contents.listed).serial, contents.published_at, expires)

    async def look(self) -> None:
        """One look at everything."""
        try:
            await asyncio.to_thread(self._published)
            if self._registry is not None:
                await self._registry.look(self._metrics, int(self._clock().timestamp()))
        except (LachanError, RepositoryError, *postgres.FAILURES) as error:
            self._metrics.unreadable.inc()
            log.get().warning("a look for the metrics failed", error=type(error).__name__)

    async def run(self) -> None:
        """Looks for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)
