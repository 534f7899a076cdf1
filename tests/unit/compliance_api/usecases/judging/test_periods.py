from __future__ import annotations

import json
from datetime import timedelta

import pytest

from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.law.law import LawError
from compliance_api.domain.law.law_history import LawHistory, content, read
from compliance_api.domain.legal_day import period
from compliance_api.domain.reports.record import NodeRecord
from compliance_api.usecases.judging.count import DayCounter
from compliance_api.usecases.judging.periods import PeriodJudge, RecountError
from tests.support.cases import START, law, report, watched
from tests.support.days import LONG_AGO, PLACE, Cases, Documents, TallyDrawer, known

LAW = law(day={"length": "1h", "closes_after": "30m", "recounted_within": "2h"})
NAMES = [f"n{number}.example" for number in range(12)]
CLOSED = START + timedelta(minutes=90)
DAY = "2025-11-22.18"


def parts() -> tuple[TallyDrawer, Cases, Documents, DayCounter, PeriodJudge]:
    seen = watched(NAMES)
    drawer, cases, documents = TallyDrawer(list(seen)), Cases(seen), Documents()
    counter = DayCounter(drawer)
    return drawer, cases, documents, counter, PeriodJudge(counter, cases, documents)


async def test_a_day_is_judged_when_it_is_counted_and_again_when_that_changes_it() -> None:
    drawer, _, documents, counter, judge = parts()
    counted = await counter.count(PLACE, known(LAW), CLOSED)
    assert await judge.close(PLACE, known(LAW), counted, CLOSED) == 1
    assert [one.period.name for one in documents.saved] == [DAY]
    assert await judge.close(PLACE, known(LAW), counted, CLOSED) == 0
    drawer.sightings += watched(["late.example"])
    later = CLOSED + timedelta(minutes=5)
    counted = await counter.count(PLACE, known(LAW), later)
    assert await judge.close(PLACE, known(LAW), counted, later) == 1
    as_it_was = await judge.reach(PLACE, known(LAW), period(DAY, 3600), known_at=CLOSED)
    assert as_it_was.document == documents.saved[0].document


async def test_a_recount_names_the_day_whose_evidence_was_touched() -> None:
    drawer, _, _, counter, judge = parts()
    laws, wanted = known(LAW), period(DAY, 3600)
    await counter.count(PLACE, laws, CLOSED)
    course = await counter.course(PLACE, laws, LAW, CLOSED)
    await judge.check(PLACE, laws, wanted, course)
    drawer.sightings.pop()
    with pytest.raises(RecountError, match=DAY):
        await judge.check(PLACE, laws, wanted, course)
    # What retention has dropped cannot be counted again, and says nothing against the count.
    drawer.sightings.clear()
    await judge.check(PLACE, laws, wanted, course)


async def test_where_no_law_was_known_there_is_no_verdict() -> None:
    *_, judge = parts()
    with pytest.raises(LawError):
        await judge.reach(PLACE, known(LAW, since=CLOSED), period(DAY, 3600))


async def test_a_day_on_which_the_law_changes_names_both_and_is_judged_by_the_first() -> None:
    *_, counter, judge = parts()
    noon = START + timedelta(minutes=30)
    changed = law(day={"length": "1h", "closes_after": "30m", "recounted_within": "2h"}, minimum={"names": 99})
    laws = LawHistory((read("law-1", 1, LONG_AGO, content(LAW)), read("law-1", 2, noon, content(changed))))
    counted = await counter.count(PLACE, laws, CLOSED)
    assert [one.law_version for one in counted] == [1]
    reached = await judge.reach(PLACE, laws, period(DAY, 3600))
    told = json.loads(reached.document)
    assert [(one["version"], one["backdated"]) for one in told["law"]] == [(1, False), (2, True)]
    # Before anybody could know of the second text there was the first alone.
    then = await judge.reach(PLACE, laws, period(DAY, 3600), known_at=noon - timedelta(seconds=1))
    assert [one["version"] for one in json.loads(then.document)["law"]] == [1]


async def test_a_month_that_goes_on_misses_nothing_that_is_to_come() -> None:
    """Judged with each of its days: next week's reports are not due, and nobody knows the law that follows this one."""
    text = law(period="1d", day={"length": "1d"}, effective_until=START + timedelta(days=2))
    _, cases, *_, judge = parts()
    cases.nodes = (NodeRecord("edge-1", START, START),)
    cases.reports = tuple(report(minute) for minute in range(90))
    now, laws = START + timedelta(minutes=90), known(text)
    reached = await judge.reach(PLACE, laws, period("2025-11"), known_at=now)
    assert [one.kind for one in reached.verdict.findings if one.accuses] == []
    assert reached.verdict.coverage.windows_expected == 85
    again = await judge.reach(PLACE, laws, period("2025-11"), now=now)
    assert again.document == reached.document
    # Once it is over, they are.
    late = await judge.reach(PLACE, laws, period("2025-11"), known_at=START + timedelta(days=60))
    assert [one.kind for one in late.verdict.findings if one.accuses] == [FindingKind.MISSING_REPORTS]
