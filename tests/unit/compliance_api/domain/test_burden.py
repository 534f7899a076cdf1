from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from compliance_api.domain.burden import Burden
from compliance_api.domain.statistics.parameters import CopyRule, DayRules, ProcessRule, SlopeRule
from tests.support.cases import law


def test_the_defaults_of_the_law_are_those_of_the_tests() -> None:
    burden = Burden()
    assert burden.day_rules(3, 2, 2) == DayRules()
    assert burden.process_rule() == ProcessRule()
    assert burden.slope_rule() == SlopeRule()
    assert burden.copy_rule() == CopyRule()


def test_sums_over_lines_need_the_eyes_of_the_rule_of_confirmation() -> None:
    rules = law(confirmation={"vantage_points": 5, "networks": 4, "custodians": 3, "sessions_apart": "6h"}).day_rules()
    assert (rules.vantage_points, rules.networks, rules.custodians) == (5, 4, 3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"days": {"honest": 0.02}}, "levels of filtering sum up to 0.02301"),
        ({"bad": {"aged": {"rate": 0.01, "level": 0.04, "least": 3}}}, "levels of aged"),
        ({"days": {"honest": 0.9}}, "below days.cheating"),
    ],
)
def test_levels_that_do_not_fit_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Burden.model_validate(values)
