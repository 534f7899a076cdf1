"""Hears which names the list authority took out, and asks it about names before they are asked as not listed.

Holds always: a name is asked as listed only while it binds everybody, and as not listed only where the list authority
said, of the release that it last told of, that nothing reaches it; while it is away, what it said last stands, and
names that it was never asked about are left out; names that came to be listed after they were asked are looked for
whenever there is another release.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from compliance_api.domain.observations.removal import Removal, Standing
from compliance_api.errors import BusyError
from lachan import log

AT_ONCE = 1000
"""Names of one call."""
MAX_PAGES = 1100
"""Of removals, heard in one turn: more than the list authority keeps."""
MAX_KNOWN = 50_000
"""Names whose standing is remembered."""
RECHECKED = timedelta(days=8)
"""Names asked as not listed are asked about again for so long."""
MAX_RECHECKED = 20_000
MAX_FREE = 2000

_log = log.get()


class ListAuthority(Protocol):
    """What the list authority tells."""

    async def removed(self, after: int, token: str) -> tuple[int, list[Removal], str]:
        """The current serial, a page of what later releases than `after` took out, and the next page's token.

        Raises:
            BusyError: It cannot be reached.
        """

    async def standing(self, names: Sequence[str]) -> tuple[int, list[Standing]]:
        """The current serial, and what that release says of names.

        Raises:
            BusyError: It cannot be reached.
        """


class Store(Protocol):
    """Keeps what was heard."""

    async def last(self) -> int:
        """The newest release of which a removal is known; 0 where there is none."""

    async def save(self, heard: Sequence[Removal], now: datetime) -> None:
        """Stores removals not stored yet."""

    async def free(self, since: datetime, limit: int) -> list[Removal]:
        """Names that became free since then, each by its last removal; of too many the newest, own ones first."""

    async def asked_unlisted(self, since: datetime, limit: int) -> list[str]:
        """Names that rounds drawn since then ask because they are not on the list."""

    async def note_listed(self, found: Mapping[str, datetime], now: datetime) -> None:
        """Stores that names are listed, and since when."""


class ListWatch:
    """The list's changes, as far as they matter to what is asked."""

    def __init__(self, authority: ListAuthority, store: Store) -> None:
        self._authority = authority
        self._store = store
        self._serial = 0
        # Up to which release everything was heard.
        self._heard = 0
        self._known: dict[str, Standing] = {}

    async def refresh(self, now: datetime) -> int:
        """Hears what was taken out since the last time; the current serial, or the last one known."""
        try:
            serial = await self._hear(now)
            if serial != self._serial:
                # What was said of names was said of another release.
                self._known.clear()
                await self._recheck(now)
                self._serial = serial
        except BusyError as error:
            _log.warning("names taken out are not heard of", reason=str(error))
        return self._serial

    async def _hear(self, now: datetime) -> int:
        # Another process may have ended before the last page of a release came.
        after = self._heard or max(0, await self._store.last() - 1)
        serial, page, token = await self._authority.removed(after, "")
        await self._store.save(page, now)
        for _ in range(MAX_PAGES):
            if not token:
                break
            _, page, token = await self._authority.removed(after, token)
            await self._store.save(page, now)
        self._heard = serial
        return serial

    async def _recheck(self, now: datetime) -> None:
        asked = await self._store.asked_unlisted(now - RECHECKED, MAX_RECHECKED)
        found = await self._ask(asked)
        await self._store.note_listed({name: one.since or now for name, one in found.items() if one.listed}, now)

    async def _ask(self, names: Sequence[str]) -> dict[str, Standing]:
        found: dict[str, Standing] = {}
        for at in range(0, len(names), AT_ONCE):
            part = names[at : at + AT_ONCE]
            _, said = await self._authority.standing(part)
            found |= dict(zip(part, said, strict=True))
        if len(self._known) + len(found) > MAX_KNOWN:
            self._known.clear()
        self._known |= found
        return found

    async def standing(self, names: Iterable[str]) -> Mapping[str, Standing]:
        """What the list says of names; those that nothing is known of are left out."""
        wanted = sorted(set(names))
        unknown = [name for name in wanted if name not in self._known]
        found = {name: self._known[name] for name in wanted if name in self._known}
        try:
            found |= await self._ask(unknown)
        except BusyError as error:
            _log.warning("names are not asked for being unknown", names=len(unknown), reason=str(error))
        return found

    async def unlisted(self, names: Iterable[str]) -> frozenset[str]:
        """Those of the names that nothing on the list reaches."""
        return frozenset(name for name, one in (await self.standing(names)).items() if not one.listed)

    async def binding(self, names: Iterable[str]) -> frozenset[str]:
        """Those of the names that everybody must block."""
        return frozenset(name for name, one in (await self.standing(names)).items() if one.binding)

    async def free(self, since: datetime) -> list[Removal]:
        """Names taken out since then that nothing on the list reaches now."""
        found = await self._store.free(since, MAX_FREE)
        still = await self.unlisted(one.qname for one in found)
        return [one for one in found if one.qname in still]
