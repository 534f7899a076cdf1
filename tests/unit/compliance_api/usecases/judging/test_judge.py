from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from compliance_api.domain.findings.procedure import Procedure
from compliance_api.domain.law.law import Law
from compliance_api.domain.law.law_history import LawHistory, content, read
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.parties.organisation import (
    Jurisdiction,
    Label,
    Node,
    Organisation,
    OrganisationKind,
    Registry,
)
from compliance_api.domain.reports.record import ReleaseRecord
from compliance_api.domain.verdicts.case import Case
from compliance_api.domain.verdicts.course import Course
from compliance_api.domain.verdicts.verdict import Outcome, Verdict
from compliance_api.usecases.judging.count import DayCounter
from compliance_api.usecases.judging.hearing import REMEMBERED, Hearing, LateReports
from compliance_api.usecases.judging.judge import Judge
from compliance_api.usecases.judging.periods import PeriodJudge
from tests.support.cases import NOW, honest, law
from tests.support.days import Cases, Documents, TallyDrawer, known

NAME = Label("x", "x")


class Laws:
    def __init__(self, *laws: Law) -> None:
        self.kept = known(*laws)

    async def history(self) -> LawHistory:
        return self.kept


class Store:
    def __init__(self, **changes: Any) -> None:
        self._changes = changes
        self.asked: list[tuple[str, str, tuple[str, ...]]] = []
        self.saved: list[Verdict] = []

    async def case(
        self, operator: str, jurisdiction: str, nodes: Sequence[str], text: Law, now: datetime, known: Course
    ) -> Case:
        self.asked.append((operator, jurisdiction, tuple(nodes)))
        return replace(
            honest(**self._changes), operator=operator, jurisdiction=jurisdiction, law=text, now=now, course=known
        )

    async def save(self, verdict: Verdict, _procedure: Procedure) -> None:
        self.saved.append(verdict)


class Summed:
    def __init__(self, *told: tuple[datetime, datetime]) -> None:
        self.told = list(told)
        self.asked: list[datetime] = []

    async def since(self, _operator: str, _place: str, since: datetime) -> list[tuple[datetime, datetime]]:
        self.asked.append(since)
        return [one for one in self.told if one[1] > since]


class Late:
    def __init__(self, *told: LateReports) -> None:
        self.told = list(told)
        self.marks: list[int] = []

    async def unheard(self) -> tuple[list[LateReports], int]:
        return self.told, 7

    async def heard(self, mark: int) -> None:
        self.marks.append(mark)


async def test_each_operator_is_judged_in_each_of_its_jurisdictions_by_the_law_there() -> None:
    nodes = (Node("e1", b"", (), frozenset({"hcm", "hue"})), Node("e2", b"", (), frozenset({"hue"})))
    left = (Node("e0", b"", (), frozenset({"hue"})),)
    everywhere = frozenset({"hcm", "hue", "lawless"})
    registry = Registry(
        tuple(Jurisdiction(name, NAME) for name in everywhere),
        (
            Organisation("so", OrganisationKind.AUTHORITY, NAME, everywhere),
            Organisation("a", OrganisationKind.OPERATOR, NAME, everywhere, nodes, former=left),
        ),
    )
    laws = Laws(law(id="south", jurisdictions=["hcm"]), law(id="centre", jurisdictions=["hue"]))
    store = Store()
    counter = DayCounter(TallyDrawer())
    periods = PeriodJudge(counter, Cases(), Documents())
    judge = Judge(registry, laws, store, counter, periods, Hearing(Summed(), Late()))
    verdicts = await judge.evaluate(NOW)
    assert store.asked == [("a", "hcm", ("e1",)), ("a", "hue", ("e1", "e2", "e0"))]
    assert [(one.jurisdiction, one.law, one.outcome) for one in verdicts] == [
        ("hcm", "south", Outcome.COMPLIANT),
        ("hue", "centre", Outcome.COMPLIANT),
    ]
    assert store.saved == verdicts
    assert [one.jurisdiction for one in judge.unjudged] == ["lawless"]


