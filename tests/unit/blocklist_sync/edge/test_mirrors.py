from __future__ import annotations

import random

from blocklist_sync.edge.mirrors import PENALTY_FIRST, PENALTY_MAX, Mirrors

URLS = tuple(f"https://m{number}.example" for number in range(3))


def names(mirrors: Mirrors, now: float) -> list[str]:
    return [mirror.url[8:10] for mirror in mirrors.order(now)]


def test_each_round_begins_with_another() -> None:
    mirrors = Mirrors(URLS, random.Random(1))
    rounds = [names(mirrors, 0) for _ in range(6)]
    assert rounds[:3] == rounds[3:]
    assert {order[0] for order in rounds} == {"m0", "m1", "m2"}
    assert all(sorted(order) == ["m0", "m1", "m2"] for order in rounds)
    # Edges differ in which is first.
    assert len({names(Mirrors(URLS, random.Random(seed)), 0)[0] for seed in range(20)}) == 3


def test_a_bad_one_comes_last_for_a_time_that_grows() -> None:
    mirrors = Mirrors(URLS, random.Random(2))
    bad = mirrors.all[1]
    assert bad.bad("older", 100.0)
    assert not bad.bad("older", 101.0)
    assert bad.bad("unreachable", 102.0)
    assert bad.failures == {"older": 2, "unreachable": 1}
    assert PENALTY_FIRST / 3 <= bad.due(102.0) <= PENALTY_MAX + PENALTY_FIRST
    assert all(names(mirrors, 102.0)[-1] == "m1" for _ in range(5))
    assert {names(mirrors, 102.0 + 2 * PENALTY_MAX)[0] for _ in range(3)} == {"m0", "m1", "m2"}
    bad.well(103.0)
    assert (bad.trouble, bad.due(103.0), bad.good_at) == ("", 0.0, 103.0)
    assert bad.document() == {"url": "https://m1.example", "trouble": "", "failures": {"older": 2, "unreachable": 1}}


def test_where_all_are_bad_the_one_that_is_due_first_is_asked_first() -> None:
    mirrors = Mirrors(URLS, random.Random(3))
    for step, mirror in enumerate(mirrors.all):
        mirror.bad("slow", 1000.0 * (3 - step))
    assert names(mirrors, 0.0) == ["m2", "m1", "m0"]
