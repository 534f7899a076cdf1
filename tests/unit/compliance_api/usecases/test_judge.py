from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from compliance_api.domain.case import Case
from compliance_api.domain.course import Course
from compliance_api.domain.law import Law
from compliance_api.domain.law_history import LawHistory
from compliance_api.domain.organisation import Jurisdiction, Label, Node, Organisation, OrganisationKind, Registry
from compliance_api.domain.procedure import Procedure
from compliance_api.domain.verdict import Outcome, Verdict
from compliance_api.usecases.count import DayCounter
from compliance_api.usecases.judge import Judge
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
    verdicts = await Judge(registry, laws, store, counter, periods).evaluate(NOW)
    assert store.asked == [("a", "hcm", ("e1",)), ("a", "hue", ("e1", "e2", "e0"))]
    assert [(one.jurisdiction, one.law, one.outcome) for one in verdicts] == [
        ("hcm", "south", Outcome.COMPLIANT),
        ("hue", "centre", Outcome.COMPLIANT),
    ]
    assert store.saved == verdicts
