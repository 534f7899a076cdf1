from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from blocklist_sync.artifact.categories import Action, Category
from lachan.config import ConfigError, parse
from resolver.schedule import DEFAULT_ZONE, Period, Schedule, actions_of, categories_of

SCHOOL = """
holidays: [2026-04-30, 2026-02-14..2026-02-22]
periods:
  - {name: lessons, start: 07:00, end: 17:00, categories: [violence]}
  - {name: night, days: [fri, sat], start: "22:00", end: 5:30, categories: [scam]}
  - {name: feast, days: [holiday], categories: [gambling], actions: {gambling: sinkhole}}
"""


def schedule(text: str = SCHOOL) -> Schedule:
    return parse(text, Schedule)


def local(text: str, zone: str = DEFAULT_ZONE) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def names(instant: float, table: Schedule | None = None) -> list[str]:
    return [period.name for period in (table or schedule()).at(instant)]


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-03-02T06:59:59", []),
        ("2026-03-02T07:00:00", ["lessons"]),
        ("2026-03-02T16:59:59", ["lessons"]),
        ("2026-03-02T17:00:00", []),
        ("2026-03-07T12:00:00", []),  # Saturday
        ("2026-03-06T22:00:00", ["night"]),  # Friday
        ("2026-03-07T05:29:59", ["night"]),
        ("2026-03-07T05:30:00", []),
        ("2026-03-08T01:00:00", ["night"]),  # the night that began on Saturday
        ("2026-03-09T01:00:00", []),
        ("2026-04-30T12:00:00", ["feast"]),  # Thursday, and a holiday
        ("2026-02-13T23:00:00", ["night"]),
        ("2026-02-14T00:30:00", ["night", "feast"]),  # the night before belongs to Friday
        ("2026-02-14T23:00:00", ["feast"]),
        ("2026-02-22T23:59:59", ["feast"]),
        ("2026-02-23T12:00:00", ["lessons"]),
    ],
)
def test_periods_hold_by_the_clock_on_the_wall(moment: str, expected: list[str]) -> None:
    assert names(local(moment)) == expected


def test_a_whole_day_ends_at_midnight() -> None:
    table = schedule("{periods: [{name: a, days: [mon], end: 24:00, categories: [scam]}]}")
    assert [
        len(names(local(f"2026-03-0{day}T{hour}:00:00"), table)) for day, hour in ((2, "00"), (2, "23"), (3, "00"))
    ] == [
        1,
        1,
        0,
    ]


def test_both_passes_of_an_hour_that_is_repeated_count_and_a_missing_one_does_not_occur() -> None:
    table = schedule(
        "{timezone: Europe/Berlin, periods: [{name: a, days: [sun], start: 02:15, end: 02:45, categories: [scam]}]}"
    )
    back = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 summer time, and 02:30 again an hour later
    assert names(back.timestamp(), table) == names((back + timedelta(hours=1)).timestamp(), table) == ["a"]
    forth = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
    assert not any(names((forth + timedelta(minutes=m)).timestamp(), table) for m in range(0, 180, 5))


def test_the_same_instant_is_another_time_elsewhere() -> None:
    text = "{timezone: %s, periods: [{name: a, start: 07:00, end: 08:00, categories: [scam]}]}"
    seven = local("2026-03-02T07:30:00")
    assert names(seven, schedule(text % DEFAULT_ZONE)) == ["a"]
    assert names(seven, schedule(text % "UTC")) == []


@given(st.integers(0, 4_000_000_000), st.integers(-3600, 3600))
def test_what_holds_depends_on_the_instant_alone(instant: int, other: int) -> None:
    table = schedule()
    before = names(instant, table)
    names(instant + other, table)
    assert names(instant, table) == before


def test_yaml_reads_some_times_as_numbers_and_they_come_back_from_json() -> None:
    # YAML 1.1: an unquoted 17:00 is 1020, an unquoted 07:00 a text.
    table = schedule("{periods: [{name: a, start: 7:00, end: 17:00, categories: [scam]}]}")
    assert (table.periods[0].start, table.periods[0].end) == (420, 1020)
    assert Schedule.model_validate_json(schedule().model_dump_json()) == schedule()


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"categories": ["csam"]}, "csam is mandated for everybody"),
        ({"categories": ["piracy"]}, "no category"),
        ({"actions": {"sexual_exploitation": "nodata"}}, "mandated for everybody"),
        ({"actions": {"scam": "drop"}}, "no action"),
        ({"start": "7"}, "HH:MM"),
        ({"start": "24:01"}, "HH:MM"),
        ({"start": "07:60"}, "HH:MM"),
        ({"start": True}, "HH:MM"),
        ({"start": 420, "end": 420}, "another end"),
        ({"start": "24:00"}, "another end"),
        ({"days": []}, "at least 1"),
        ({"days": ["monday"]}, "mon"),
        ({"categories": []}, "changes nothing"),
    ],
)
def test_a_period_that_cannot_be_is_refused(changed: dict[str, Any], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        Period.model_validate({"name": "a", "start": "07:00", "end": "17:00", "categories": ["scam"]} | changed)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{periods: []}", "at least 1"),
        ("{timezone: Mars/Olympus, periods: [{name: a, categories: [scam]}]}", "knows no time zone"),
        ("{timezone: ../etc/passwd, periods: [{name: a, categories: [scam]}]}", "knows no time zone"),
        ("{holidays: [tet], periods: [{name: a, categories: [scam]}]}", "YYYY-MM-DD"),
        ("{holidays: [7], periods: [{name: a, categories: [scam]}]}", "YYYY-MM-DD"),
        ("{holidays: [2026-02-22..2026-02-14], periods: [{name: a, categories: [scam]}]}", "after it begins"),
        ("{holidays: [2026-01-01..2026-12-31], periods: [{name: a, categories: [scam]}]}", "within 120 days"),
        ("{periods: [{name: a, categories: [scam]}, {name: a, categories: [scam]}]}", "a name stands once"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(text: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        schedule(text)


def test_words_become_categories_and_actions() -> None:
    assert categories_of(("scam", "drugs")) == {Category.SCAM, Category.DRUGS}
    assert actions_of({"scam": "null_ip"}) == {Category.SCAM: Action.NULL_IP}
