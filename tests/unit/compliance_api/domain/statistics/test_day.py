from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from compliance_api.domain.statistics.day import ALL, DayTally, Line, faulty_lines, judge_day, opened, scattered
from compliance_api.domain.statistics.parameters import DayRules, Family

RULES = DayRules()
LINES = [Line(f"net-{index % 3}", f"custodian-{index // 3 % 3}") for index in range(30)]
CLEAN = [(40, 0)] * 30
GOOD = DayTally(
    400, 0, 0, LINES, {ALL: CLEAN}, unlisted=160, over_blocked=0, aged=20, aged_missed=0, handed=16, foreign=0
)


def apart(counts: Sequence[tuple[int, int]]) -> list[frozenset[tuple[int, int]]]:
    """So many misses of each line, all of names that no other line missed."""
    return [frozenset((place, number) for number in range(missed)) for place, (_, missed) in enumerate(counts)]


def saw(**strata: Sequence[tuple[int, int]]) -> DayTally:
    """A good day but for what its lines saw."""
    return replace(GOOD, seen=strata, missed_by={name: apart(counts) for name, counts in strata.items()})


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
    leaks = saw(all=CLEAN, v6=[(10, 10)] * 30)
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
    assert judge_day(saw(all=counts), RULES).reasons == ()
    counts = [(40, 40)] * (explained + 3) + [(40, 0)] * (27 - explained)
    assert judge_day(saw(all=counts), RULES).reasons == ("open",)


@pytest.mark.parametrize("kind", ["network", "custodian"])
def test_one_insider_makes_no_day_bad_whatever_its_lines_say(kind: str) -> None:
    """All lines of one custodian, or of one network, see everything answered; others err by chance."""
    own = [getattr(line, kind) == f"{kind.removesuffix('work')}-1" for line in LINES]
    assert sum(own) > faulty_lines(30, RULES) + 2
    counts = [(40, 40) if one else (40, int(place in {0, 29})) for place, one in enumerate(own)]
    assert judge_day(saw(all=counts), RULES).reasons == ()


def test_misses_scattered_over_all_lines_are_found_though_no_name_is_missed_twice() -> None:
    assert scattered(LINES, [(40, 2)] * 30, apart([(40, 2)] * 30), RULES)
    assert not scattered(LINES, [(40, 0)] * 24 + [(40, 9)] * 6, apart([(40, 0)] * 24 + [(40, 9)] * 6), RULES)
    day = judge_day(saw(all=CLEAN, doh=[(6, 1)] * 30), RULES)
    assert day.reasons == ("scattered:doh",)


def test_one_network_or_custodian_makes_no_day_bad() -> None:
    for alike in ([Line("net", line.custodian) for line in LINES], [Line(line.network, "one") for line in LINES]):
        assert not scattered(alike, [(40, 4)] * 30, apart([(40, 4)] * 30), RULES)
        assert not opened(alike, [(40, 40)] * 30, RULES)
    assert not scattered([], [], apart([]), RULES)


def test_a_line_that_asked_little_is_not_open() -> None:
    assert not opened(LINES, [(9, 9)] * 30, RULES)


def test_which_of_equal_lines_is_set_aside_does_not_depend_on_their_order() -> None:
    lines = [Line("a", "x"), Line("b", "x"), Line("b", "y"), Line("a", "y"), Line("a", "z")]
    counts = [(10, 4)] * 5
    found = {scattered(lines[index:] + lines[:index], counts, apart(counts), RULES) for index in range(5)}
    assert len(found) == 1


def test_a_name_that_many_lines_missed_is_one_miss() -> None:
    """One name in a thousand may be open, and then every line sees it."""
    counts, one = [(40, 1)] * 30, frozenset({"open.example"})
    assert not scattered(LINES, counts, [one] * 30, RULES)
    assert scattered(LINES, counts, apart(counts), RULES)
    # Set aside are those that missed the most, whatever the others missed too.
    busy = frozenset(range(40))
    assert not scattered(LINES, [(40, 40)] * 6 + [(40, 1)] * 24, [busy] * 6 + [frozenset({0})] * 24, RULES)
