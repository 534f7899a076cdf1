"""Keeps names in force ready for drawing, and the history of releases for dating them.

Holds always: a pool is used only up to its maximum age; while the list authority is away the last one serves until
then; the releases are stored before a name of theirs is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from compliance_api.domain.draws import derived
from compliance_api.domain.law import Law
from compliance_api.domain.sampling import WEEK, ListedName, Pool, Release, aged, due, recent_serials
from compliance_api.errors import BusyError

RELEASES = 1000
SEED_BYTES = 32
# What pools are drawn for, and by.
EVERYBODY = "all"
PURPOSE = "pools"
# Enough recent names to draw from: fewer, and older releases are looked at too.
RECENT_WANTED = 50


class ListAuthority(Protocol):
    """What the list authority tells."""

    async def releases(self, limit: int) -> list[Release]:
        """The newest releases, newest first.

        Raises:
            BusyError: It cannot be reached.
        """

    async def names(self, count: int, seed: bytes, added_after: int) -> tuple[int, list[ListedName]]:
        """The current serial and names that bind everybody, of releases after `added_after`.

        Raises:
            BusyError: It cannot be reached.
        """


class ReleaseStore(Protocol):
    """Keeps the history of releases."""

    async def save(self, releases: Sequence[Release], now: datetime) -> None:
        """Stores those not stored yet, as known from now on."""


class SeedStore(Protocol):
    """Keeps seeds, committed to before they are given out."""

    async def seed(self, operator: str, purpose: str, day: date) -> bytes:
        """The seed of a day."""


class NameSource:
    """Names in force, fetched now and then."""

    def __init__(
        self,
        authority: ListAuthority,
        store: ReleaseStore,
        entropy: Callable[[int], bytes],
        *,
        size: int,
        refresh: float,
        maximum_age: float,
        seeds: SeedStore | None = None,
    ) -> None:
        self._seeds = seeds
        self._authority = authority
        self._store = store
        self._entropy = entropy
        self._size = size
        self._refresh = timedelta(seconds=refresh)
        self._maximum_age = timedelta(seconds=maximum_age)
        self._pool: Pool | None = None
        self._fetched_at: datetime | None = None

    def age(self, now: datetime) -> float | None:
        """Seconds since the pool was fetched; None before the first time."""
        return (now - self._fetched_at).total_seconds() if self._fetched_at else None

    async def pool(self, law: Law, now: datetime) -> Pool:
        """The names to draw from.

        Raises:
            BusyError: There are none that are young enough, and the list authority cannot be reached.
        """
        if self._pool is None or self._fetched_at is None or now - self._fetched_at >= self._refresh:
            try:
                self._pool = await self._fetch(law, now)
                self._fetched_at = now
            except BusyError:
                if self._pool is None or self._fetched_at is None or now - self._fetched_at > self._maximum_age:
                    raise
        return self._pool

    async def _seed(self, now: datetime, label: str) -> bytes:
        """For one request: of the day's seed where there are such, so that the pool itself was not chosen."""
        if self._seeds is None:
            return self._entropy(SEED_BYTES)
        seed = await self._seeds.seed(EVERYBODY, PURPOSE, now.astimezone(UTC).date())
        return derived(seed, label, str(int(now.timestamp() // self._refresh.total_seconds())))

    async def _fetch(self, law: Law, now: datetime) -> Pool:
        releases = await self._authority.releases(RELEASES)
        await self._store.save(releases, now)
        serial, names = await self._authority.names(self._size, await self._seed(now, "names"), 0)
        recent: list[ListedName] = []
        week = max((one.serial for one in releases if now - one.published_at > WEEK), default=0)
        _, lately = await self._authority.names(self._size, await self._seed(now, "aged"), week)
        ready = due(releases, law, now)
        newest = ready[0].serial if ready else 0
        for after in recent_serials(ready):
            _, found = await self._authority.names(self._size, await self._seed(now, f"after/{after}"), after)
            recent = [name for name in found if name.added_serial <= newest]
            if len(recent) >= RECENT_WANTED:
                break
        return Pool(serial, tuple(names), tuple(recent), aged(lately, releases, law, now))
