from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocklist_sync.artifact.categories import Category
from resolver import schools
from resolver._hot.census import CENSUS_LAYOUT
from resolver.schools import FEW, PROTECTED, Counted, Schools, SchoolsError, census_bytes, counted_schools, estimate
from tests.support.engine import mapped

# 12:00 in Vietnam.
NOON = datetime(2026, 3, 2, 5, tzinfo=UTC).timestamp()
DAY = timedelta(days=1).total_seconds()


@dataclass(frozen=True)
class School:
    name: str
    networks: tuple[str, ...]


TWO = (School("a", ("198.51.100.0/24",)), School("b", ("203.0.113.0/24", "2001:db8::/32")))


class Place:
    """An edge's memory, with two workers that count in it."""

    def __init__(self, folder: Path, which: tuple[School, ...] = TWO) -> None:
        self.memory = memoryview(bytearray(census_bytes(2)))
        self.numbers = itertools.count(0x0FEDCBA987654321)
        self.supervisor = self.supervise(which, folder)
        self.workers = [counted_schools(which, self.memory, seat) for seat in range(2)]
        self.folder = folder

    def supervise(self, which: tuple[School, ...], folder: Path) -> Schools:
        return Schools(self.memory, 2, which, folder, lambda bits: next(self.numbers) % (1 << bits))

    def count(self, school: str, clients: int, now: float = NOON, category: Category | None = None) -> None:
        """Each client asks both workers once."""
        for worker, client in itertools.product(self.workers, range(clients)):
            worker.count(mapped(f"{school}.{client}"), int(category or 0), int(now))

    def words(self) -> list[int]:
        return self.memory.cast("Q")[: CENSUS_LAYOUT["head_words"]].tolist()


def told(folder: Path, day: str = "2026-03-02") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{day}.json").read_text())["schools"]
    return found


def test_a_day_is_told_when_it_is_over_and_not_before(tmp_path: Path) -> None:
    at = Place(tmp_path)
    assert at.supervisor.tick(NOON) is None
    at.count("198.51.100", 30, category=Category.GAMBLING)
    at.count("203.0.113", 25)
    assert at.supervisor.tick(NOON + 3600) is None
    assert list(tmp_path.iterdir()) == []
    # 00:00 in Vietnam.
    assert at.supervisor.tick(NOON + DAY / 2) == date(2026, 3, 2)
    sums = told(tmp_path)
    assert (sums["a"]["clients"], sums["a"]["queries"], sums["a"]["blocked"]["gambling"]) == (30, 60, 60)
    assert (sums["b"]["clients"], sums["b"]["queries"]) == (25, 50)
    assert schools.read(tmp_path)["day"] == "2026-03-02"
    at.count("198.51.100", 40, NOON + DAY)
    assert at.supervisor.tick(NOON + 2 * DAY) == date(2026, 3, 3)
    assert told(tmp_path, "2026-03-03")["a"]["clients"] == 40


def test_of_few_clients_nothing_else_is_told(tmp_path: Path) -> None:
    at = Place(tmp_path)
    at.supervisor.tick(NOON)
    at.count("198.51.100", FEW - 1, category=Category.SCAM)
    at.supervisor.tick(NOON + DAY)
    assert told(tmp_path) == {"a": {"clients": "few"}, "b": {"clients": "few"}}


def test_what_could_be_read_as_a_childs_distress_is_never_told_apart() -> None:
    bits = FEW + 10
    shown = [
        Counted(500, {int(category): 7}, bits).told()
        for category in (Category.CSAM, Category.SEXUAL_EXPLOITATION, Category.SELF_HARM)
    ]
    assert shown[0] == shown[1] == shown[2]
    assert shown[0]["blocked"]["protected"] == 7
    names = {category.label for category in PROTECTED}
    assert names & set(json.dumps(shown[0]).split('"')) == set()
    # Every other category has its own.
    assert set(shown[0]["blocked"]) == {category.label for category in Category} - names | {"protected"}


def test_the_key_lives_for_a_day_in_memory_alone(tmp_path: Path) -> None:
    at = Place(tmp_path)
    at.supervisor.tick(NOON)
    place = CENSUS_LAYOUT["key"]
    key = at.words()[place : place + 2]
    assert all(key)
    at.count("198.51.100", 30)
    at.supervisor.tick(NOON + DAY)
    raw = b"".join(word.to_bytes(8, "little") for word in key)
    assert raw not in bytes(at.memory)
    for kept in tmp_path.iterdir():
        assert raw not in kept.read_bytes()
        assert raw.hex() not in kept.read_text()
        assert "198.51.100" not in kept.read_text()


def test_a_restarted_supervisor_goes_on_and_other_schools_begin_anew(tmp_path: Path) -> None:
    at = Place(tmp_path)
    at.supervisor.tick(NOON)
    at.count("198.51.100", 30)
    again = at.supervise(TWO, tmp_path)
    assert again.tick(NOON + 60) is None
    at.count("198.51.100", 30)
    # Whose numbers these were nobody could say.
    others = at.supervise((TWO[1], TWO[0]), tmp_path)
    assert others.tick(NOON + 120) is None
    at.count("203.0.113", 22)
    assert others.tick(NOON + DAY) == date(2026, 3, 2)
    # Workers are replaced with the configuration; these still count under the old numbers.
    assert told(tmp_path)["a"]["clients"] == 22
    assert told(tmp_path)["b"] == {"clients": "few"}


def test_the_day_after_the_supervisors_absence_begins_anew(tmp_path: Path) -> None:
    at = Place(tmp_path)
    at.supervisor.tick(NOON)
    at.count("198.51.100", 30)
    at.count("198.51.100", 90, NOON + DAY)
    at.supervisor.tick(NOON + 3 * DAY)
    assert told(tmp_path)["a"] == {**told(tmp_path)["a"], "clients": 30, "queries": 60}


@pytest.mark.parametrize(("clients", "shown"), [(20, 20), (99, 99), (187, 180), (254, 250)])
def test_many_clients_are_told_to_two_digits(clients: int, shown: int) -> None:
    assert Counted(1, {}, 4096 - round(4096 * (1 - 1 / 4096) ** clients)).told()["clients"] in {shown, shown - 1}


def test_the_estimate_holds_from_nothing_to_full() -> None:
    assert [estimate(bits) for bits in (0, 1, 19, 20)] == [0, 1, 19, 20]
    assert estimate(4096) > 30_000


def test_four_hundred_days_are_kept_and_a_day_that_is_not_is_named(tmp_path: Path) -> None:
    at = Place(tmp_path / "kept")
    for number in range(3):
        at.supervisor.tick(NOON + number * DAY)
    for number in range(schools.KEEP_DAYS):
        (tmp_path / "kept" / f"{date(2020, 1, 1) + timedelta(days=number)}.json").write_text("{}")
    at.supervisor.tick(NOON + 3 * DAY)
    assert len(list((tmp_path / "kept").iterdir())) == schools.KEEP_DAYS
    assert schools.read(tmp_path / "kept", date(2026, 3, 4))["day"] == "2026-03-04"
    with pytest.raises(SchoolsError, match="is not kept"):
        schools.read(tmp_path / "kept", date(2019, 1, 1))
    with pytest.raises(SchoolsError, match="no day"):
        schools.read(tmp_path / "nothing")


def test_a_disk_that_takes_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    at = Place(tmp_path / "file" / "schools")
    at.supervisor.tick(NOON)
    with pytest.raises(SchoolsError, match="are lost"):
        at.supervisor.tick(NOON + DAY)
