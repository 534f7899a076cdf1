from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from compliance_api.domain.law.burden import Burden
from compliance_api.domain.statistics.parameters import CopyRule, CountRule, DayRules, ProcessRule, SlopeRule
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


def test_texts_of_before_leave_later_strata_what_they_have_not_spent() -> None:
    def later(honest: float, **bad: Any) -> CountRule | None:
        values = {"days": {"honest": honest}, "bad": bad}
        return Burden.model_validate(values).day_rules(3, 2, 2).scattered_later

    assert later(0.03) == CountRule(0.001, 0.001, 4)
    scarce = later(0.02401)
    assert scarce is not None
    assert scarce.level == pytest.approx(0.00025)
    assert later(0.05, scattered={"rate": 0.002, "level": 0.002, "least": 5}) == CountRule(0.002, 0.002, 5)
    # Such a text was valid before, and is.
    assert later(0.02301, line_fault_level=0.00001) is None


def test_a_text_without_room_for_it_has_no_line_looked_at_twice() -> None:
    bad = {"line_fault_level": 0.016, "scattered": {"rate": 0.001, "level": 0.0001, "least": 4}}
    assert not Burden.model_validate({"bad": bad}).day_rules(3, 2, 2).astray
    assert Burden().day_rules(3, 2, 2).astray
