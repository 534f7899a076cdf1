from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from compliance_api.domain.law.law import LawBook
from compliance_api.domain.law.retention import RetentionSettings
from tests.support.cases import NOW, law


def test_raw_ninety_days_and_hours_two_years_unless_said_otherwise() -> None:
    kept = RetentionSettings()
    assert kept.raw_before(NOW) == NOW - timedelta(days=90)
    assert kept.hourly_before(NOW) == NOW - timedelta(days=730)
    assert kept.challenges_before(NOW) == NOW - timedelta(days=120)


def test_hours_are_kept_at_least_as_long_as_what_they_were_made_of() -> None:
    assert RetentionSettings.model_validate({"raw": "200d", "hourly": "100d"}).hourly_before(NOW) == NOW - timedelta(
        days=200
    )


@pytest.mark.parametrize("wrong", [{"raw": "1d"}, {"hourly": "6d"}, {"interval": 0}, {"daily": "1d"}])
def test_too_short_a_time_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RetentionSettings.model_validate(wrong)


def test_a_law_looks_back_over_no_more_than_is_kept() -> None:
    assert RetentionSettings().problems(LawBook(laws=(law(),))) == []
    (problem,) = RetentionSettings.model_validate({"raw": "30d"}).problems(LawBook(laws=(law(period="30d"),)))
    assert "law-1 looks back over 30 days" in problem


def test_a_law_remembers_and_counts_anew_no_more_than_is_kept() -> None:
    kept = RetentionSettings.model_validate({"raw": "30d", "challenges": "100d"})
    remembering = law(challenges={"closed_days": 120})
    counting = law(day={"recounted_within": "25d"})
    found = [kept.problems(LawBook(laws=(one,))) for one in (remembering, counting)]
    assert ["remembers closed hours for 120 days" in one for (one,) in found] == [True, False]
    assert ["counts a day anew for 25 days" in one for (one,) in found] == [False, True]
