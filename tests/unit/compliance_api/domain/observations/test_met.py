"""Whom lines met, and when that is more than chance."""

from __future__ import annotations

from datetime import UTC, datetime

from compliance_api.domain.observations.met import Met, meetings
from compliance_api.domain.statistics.day import faulty_lines
from compliance_api.domain.statistics.parameters import DayRules

AT = datetime(2026, 6, 1, 5, tzinfo=UTC)
RULES = DayRules()


def met(line: int, *, enrolled: bool | None = False, custodian: int | None = None, network: int | None = None) -> Met:
    return Met(
        AT,
        f"s/{line}",
        f"v{line}",
        f"net-{line % 3 if network is None else network}",
        f"custodian-{line % 4 if custodian is None else custodian}",
        f"198.51.100.{line}",
        enrolled,
    )


def test_a_farm_is_found_by_its_lines_and_not_by_one_address() -> None:
    found = meetings([met(line, enrolled=line >= 12) for line in range(16)], RULES, handed=True)
    assert (found.told, found.lines, len(found.foreign)) == (16, 12, 12)


def test_as_many_lines_as_interception_explains_met_nobody_in_particular() -> None:
    few = faulty_lines(16, RULES)
    assert meetings([met(line, enrolled=line >= few) for line in range(16)], RULES, handed=True).lines == 0


def test_the_lines_of_one_custodian_or_of_one_network_alone_are_not_enough() -> None:
    rest = [met(line, enrolled=True) for line in range(10, 16)]
    assert meetings([*(met(line, custodian=9) for line in range(10)), *rest], RULES, handed=True).lines == 0
    assert meetings([*(met(line, network=9) for line in range(10)), *rest], RULES, handed=True).lines == 0


def test_one_session_with_somebody_else_makes_the_line_one_that_met_them() -> None:
    both = [*(met(line, enrolled=True) for line in range(12)), *(met(line) for line in range(12))]
    assert meetings(both, RULES, handed=True).lines == 12


def test_what_cannot_be_told_is_counted_apart() -> None:
    found = meetings([met(1, enrolled=None), met(2, enrolled=None), met(2, enrolled=True)], RULES, handed=True)
    assert (found.told, found.untold, found.foreign) == (1, 1, ())
    assert meetings([met(1)], RULES, handed=False).told == 0
