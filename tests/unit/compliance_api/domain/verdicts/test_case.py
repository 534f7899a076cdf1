from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.law.law_history import LawHistory, content, read
from compliance_api.domain.reports.record import NodeRecord, ReportRecord
from compliance_api.domain.reports.window import Closure
from compliance_api.domain.verdicts.verdict import judge
from tests.support.cases import NOW, START, TEXT, honest, law, report


def test_each_moment_of_a_case_has_its_law_and_its_clause() -> None:
    noon = NOW - timedelta(minutes=30)
    old = law(effective_until=noon, default_citation=TEXT)
    new = law(id="law-2", effective_from=noon, default_citation={"vi": "Điều 2", "en": "Article 2"})
    history = LawHistory(tuple(read(one.id, 1, noon - timedelta(days=9), content(one)) for one in (old, new)))
    case = honest(law=new, laws=history.timeline("hcm"))
    assert [case.law_at(NOW - timedelta(minutes=ago)).id for ago in (31, 30, 0)] == ["law-1", "law-2", "law-2"]
    assert case.law_at(NOW - timedelta(days=90)) is new
    assert case.clause(FindingKind.BROKEN_CHAIN, NOW - timedelta(minutes=31)).citation.en == "Article 1"
    assert honest().timeline.at(NOW) == honest().law


class Counted(list[ReportRecord]):
    """Says how often it was gone through."""

    times = 0

    def __iter__(self) -> Iterator[ReportRecord]:
        self.times += 1
        return super().__iter__()


def test_many_nodes_are_not_each_looked_for_among_everybodys_reports() -> None:
    times = []
    for count in (2, 40):
        nodes = [NodeRecord(f"e{number}", START - timedelta(days=9), START) for number in range(count)]
        reports = Counted(replace(report(minute), node=node.name) for node in nodes for minute in (3, 4))
        case = honest(nodes=nodes, reports=reports)
        judge(case)
        times.append(reports.times)
        assert [one.window_start.minute for one in case.reports_of("e1")] == [3, 4]
    assert times[0] == times[1]
    assert honest().reports_of("nobody") == ()


def test_what_could_not_be_heard_is_due_once_there_was_time_for_it() -> None:
    minute = timedelta(minutes=1)
    text = law(report={"window": "1m", "deadline": "5m", "catch_up": "10m"})
    closures = [Closure(NOW - 90 * minute, NOW - 60 * minute), Closure(NOW - 55 * minute, NOW - 52 * minute)]
    for at, due in ((40, -45), (49, -54), (50, -95), (60, -95), (89, -95), (91, -96)):
        case = honest(now=NOW - at * minute, closures=closures)
        # As long as it lasted, or the law's time where that is less; one of them can follow the other.
        assert (at, case.due_by(text)) == (at, NOW + due * minute)
