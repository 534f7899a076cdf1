from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from compliance_api.domain.drawing.sampling import Inputs, ListedName, Pool
from compliance_api.domain.observations.observation import Arm
from compliance_api.domain.observations.removal import Removal, Standing
from compliance_api.usecases.probing.plan import Plan, questions
from compliance_api.usecases.probing.releasetiming import DEAD_FOR, RELEASED_FOR, ReleaseTiming
from tests.support.cases import NOW
from tests.unit.compliance_api.usecases.probing.test_assignment import PLAN

LATER = replace(PLAN, young=4, released=3, parents=2)


def listed(name: str, serial: int = 9, **more: Any) -> ListedName:
    return ListedName(name, 3, "OR-1", serial, NOW, **more)


class Watch:
    """Knows which names are listed."""

    def __init__(self, *names: str, free: Sequence[Removal] = ()) -> None:
        self._names = set(names)
        self._free = free

    async def refresh(self, now: datetime) -> int:
        assert now == NOW
        return 9

    async def standing(self, names: Iterable[str]) -> Mapping[str, Standing]:
        return {name: Standing(name in self._names, name in self._names) for name in names if name != "unknown.example"}

    async def unlisted(self, names: Iterable[str]) -> frozenset[str]:
        return frozenset(name for name, one in (await self.standing(names)).items() if not one.listed)

    async def free(self, since: datetime) -> Sequence[Removal]:
        assert since == NOW - RELEASED_FOR
        return self._free


class Lives:
    async def dead(self, operator: str, since: datetime, names: Sequence[str]) -> frozenset[str]:
        assert (operator, since) == ("a", NOW - DEAD_FOR)
        return frozenset(name for name in names if name.startswith("mail."))


async def completed(inputs: Inputs, watch: Watch, plan: Plan = LATER, seed: bytes = b"day") -> Inputs:
    made: Any = watch
    return await ReleaseTiming(made, Lives()).complete(inputs, plan, "a", seed, NOW)


async def test_what_was_taken_out_is_not_asked_again_and_what_is_not_known_is() -> None:
    again = tuple(listed(name) for name in ("gone.example", "kept.example", "unknown.example"))
    found = await completed(Inputs(Pool(9, (), ()), again), Watch("kept.example"))
    assert [one.qname for one in found.again] == ["kept.example", "unknown.example"]


async def test_what_is_asked_again_is_known_for_what_no_zone_has_room_for() -> None:
    class Long(Watch):
        async def standing(self, names: Iterable[str]) -> Mapping[str, Standing]:
            return {name: Standing(listed=True, binding=True, unfit=name.startswith("long")) for name in names}

    inputs = Inputs(Pool(9, (), ()), (listed("long1.example"),), (listed("a.example"), listed("long2.example")))
    found = await completed(replace(inputs, unfit=("long3.example",)), Long())
    assert found.unfit == ("long1.example", "long2.example", "long3.example")


async def test_controls_and_neighbours_are_asked_only_where_nothing_reaches_them() -> None:
    pool = Pool(9, (listed("bad.host.example", parent="host.example"),), ())
    found = await completed(Inputs(pool), Watch("c2.example", "m.host.example", "neighbour.example"))
    assert (found.controls, found.neighbours) == (("c1.example",), ())
    assert found.kin == ("host.example", "static.host.example", "www.host.example")
    asked = {(one.qname, one.arm) for one in questions(LATER, Inputs.decode(found.encode()), b"seed", "e")}
    assert ("c1.example", Arm.CONTROL) in asked
    assert not {name for name, _ in asked} & {"c2.example", "neighbour.example", "m.host.example", "mail.host.example"}
    assert sum(arm is Arm.NEIGHBOUR for _, arm in asked) == LATER.parents


async def test_releases_are_timed_by_the_authoritys_own_names_first_the_same_all_day() -> None:
    own = tuple(listed(f"own{number}.example", control=True) for number in range(9))
    others = tuple(listed(f"n{number}.example", 9 - number % 2) for number in range(30))
    pool = Pool(9, (), (), young=(*own, *others))
    free = [
        Removal(f"free{number}.example", 8, NOW - timedelta(hours=number), 1, 3, "OR-1", True, number == 7)
        for number in range(20)
    ]
    found = await completed(Inputs(pool), Watch(free=free))
    assert [one.control for one in found.young] == [True, True, False, False]
    assert {one.added_serial for one in found.young[2:]} == {8, 9}
    assert (len(found.released), found.released[0].qname) == (3, "free7.example")
    assert (found.released[0].added_serial, found.released[0].added_at) == (8, NOW - timedelta(hours=7))
    assert (await completed(Inputs(pool), Watch(free=free[::-1]))).released == found.released
    assert (await completed(Inputs(pool), Watch(free=free), seed=b"morrow")).released != found.released

    asked = questions(LATER, Inputs.decode(found.encode()), b"seed", "e")
    assert [one.qname for one in asked if one.arm is Arm.RELEASED] == [one.qname for one in found.released]
    assert [one.qname for one in asked if one.arm is Arm.LISTED] == [one.qname for one in found.young]


async def test_the_serial_is_what_was_heard() -> None:
    made: Any = Watch()
    assert await ReleaseTiming(made, Lives()).refresh(NOW) == 9
