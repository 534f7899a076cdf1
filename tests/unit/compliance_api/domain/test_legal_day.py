from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from compliance_api.domain.legal_day import LegalDay, PeriodError, period


def test_a_day_begins_at_midnight_in_viet_nam() -> None:
    day = LegalDay.of(datetime(2026, 11, 21, 17, 0, tzinfo=UTC))
    assert (day.name, day.start, day.end - day.start) == (
        "2026-11-22",
        datetime(2026, 11, 21, 17, 0, tzinfo=UTC),
        timedelta(days=1),
    )
    assert LegalDay.of(day.start - timedelta(microseconds=1)).after() == day


def test_the_quarters_of_a_day_are_those_of_its_length() -> None:
    day = LegalDay.of(datetime(2026, 11, 22, 0, 0, tzinfo=UTC))
    assert [day.quarter(day.start + timedelta(hours=hour)) for hour in (0, 5, 6, 17, 23)] == [
        "00-06",
        "00-06",
        "06-12",
        "12-18",
        "18-24",
    ]
    short = LegalDay.of(datetime(2026, 11, 22, 0, 0, tzinfo=UTC), 60)
    assert short.quarter(short.start + timedelta(seconds=46)) == "18-24"


def test_short_days_are_named_within_their_date() -> None:
    day = LegalDay.of(datetime(2026, 11, 21, 17, 1, 30, tzinfo=UTC), 60)
    assert day.name == "2026-11-22.1"
    assert period(day.name, 60).first == day


def test_a_month_is_all_of_its_days() -> None:
    december = period("2026-12")
    assert (december.first.name, december.last.name) == ("2026-12-01", "2026-12-31")
    assert period("2024-02").last.name == "2024-02-29"
    one = period("2026-11-21")
    assert (one.first, one.first.name, one.end - one.start) == (one.last, "2026-11-21", timedelta(days=1))


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-13", "2026-02-30", "0000-01", "9999-12", "2026-11-21.3", "2026-11-21 ", "x" * 99]
)
def test_a_text_that_names_no_period_is_refused(text: str) -> None:
    with pytest.raises(PeriodError):
        period(text)


def test_a_part_of_a_day_needs_a_law_with_such_days() -> None:
    with pytest.raises(PeriodError, match="60 s long"):
        period("2026-11-21", 60)
    with pytest.raises(PeriodError, match="60 s long"):
        period("2026-11-21.1440", 60)
