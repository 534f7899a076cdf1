from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from compliance_api.domain.case import Case
from compliance_api.domain.course import Course
from compliance_api.domain.law import Law
from compliance_api.domain.law_history import LawHistory
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.organisation import Jurisdiction, Label, Node, Organisation, OrganisationKind, Registry
from compliance_api.domain.procedure import Procedure
from compliance_api.domain.verdict import Outcome, Verdict
from compliance_api.usecases.count import DayCounter
from compliance_api.usecases.judge import REMEMBERED, Judge
from compliance_api.usecases.periods import PeriodJudge
from tests.support.cases import NOW, honest, law
from tests.support.days import Cases, Documents, TallyDrawer, known

NAME = Label("x", "x")


class Laws:
    def __init__(self, *laws: Law) -> None:
        self._history = known(*laws)

    async def history(self) -> LawHistory:
        return self._history


class Store:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str, tuple[str, ...]]] = []
        self.saved: list[Verdict] = []

    async def case(
        self, operator: str, jurisdiction: str, nodes: Sequence[str], text: Law, now: datetime, known: Course
    ) -> Case:
        self.asked.append((operator, jurisdiction, tuple(nodes)))
        return replace(honest(), operator=operator, jurisdiction=jurisdiction, law=text, now=now, course=known)

    async def save(self, verdict: Verdict, _procedure: Procedure) -> None:
        self.saved.append(verdict)


class Summed:
    def __init__(self, *told: tuple[datetime, datetime]) -> None:
        self.told = list(told)
        self.asked: list[datetime] = []

    async def since(self, _operator: str, since: datetime) -> list[tuple[datetime, datetime]]:
        self.asked.append(since)
        return [one for one in self.told if one[1] > since]


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
    verdicts = await Judge(registry, laws, store, counter, periods, Summed()).evaluate(NOW)
    assert store.asked == [("a", "hcm", ("e1",)), ("a", "hue", ("e1", "e2", "e0"))]
    assert [(one.jurisdiction, one.law, one.outcome) for one in verdicts] == [
        ("hcm", "south", Outcome.COMPLIANT),
        ("hue", "centre", Outcome.COMPLIANT),
    ]
    assert store.saved == verdicts


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
    judge = Judge(registry, laws, Store(), counter, PeriodJudge(counter, Cases(), documents), summed)
    await judge.evaluate(NOW)
    # Today is not over, and the day before may be told of by challenges of today.
    assert [one.period.name for one in documents.saved] == ["2025-11", "2025-11-20", "2025-11-21"]
    await judge.evaluate(NOW + timedelta(minutes=5))
    assert summed.asked == [NOW - REMEMBERED, NOW - timedelta(minutes=1)]
    assert len(documents.saved) == 3
