"""Properties of the verdict's statistics: they cover, they are monotone, and no evidence accuses nobody."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from compliance_api.domain.statistics.copies import likeness
from compliance_api.domain.statistics.day import ALL, DayTally, Line, judge_day, scattered
from compliance_api.domain.statistics.eprocess import FAMILIES, Standing
from compliance_api.domain.statistics.intervals import MILLION, clopper_pearson
from compliance_api.domain.statistics.parameters import CopyRule, CountRule, DayRules, ProcessRule, SlopeRule
from compliance_api.domain.statistics.slope import moments, slope
from compliance_api.domain.statistics.tail import threshold

RULES = DayRules()
LINES = [Line(f"net-{index % 3}", f"custodian-{index % 4}") for index in range(12)]

days = st.lists(st.sampled_from([True, False, None]), max_size=40)
asked = st.integers(0, 500)
line_counts = st.integers(0, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@given(st.integers(1, 60), st.floats(0.001, 0.999), st.sampled_from([0.9, 0.95, 0.99]))
def test_the_interval_covers_at_least_as_often_as_it_says(count: int, rate: float, confidence: float) -> None:
    intervals = [clopper_pearson(hits, count, confidence) for hits in range(count + 1)]
    covered = sum(
        float(binom.pmf(hits, count, rate))
        for hits, one in enumerate(intervals)
        if one.low <= rate * MILLION <= one.high
    )
    assert covered >= confidence - 1e-9


@given(asked, st.integers(0, 500))
def test_the_interval_moves_with_the_hits_and_holds_the_rate(count: int, hits: int) -> None:
    hits = min(hits, count)
    one = clopper_pearson(hits, count)
    assert one.low * count <= hits * MILLION <= one.high * count
    if hits < count:
        more = clopper_pearson(hits + 1, count)
        assert more.low >= one.low
        assert more.high >= one.high


@given(asked, st.floats(0.0001, 0.2), st.floats(0.0001, 0.1))
def test_the_threshold_grows_with_what_was_asked(count: int, rate: float, level: float) -> None:
    rule = CountRule(rate, level, 2)
    assert threshold(count + 1, rule) >= threshold(count, rule) >= 2
    assert threshold(count, replace(rule, level=level / 2)) >= threshold(count, rule)


def standing(course: list[bool | None]) -> Standing:
    reached = Standing()
    for day in course:
        reached = reached.after(dict.fromkeys(FAMILIES, day), ProcessRule())
    return reached


@given(days, st.data())
def test_a_worse_day_never_speaks_for_an_operator(course: list[bool | None], data: st.DataObject) -> None:
    if not course:
        assert standing(course).accused(ProcessRule()) == ()
        return
    index = data.draw(st.integers(0, len(course) - 1))
    values = [standing([*course[:index], day, *course[index + 1 :]]).value for day in (False, None, True)]
    assert values == sorted(values)


@given(st.lists(st.sampled_from([False, None]), max_size=60))
def test_without_a_bad_day_nobody_is_accused(course: list[bool | None]) -> None:
    assert standing(course).accused(ProcessRule()) == ()


tallies = st.builds(
    DayTally,
    names=asked,
    missed=st.integers(0, 20),
    evaded=st.integers(0, 20),
    lines=st.just(LINES),
    seen=st.fixed_dictionaries({ALL: st.lists(line_counts, min_size=12, max_size=12)}),
    unlisted=asked,
    over_blocked=st.integers(0, 20),
    aged=st.integers(0, 40),
    aged_missed=st.integers(0, 10),
    handed=st.integers(0, 30),
    foreign=st.integers(0, 30),
)


@given(tallies)
def test_a_day_is_the_same_whenever_it_is_judged(tally: DayTally) -> None:
    assert judge_day(tally, RULES) == judge_day(tally, RULES)


@given(tallies, st.sampled_from(["missed", "over_blocked", "aged_missed", "foreign"]))
def test_more_hits_never_make_a_day_better(tally: DayTally, field: str) -> None:
    before = judge_day(tally, RULES).bad
    after = judge_day(replace(tally, **{field: getattr(tally, field) + 1}), RULES).bad
    assert all(after[family] for family, bad in before.items() if bad)


@given(st.lists(st.frozensets(st.integers(0, 30), max_size=9), min_size=12, max_size=12), st.randoms())
def test_the_order_of_lines_does_not_matter(missed: list[frozenset[int]], random: Random) -> None:
    order = list(range(12))
    random.shuffle(order)
    counts = [(40, len(those)) for those in missed]
    assert scattered(LINES, counts, missed, RULES) == scattered(
        [LINES[index] for index in order], [counts[index] for index in order], [missed[index] for index in order], RULES
    )


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 10**6)), max_size=80))
def test_the_slope_is_exact_in_any_order(pairs: list[tuple[int, int]]) -> None:
    rule = SlopeRule(pairs=3)
    assert slope(moments(pairs), rule) == slope(moments(pairs[::-1]), rule)
    found = slope(moments(pairs), rule)
    if found is not None:
        assert found.variance >= 0
        low, high = found.bounds(5)
        assert low <= found.beta * MILLION <= high
    assert found is None or len(pairs) >= 3


@given(st.lists(st.integers(0, 1000), min_size=144, max_size=200), st.integers(1, 5))
def test_likeness_is_symmetric_and_scaling_hides_nothing(series: list[int], scale: int) -> None:
    rule = CopyRule(least=1)
    scaled = [one * scale for one in series]
    one, other = likeness(series, scaled, rule), likeness(scaled, series, rule)
    assert one == other
    if one is not None:
        assert one.dispersion == 0
