from __future__ import annotations

from datetime import timedelta

from compliance_api.domain.sampling import ListedName, Pool, Release, draw, due, recent_serials
from tests.support.cases import NOW, law


def names(prefix: str, count: int) -> tuple[ListedName, ...]:
    return tuple(ListedName(f"{prefix}{number}.example", 3, "OR-1", 1, NOW) for number in range(count))


def release(serial: int, minutes: float, *, urgent: bool = False) -> Release:
    return Release(serial, b"", NOW - timedelta(minutes=minutes), 10, urgent)


POOL = Pool(2, names("all", 50), names("recent", 50))


def test_half_are_recent_and_a_quarter_is_asked_again() -> None:
    drawn = [one.qname for one in draw(POOL, names("again", 50), 20, b"seed")]
    assert len(set(drawn)) == 20
    assert sum(name.startswith("again") for name in drawn) == 5
    assert sum(name.startswith("recent") for name in drawn) == 8


def test_it_is_repeatable_from_its_seed_and_from_nothing_else() -> None:
    assert draw(POOL, (), 20, b"seed") == draw(POOL, (), 20, b"seed")
    assert draw(POOL, (), 20, b"seed") != draw(POOL, (), 20, b"other")


def test_where_names_are_few_all_are_drawn_once() -> None:
    pool = Pool(1, names("x", 3), names("x", 3))
    assert sorted(one.qname for one in draw(pool, names("x", 3), 20, b"s")) == [
        "x0.example",
        "x1.example",
        "x2.example",
    ]
    assert len(draw(Pool(1, (), names("r", 9)), (), 6, b"s")) == 6
    assert draw(Pool(1, (), ()), (), 6, b"s") == []


def test_only_releases_past_their_deadline_are_due() -> None:
    releases = [release(1, 100), release(2, 4), release(3, 2, urgent=True), release(4, 0.5, urgent=True)]
    assert [one.serial for one in due(releases, law(), NOW)] == [3, 1]


def test_recent_names_are_looked_for_ever_further_back() -> None:
    releases = [release(serial, 100) for serial in range(20, 0, -1)]
    assert recent_serials(releases) == [19, 17, 10]
    assert recent_serials(releases[-1:]) == [0]
    assert recent_serials([]) == []
