"""Chooses what times releases, and looks up what a round is about to ask before it does.

Holds always: what was taken out is asked as taken out for two weeks, by the release that did so, and never as listed;
controls and neighbours are asked only where the list authority said that nothing on the list reaches them; neighbours
that were dead at the references lately are not asked for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from compliance_api.domain.drawing.draws import derived
from compliance_api.domain.drawing.neighbourhood import candidates
from compliance_api.domain.drawing.sampling import Inputs, ListedName, steadily
from compliance_api.domain.observations.removal import Removal
from compliance_api.usecases.probing.listchanges import ListWatch
from compliance_api.usecases.probing.plan import Plan

RELEASED_FOR = timedelta(days=14)
"""For so long it is asked whether a name is answered again."""
DEAD_FOR = timedelta(days=7)


class Lives(Protocol):
    """Knows which names were alive when they were asked."""

    async def dead(self, operator: str, since: datetime, names: Sequence[str]) -> frozenset[str]:
        """Those of the names that were asked since then, and never alive at the references."""


class ReleaseTiming:
    """What `compliance_api.usecases.probing.assignment` asks for."""

    def __init__(self, watch: ListWatch, lives: Lives) -> None:
        self._watch = watch
        self._lives = lives

    async def refresh(self, now: datetime) -> int:
        """Hears of names taken out, and tells the current serial."""
        return await self._watch.refresh(now)

    async def complete(self, inputs: Inputs, plan: Plan, operator: str, seed: bytes, now: datetime) -> Inputs:
        """What to draw from, with what times releases, and without what must not be asked any more.

        Args:
            inputs: Names in force, and those that were missed.
            plan: How rounds are made up.
            operator: Whose resolvers are asked.
            seed: Of the day.
            now: The present.
        """
        pool = inputs.pool
        missed = await self._watch.standing(one.qname for one in (*inputs.again, *inputs.loose))
        gone = {name for name, one in missed.items() if not one.binding}
        free = await self._watch.free(now - RELEASED_FOR)
        listed = (*pool.names, *pool.recent, *pool.aged)
        kin = candidates(listed, seed)
        blocked = [one.qname for one in inputs.blocked]
        unlisted = await self._watch.unlisted([*plan.controls, *plan.neighbours, *kin, *blocked])
        alive = sorted(unlisted.intersection(kin))
        dead = await self._lives.dead(operator, now - DEAD_FOR, alive)
        unfit = {*inputs.unfit, *(name for name, one in missed.items() if one.unfit)}
        return replace(
            inputs,
            again=tuple(one for one in inputs.again if one.qname not in gone),
            loose=tuple(one for one in inputs.loose if one.qname not in gone),
            blocked=tuple(one for one in inputs.blocked if one.qname in unlisted),
            young=_own_first(pool.young, plan.young, derived(seed, "young")),
            released=_released(free, plan.released, derived(seed, "released")),
            controls=tuple(name for name in plan.controls if name in unlisted),
            neighbours=tuple(name for name in plan.neighbours if name in unlisted),
            kin=tuple(name for name in alive if name not in dead),
            unfit=tuple(sorted(unfit)),
        )


def _own_first(names: Sequence[ListedName], count: int, seed: bytes) -> tuple[ListedName, ...]:
    """Some of the names, up to half of them the authority's own."""
    own = steadily((one for one in names if one.control), (count + 1) // 2, seed)
    others = steadily((one for one in names if not one.control), count - len(own), seed)
    return own + others


def _released(free: Sequence[Removal], count: int, seed: bytes) -> tuple[ListedName, ...]:
    names = [
        ListedName(one.qname, one.category, one.order, one.serial, one.removed_at, control=one.control) for one in free
    ]
    return _own_first(names, count, seed)
