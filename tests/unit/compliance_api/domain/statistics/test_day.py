from __future__ import annotations

from dataclasses import replace

import pytest

from compliance_api.domain.statistics.day import ALL, DayTally, Line, faulty_lines, judge_day, opened, scattered
from compliance_api.domain.statistics.parameters import DayRules, Family

RULES = DayRules()
LINES = [Line(f"net-{index % 3}", f"custodian-{index // 3 % 3}") for index in range(30)]
CLEAN = [(40, 0)] * 30
GOOD = DayTally(400, 0, 0, LINES, {ALL: CLEAN}, 160, 0, 20, 0, 16, 0)


def test_a_good_day_is_good_in_everything() -> None:
    day = judge_day(GOOD, RULES)
    assert day.bad == dict.fromkeys(Family, False)
    assert day.reasons == ()


def test_no_evidence_is_neither_good_nor_bad() -> None:
    assert judge_day(DayTally(), RULES).bad == dict.fromkeys(Family)
    assert judge_day(replace(GOOD, names=99), RULES).bad[Family.FILTERING] is None


@pytest.mark.parametrize(
    ("changes", "family", "reason"),
    [
        ({"missed": 3}, Family.FILTERING, "missed"),
        ({"names": 0, "evaded": 400}, Family.FILTERING, "evaded"),
        ({"over_blocked": 7}, Family.OVER_BLOCKING, "over_blocked"),
        ({"aged_missed": 3}, Family.STALE_LIST, "aged"),
        ({"foreign": 12}, Family.UNENROLLED, "foreign"),
        ({"direct": 16, "astray": 12}, Family.UNENROLLED, "astray"),
    ],
)
def test_each_count_makes_a_day_bad_in_its_own_family(changes: dict[str, int], family: Family, reason: str) -> None:
    day = judge_day(replace(GOOD, **changes), RULES)
    assert day.reasons == (reason,)
    assert [one for one, bad in day.bad.items() if bad] == [family]


def test_strata_that_were_added_later_count_as_far_as_the_law_leaves_them_something() -> None:
    leaks = replace(GOOD, seen={ALL: CLEAN, "v6": [(10, 10)] * 30})
    assert judge_day(leaks, RULES).reasons == ("scattered:v6",)
    assert judge_day(leaks, replace(RULES, scattered_later=None)).reasons == ()
    astray = replace(GOOD, direct=16, astray=12)
    assert judge_day(astray, replace(RULES, astray=False)).reasons == ()


def test_one_hit_less_than_too_many_is_no_bad_day() -> None:
    assert judge_day(replace(GOOD, missed=2, evaded=2, over_blocked=6, aged_missed=2, foreign=3), RULES).reasons == ()


def test_as_many_lines_as_interception_explains_prove_nothing() -> None:
    explained = faulty_lines(30, RULES)
    assert explained == 6
    counts = [(40, 40)] * explained + [(40, 0)] * (30 - explained)
    assert judge_day(replace(GOOD, seen={ALL: counts}), RULES).reasons == ()
    counts = [(40, 40)] * (explained + 3) + [(40, 0)] * (27 - explained)
    assert judge_day(replace(GOOD, seen={ALL: counts}), RULES).reasons == ("open",)


@pytest.mark.parametrize("kind", ["network", "custodian"])
def test_one_insider_makes_no_day_bad_whatever_its_lines_say(kind: str) -> None:
    """All lines of one custodian, or of one network, see everything answered; others err by chance."""
    own = [getattr(line, kind) == f"{kind.removesuffix('work')}-1" for line in LINES]
    assert sum(own) > faulty_lines(30, RULES) + 2
    counts = [(40, 40) if one else (40, int(place in {0, 29})) for place, one in enumerate(own)]
    assert judge_day(replace(GOOD, seen={ALL: counts}), RULES).reasons == ()


def test_misses_scattered_over_all_lines_are_found_though_no_name_is_missed_twice() -> None:
    assert scattered(LINES, [(40, 2)] * 30, RULES)
    assert not scattered(LINES, [(40, 0)] * 24 + [(40, 9)] * 6, RULES)
    day = judge_day(replace(GOOD, seen={ALL: CLEAN, "doh": [(6, 1)] * 30}), RULES)
    assert day.reasons == ("scattered:doh",)


def test_one_network_or_custodian_makes_no_day_bad() -> None:
    for alike in ([Line("net", line.custodian) for line in LINES], [Line(line.network, "one") for line in LINES]):
        assert not scattered(alike, [(40, 4)] * 30, RULES)
        assert not opened(alike, [(40, 40)] * 30, RULES)
    assert not scattered([], [], RULES)


def test_a_line_that_asked_little_is_not_open() -> None:
    assert not opened(LINES, [(9, 9)] * 30, RULES)


def test_which_of_equal_lines_is_set_aside_does_not_depend_on_their_order() -> None:
    lines = [Line("a", "x"), Line("b", "x"), Line("b", "y"), Line("a", "y"), Line("a", "z")]
    counts = [(10, 4)] * 5
    found = {scattered(lines[index:] + lines[:index], counts, RULES) for index in range(5)}
    assert len(found) == 1
