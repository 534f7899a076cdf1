"""Keeps names in force ready for drawing, and the history of releases for dating them.

Holds always: a pool is used only up to its maximum age; while the list authority is away the last one serves until
then; the releases are stored before a name of theirs is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from compliance_api.domain.drawing.draws import derived
from compliance_api.domain.drawing.sampling import WEEK, ListedName, Pool, Release, aged, due, recent_serials
from compliance_api.domain.law.law import Law
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

    async def names(
        self, count: int, seed: bytes, added_after: int, *, controls_only: bool = False
    ) -> tuple[int, list[ListedName]]:
        """The current serial and names that bind everybody, of releases after `added_after`.

        Args:
            count: How many.
            seed: Whoever knows it can repeat the draw.
            added_after: A serial.
            controls_only: Only the authority's own names.

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
        self._newest = 0
        self._pool: Pool | None = None
        self._fetched_at: datetime | None = None

    def published(self, serial: int) -> None:
        """Tells of a release: names drawn from an earlier one may be off the list."""
        self._newest = max(self._newest, serial)

    def age(self, now: datetime) -> float | None:
        """Seconds since the pool was fetched; None before the first time."""
        return (now - self._fetched_at).total_seconds() if self._fetched_at else None

    async def pool(self, law: Law, now: datetime) -> Pool:
        """The names to draw from.

        Raises:
            BusyError: There are none that are young enough, and the list authority cannot be reached.
        """
        held, fetched_at = self._pool, self._fetched_at
        young = fetched_at is not None and now - fetched_at < self._refresh
        if held is not None and young and held.serial >= self._newest:
            return held
        try:
            made = await self._fetch(law, now)
        except BusyError:
            if held is None or fetched_at is None or now - fetched_at > self._maximum_age:
                raise
            return held
        self._pool, self._fetched_at = made, now
        return made

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
        young = await self._young(now, newest)
        return Pool(serial, tuple(names), tuple(recent), aged(lately, releases, law, now), young)

    async def _young(self, now: datetime, newest_due: int) -> tuple[ListedName, ...]:
        """Names that need not be blocked yet, the authority's own first: when they are blocked times the releases."""
        seed = await self._seed(now, "young")
        _, own = await self._authority.names(self._size, seed, newest_due, controls_only=True)
        _, others = await self._authority.names(self._size, seed, newest_due)
        # The first of two stays first.
        return tuple({one.qname: one for one in (*own, *others)}.values())
