from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

from compliance_api.domain.drawing.sampling import (
    Inputs,
    ListedName,
    Pool,
    Release,
    aged,
    draw,
    due,
    parents,
    recent_serials,
    steadily,
)
from lachan import canonical
from tests.support.cases import NOW, law


def names(prefix: str, count: int) -> tuple[ListedName, ...]:
    return tuple(ListedName(f"{prefix}{number}.example", 3, "OR-1", 1, NOW) for number in range(count))


def release(serial: int, minutes: float, *, urgent: bool = False) -> Release:
    return Release(serial, b"", NOW - timedelta(minutes=minutes), 10, urgent)


POOL = Pool(2, names("all", 50), names("recent", 50))


def drawn(count: int, *, old: int = 0, seed: bytes = b"seed", **inputs: Any) -> list[str]:
    made = Inputs(**{"pool": POOL, **inputs})
    # What is kept draws the same.
    assert draw(Inputs.decode(made.encode()), count, old, seed) == draw(made, count, old, seed)
    return [one.qname for one in draw(made, count, old, seed)]


def test_half_are_recent_and_what_is_asked_again_takes_no_place_from_them() -> None:
    found = drawn(20, again=names("again", 50))
    assert len(set(found)) == 40
    assert sum(name.startswith("again") for name in found) == 20
    assert sum(name.startswith("recent") for name in found) == 10


def test_it_is_repeatable_from_its_seed_and_from_nothing_else() -> None:
    assert drawn(20) == drawn(20)
    assert drawn(20) != drawn(20, seed=b"other")
    turned = Pool(2, POOL.names[::-1], POOL.recent[::-1])
    assert drawn(20) == drawn(20, pool=turned)


def test_where_names_are_few_all_are_drawn_once() -> None:
    pool = Pool(1, names("x", 3), names("x", 3))
    assert sorted(drawn(20, pool=pool, again=names("x", 3))) == ["x0.example", "x1.example", "x2.example"]
    assert len(drawn(6, pool=Pool(1, (), names("r", 9)))) == 6
    assert drawn(6, pool=Pool(1, (), ())) == []


def test_fresh_names_come_first_and_others_fill_what_is_left() -> None:
    asked = frozenset(one.qname for one in (*POOL.names[:45], *POOL.recent))
    found = drawn(20, asked=asked)
    assert {one.qname for one in POOL.names[45:]} <= set(found)
    assert len(found) == 20


def test_aged_names_are_drawn_beside_the_others_and_evenly_over_their_ages() -> None:
    week = tuple(
        replace(one, qname=f"aged{hours}.example", added_at=NOW - timedelta(hours=hours))
        for hours, one in enumerate(names("aged", 168))
    )
    pool = replace(POOL, aged=week)
    found = drawn(20, old=7, pool=pool)
    assert len(found) == 27
    ages = sorted(int(name[4:-8]) for name in found if name.startswith("aged"))
    assert [age // 24 for age in ages] == list(range(7))
    # Those asked lately come after those that were not.
    left = frozenset(one.qname for one in week[5:])
    again = drawn(20, old=7, pool=pool, asked=left)
    assert {one.qname for one in week[:5]} <= set(again)


def test_every_name_of_a_pool_has_the_same_chance_and_every_kind_its_share() -> None:
    kinds = tuple(replace(one, category=3 + (number % 4 == 0)) for number, one in enumerate(names("n", 60)))
    times = 2000
    seen: Counter[str] = Counter()
    for number in range(times):
        found = draw(Inputs(Pool(1, kinds, ())), 12, 0, number.to_bytes(4, "big"))
        assert 2 <= sum(one.category == 4 for one in found) <= 4
        seen.update(one.qname for one in found)
    spread = 5 * (times / 5 * 4 / 5) ** 0.5
    assert all(abs(seen[one.qname] - times / 5) < spread for one in kinds)


def test_names_are_aged_between_their_deadline_and_a_week() -> None:
    hours = (0.01, 0.05, 1, 100, 167, 169)
    listed = [
        replace(one, qname=f"h{age}.example", added_at=NOW - timedelta(hours=age), added_serial=int(age == 0.05))
        for age, one in zip(hours, names("x", 6), strict=True)
    ]
    found = aged(listed, [release(1, 3, urgent=True)], law(), NOW)
    assert [one.qname for one in found] == ["h0.05.example", "h1.example", "h100.example", "h167.example"]


def test_parents_are_those_of_names_that_anybody_may_ask_for() -> None:
    listed = [
        replace(one, parent=f"p{number % 3}.example", category=1 if number % 3 == 2 else 3)
        for number, one in enumerate(names("x", 9))
    ]
    assert sorted(parents(listed, 9, b"seed")) == ["p0.example", "p1.example"]
    assert len(parents(listed, 1, b"seed")) == 1
    assert parents(names("x", 3), 5, b"seed") == []


def test_only_releases_past_their_deadline_are_due() -> None:
    releases = [release(1, 100), release(2, 4), release(3, 2, urgent=True), release(4, 0.5, urgent=True)]
    assert [one.serial for one in due(releases, law(), NOW)] == [3, 1]


def test_recent_names_are_looked_for_ever_further_back() -> None:
    releases = [release(serial, 100) for serial in range(20, 0, -1)]
    assert recent_serials(releases) == [19, 17, 10]
    assert recent_serials(releases[-1:]) == [0]
    assert recent_serials([]) == []


def test_a_name_that_is_asked_again_says_so_and_only_that_one() -> None:
    found = draw(Inputs(POOL, again=names("missed", 3)), 12, 0, b"seed")
    assert {one.qname for one in found if one.again} == {one.qname for one in names("missed", 3)}


def test_as_many_as_were_missed_by_several_are_asked_again_beside_the_drawn_and_a_few_of_the_others() -> None:
    made = Inputs(POOL, again=names("missed", 40), loose=names("loose", 40))
    found = draw(made, 12, 0, b"seed")
    again = [one.qname for one in found if one.again]
    assert (sum("missed" in one for one in again), sum("loose" in one for one in again)) == (12, 3)
    assert len(found) == 12 + 12 + 3


def test_what_was_kept_before_names_were_looked_up_still_draws() -> None:
    raw = json.loads(Inputs(POOL).encode())
    for later in ("young", "released", "controls", "neighbours", "kin"):
        del raw[later]
    known = Inputs.decode(canonical.encode(raw))
    assert known == Inputs(POOL)
    assert (known.controls, known.neighbours) == (None, None)
    whole = replace(
        Inputs(POOL),
        young=names("y", 2),
        released=names("r", 2),
        controls=("c.example",),
        neighbours=(),
        kin=("k.example",),
    )
    assert Inputs.decode(whole.encode()) == whole


def test_names_stay_chosen_all_day_though_others_come() -> None:
    old, new = names("old", 40), tuple(replace(one, added_serial=2) for one in names("new", 40))
    first = steadily(old, 10, b"day")
    assert steadily(old[::-1], 10, b"day") == first
    assert steadily(old, 10, b"morrow") != first
    # A release more takes every second place, the newest first.
    both = steadily([*old, *new], 10, b"day")
    assert [one.added_serial for one in both] == [2, 1] * 5
    assert both[1::2] == first[:5]
