from __future__ import annotations

from datetime import timedelta

from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.law.law_history import LawHistory, content, read
from tests.support.cases import NOW, TEXT, honest, law


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
