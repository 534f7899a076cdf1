"""What each caller may take of all processes together, so that one that runs wild keeps nobody else out.

Holds always: a call counts against its own party's share and against its organisation's, and only if both grant it;
what processes grant they drew from the one share before, in portions, so that together they never grant more than the
share and a portion for each of them. Most calls are granted from the portion at hand; a caller that is refused costs
the database nothing until the share can have grown enough, and some ten questions a second from then on.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from compliance_api.domain.parties.bucket import Allowance, Bucket
from lachan.tls import Identity

MAX_HOLDERS = 50_000
PORTIONS = 10
"""Of a burst: so much a process takes at once, where the share has it."""
APART_SECONDS = 0.1
"""What a share gains in so long is worth asking for."""

Unit = Literal["calls", "items"]


@dataclass(frozen=True)
class Share:
    """Of one party, or of one organisation with all its parties."""

    calls: Allowance
    # Reports and observations.
    items: Allowance


@dataclass(frozen=True)
class Drawn:
    """What a share gave to a process."""

    amount: float
    # What it still holds.
    left: float


class ShareStore(Protocol):
    """Keeps the shares of everybody, for all processes."""

    async def draw(self, holder: str, unit: Unit, allowance: Allowance, need: float, wanted: float) -> Drawn:
        """Up to `wanted` of a share, nothing where it holds less than `need`; one never heard of is full."""


class _Portion:
    """What this process has in hand of one share."""

    def __init__(self, store: ShareStore, holder: str, unit: Unit, allowance: Allowance, now: float) -> None:
        self._store = store
        self._name = holder, unit
        self._allowance = allowance
        self._size = allowance.burst / PORTIONS
        self._worth = min(self._size, allowance.rate * APART_SECONDS)
        self._held = 0.0
        # The most that the share can hold: others only take from it.
        self._share = Bucket(allowance, now)
        self._drawing = asyncio.Lock()

    def covers(self, amount: float) -> bool:
        return self._held >= min(amount, self._allowance.burst)

    def take(self, amount: float) -> None:
        # More than the burst is paid for later.
        self._held -= amount

    async def draw(self, amount: float, clock: Callable[[], float]) -> float:
        """Has `amount` in hand, or says after how many seconds to come again."""
        async with self._drawing:
            short = min(amount, self._allowance.burst) - self._held
            if short <= 0:
                return 0.0
            if wait := self._share.wait(max(short, self._worth), clock()):
                return wait
            drawn = await self._store.draw(*self._name, self._allowance, short, max(short, self._size))
            self._held += drawn.amount
            self._share.correct(drawn.left, clock())
            return 0.0 if drawn.amount else self._share.wait(short, clock())


class Shares:
    """The shares of everybody who called of late."""

    def __init__(self, party: Share, organisation: Share, store: ShareStore, clock: Callable[[], float]) -> None:
        """All of them as the store has them.

        Args:
            party: What one node, probe, person or service may take.
            organisation: What all of an organisation's may.
            store: Keeps the shares.
            clock: Seconds, never going back.
        """
        self._party = party
        self._organisation = organisation
        self._store = store
        self._clock = clock
        # The one that called last is the last.
        self._portions: OrderedDict[tuple[str, Unit], _Portion] = OrderedDict()

    async def take(self, caller: Identity, items: int) -> float:
        """Takes a call with so many items, or nothing; then it says after how many seconds to come again, else 0.

        Raises:
            Exception: What the store raises where the database does not answer.
        """
        wanted: list[tuple[_Portion, int]] = []
        for holder, share in ((str(caller), self._party), (caller.organisation, self._organisation)):
            wanted.append((self._portion(holder, "calls", share.calls), 1))
            if items:
                wanted.append((self._portion(holder, "items", share.items), items))
        # Whoever waits for the database here may find that others took meanwhile what they had in hand.
        while short := [(portion, amount) for portion, amount in wanted if not portion.covers(amount)]:
            for portion, amount in short:
                if wait := await portion.draw(amount, self._clock):
                    return wait
        for portion, amount in wanted:
            portion.take(amount)
        return 0.0

    def _portion(self, holder: str, unit: Unit, allowance: Allowance) -> _Portion:
        key = holder, unit
        portion = self._portions.pop(key, None)
        if portion is None:
            portion = _Portion(self._store, holder, unit, allowance, self._clock())
        self._portions[key] = portion
        if len(self._portions) > MAX_HOLDERS:
            # What it had in hand is lost to who has not called for longest: the share has had the time to grow.
            self._portions.popitem(last=False)
        return portion