async def test_one_operator_that_cannot_be_judged_keeps_no_other_from_it() -> None:
    class Spoilt(Store):
        async def case(self, operator: str, *rest: Any) -> Case:
            if operator in spoilt:
                raise ValueError("a row that cannot be read")
            return await super().case(operator, *rest)

    place = frozenset({"hcm"})
    node = (Node("edge-1", b"", (), place),)
    operators = tuple(Organisation(name, OrganisationKind.OPERATOR, NAME, place, node) for name in "abc")
    store, counter, late = Spoilt(), DayCounter(TallyDrawer()), Late()
    registry = Registry((Jurisdiction("hcm", NAME),), operators)
    periods = PeriodJudge(counter, Cases(), Documents())
    judge = Judge(registry, Laws(law()), store, counter, periods, Hearing(Summed(), late))
    spoilt = {"a"}
    assert [one.operator for one in await judge.evaluate(NOW)] == ["b", "c"]
    assert ([one.operator for one in judge.unjudged], late.marks) == (["a"], [])
    spoilt = {"a", "b", "c"}
    with pytest.raises(ValueError, match="row"):
        await judge.evaluate(NOW + timedelta(minutes=1))
    spoilt = set()
    assert len(await judge.evaluate(NOW + timedelta(minutes=20))) == 3
    assert (dict(judge.unjudged), late.marks) == ({}, [7])


async def test_days_are_judged_anew_when_challenges_say_something_of_them() -> None:
    registry = Registry(
        (Jurisdiction("hcm", NAME),),
        (
            Organisation(
                "a",
                OrganisationKind.OPERATOR,
                NAME,
                frozenset({"hcm"}),
                (Node("edge-1", b"", (), frozenset({"hcm"})),),
            ),
        ),
    )
    laws, documents = Laws(law(day={"length": "24h", "closes_after": "6h"})), Documents()
    counter = DayCounter(TallyDrawer())
    today = LegalDay.of(NOW)
    summed = Summed((today.after(-1).end, NOW - timedelta(hours=1)), (today.end, NOW - timedelta(minutes=1)))
    periods = PeriodJudge(counter, Cases(), documents)
    judge = Judge(registry, laws, Store(), counter, periods, Hearing(summed, Late()))
    await judge.evaluate(NOW)
    # Today is not over, and the day before may be told of by challenges of today.
    assert [one.period.name for one in documents.saved] == ["2025-11", "2025-11-20", "2025-11-21"]
    await judge.evaluate(NOW + timedelta(minutes=5))
    assert summed.asked == [NOW - REMEMBERED, NOW - timedelta(minutes=1)]
    assert len(documents.saved) == 3


async def test_a_law_that_became_known_a_minute_ago_judges_that_minute() -> None:
    """A stricter text that says of itself that it is as old as the one it replaces."""
    strict = law(
        report={"window": "30s", "deadline": "1s", "tolerated_missing": 0.0},
        list={"block_deadline": "1s", "urgent_block_deadline": "1s", "maximum_age": "1s"},
    )
    mild = law(list={"block_deadline": "1d", "urgent_block_deadline": "1d", "maximum_age": "1d"})
    place = frozenset({"hcm"})
    operator = Organisation("a", OrganisationKind.OPERATOR, NAME, place, (Node("edge-1", b"", (), place),))
    registry = Registry((Jurisdiction("hcm", NAME),), (operator,))
    releases = [*honest().releases, ReleaseRecord(3, NOW - timedelta(minutes=20), False)]
    found = []
    for known_from in (NOW - timedelta(minutes=1), NOW - timedelta(days=9)):
        laws = Laws()
        laws.kept = LawHistory(
            (read("law-1", 1, NOW - timedelta(days=10), content(mild)), read("law-1", 2, known_from, content(strict)))
        )
        store = Store(releases=releases)
        counter = DayCounter(TallyDrawer())
        periods = PeriodJudge(counter, Cases(), Documents())
        await Judge(registry, laws, store, counter, periods, Hearing(Summed(), Late())).evaluate(NOW)
        found.append(store.saved[0].outcome)
    assert found == [Outcome.COMPLIANT, Outcome.NOT_COMPLIANT]
