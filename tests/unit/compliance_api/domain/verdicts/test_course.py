from __future__ import annotations

from dataclasses import replace
from datetime import date

from compliance_api.domain.legal_day import CALENDAR, LegalDay
from compliance_api.domain.statistics.eprocess import FAMILIES, UNIT, Standing
from compliance_api.domain.statistics.parameters import Family
from compliance_api.domain.verdicts.course import CountedDay, Course, effective, follow
from tests.support.cases import counted, course

FILTERING = Family.FILTERING


def test_a_course_is_the_same_whatever_order_its_days_come_in() -> None:
    days = [counted(9), counted(7, FILTERING), counted(6), counted(3, FILTERING)]
    assert follow(days) == follow(reversed(days))


def test_days_that_nobody_counted_change_nothing_but_when_cheating_may_begin() -> None:
    apart = follow([counted(9), counted(5, FILTERING)])
    expected = Standing()
    rule = counted(1).process
    for bad in (False, None, None, None, True):
        expected = expected.after(dict.fromkeys(FAMILIES, False) | {FILTERING: bad} if bad is not None else {}, rule)
    assert apart.standing == expected


def test_a_later_count_may_acquit_and_never_accuse() -> None:
    bad, good = counted(1, FILTERING), counted(1, version=2)
    assert effective([bad, good])[FILTERING] is False
    assert effective([replace(good, version=1), replace(bad, version=2)])[FILTERING] is False
    assert effective([bad, good, replace(bad, version=3)])[FILTERING] is True


def test_the_first_count_that_can_tell_is_what_counts() -> None:
    """An operator that keeps its probes' results from the authority for a night gains nothing by it."""
    nothing = counted(1, known=False)
    assert effective([nothing])[FILTERING] is None
    assert effective([nothing, counted(1, FILTERING, version=2)])[FILTERING] is True
    assert effective([nothing, counted(1, version=2), counted(1, FILTERING, version=3)])[FILTERING] is False


def test_late_evidence_never_raises_what_was_shown_before() -> None:
    """Whatever is counted again: the e-value stays at or below that of the first counts, day by day."""
    first = [counted(number, *([FILTERING] if number % 3 else [])) for number in range(12, 0, -1)]
    shown = follow(first)
    again = [counted(number, *([FILTERING] if number % 2 else []), version=2) for number in range(12, 0, -1)]
    for upto in range(len(again) + 1):
        later = follow([*first, *again[:upto]])
        for before, after in zip(shown.steps, later.steps, strict=True):
            assert all(new <= old for new, old in zip(after.standing.values, before.standing.values, strict=True))


def test_the_days_of_an_accusation_are_those_since_nothing_was_held_against_the_operator() -> None:
    old = [counted(40, FILTERING), counted(39, FILTERING), *(counted(number) for number in range(38, 4, -1))]
    run = follow([*old, *(counted(number, FILTERING) for number in range(4, 0, -1))]).run(FILTERING)
    assert [step.day for step in run] == [counted(number).day for number in range(4, 0, -1)]


def on(month: int, day: int, *bad: Family, known: bool = True) -> CountedDay:
    """A day of the calendar, of the year before or after New Year."""
    number = (date(2027 if month == 1 else 2026, month, day) - date(1970, 1, 1)).days
    return replace(counted(1, *bad, known=known), day=LegalDay(number, CALENDAR))


DECEMBER = [on(12, day, FILTERING) for day in range(28, 32)]


def test_a_legal_year_begins_with_nothing() -> None:
    assert follow(DECEMBER).accused() == (FILTERING,)
    january = follow([*DECEMBER, on(1, 1)])
    assert (january.accused(), january.standing.days) == ((), 1)


def test_what_was_accused_at_new_year_is_open_until_a_good_day() -> None:
    silent = [*DECEMBER, on(1, 1, known=False)]
    for found in (follow(silent), follow(silent[4:], follow(DECEMBER).legacy)):
        assert (found.accused(), found.carried, found.doubted) == ((), {FILTERING}, {FILTERING})
        assert not found.settled
    good = follow([*silent, on(1, 2)])
    assert (good.carried, good.doubted, good.settled) == (frozenset(), frozenset(), True)
    # Of a year in which nobody has counted anything yet, all is open that the one before left.
    none = follow([], follow(DECEMBER).legacy)
    assert (none.carried, none.doubted) == ({FILTERING}, {FILTERING})


def test_a_bad_day_at_new_year_is_a_doubt_and_no_accusation() -> None:
    left = follow([on(12, 30), on(12, 31, FILTERING)]).legacy
    found = follow([on(1, 1, known=False)], left)
    assert (left.accused, found.carried, found.doubted) == (frozenset(), frozenset(), {FILTERING})
    assert follow([on(1, 1)], left).doubted == frozenset()


def test_another_burden_of_proof_begins_anew_and_forgets_nothing() -> None:
    """An authority that changes its burden text, for whomever it wants to spare."""
    other = replace(counted(1, known=False).process, accusation=8000)
    changed = [counted(number, FILTERING) for number in range(6, 2, -1)]
    changed.append(replace(counted(2, known=False), process=other))
    found = follow(changed)
    assert (found.standing.days, found.accused(), found.carried) == (1, (), {FILTERING})
    assert follow([*changed, replace(counted(1), process=other)]).carried == frozenset()


def test_a_course_of_nothing_accuses_of_nothing() -> None:
    assert (Course().accused(), Course().standing, Course().run(FILTERING)) == ((), Standing(), ())
    assert course(FILTERING).standing.values[0] > UNIT
