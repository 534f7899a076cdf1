from __future__ import annotations

from dataclasses import replace

from compliance_api.domain.verdicts.verdict import Outcome
from compliance_api.web.pages import Hidden, coverage_row, front_page, operator_page
from compliance_api.web.tongue import load
from tests.support.overviews import CHEAT, EMPTY, HONEST, NOW, THIN, coverage, detail, overview

EN = load()["en"]


def test_the_worst_verdicts_come_first() -> None:
    page = front_page(overview(HONEST, THIN, CHEAT, replace(CHEAT, organisation="operator-d")), NOW, EN)
    assert [row.view.organisation for row in page.operators] == ["operator-b", "operator-d", "operator-c", "operator-a"]
    assert page.counts == {Outcome.NOT_COMPLIANT: 2, Outcome.NOT_ENOUGH_EVIDENCE: 1, Outcome.COMPLIANT: 1}
    assert page.age == 3


def test_nothing_judged_is_a_page_too() -> None:
    page = front_page(EMPTY, NOW, EN)
    assert (page.operators, page.age) == ((), None)


def test_names_that_must_not_spread_are_masked_and_so_are_unknown_ones() -> None:
    page = operator_page(detail(CHEAT), NOW, EN)
    shown = [row.detail for row in page.operator.findings[0].evidence]
    assert shown == ["", "serial 1031", "bet.example", Hidden.NAME, Hidden.NAME]
    by_name = {row.view.qname: row.qname for row in page.observations}
    assert by_name["secret.example"] is Hidden.NAME
    assert by_name["bet.example"] == "bet.example"
    assert by_name["news.example"] == "news.example"


def test_a_list_is_behind_only_where_both_ends_are_known() -> None:
    assert coverage_row(coverage(list_serial_claimed=3, list_serial_current=4)).behind
    assert not coverage_row(coverage(list_serial_claimed=4, list_serial_current=4)).behind
    assert not coverage_row(coverage(list_serial_claimed=None)).behind
    assert not coverage_row(coverage(list_serial_current=None)).behind


def test_more_windows_than_expected_do_not_break_the_bar() -> None:
    row = coverage_row(coverage(windows_expected=2, windows_received=5))
    assert [part.kind for part in row.windows_bar] == ["received"]
    assert coverage_row(coverage(windows_expected=0, windows_received=0)).windows_bar == ()


def test_a_name_that_is_masked_once_is_masked_everywhere() -> None:
    view = detail(CHEAT)
    twice = replace(view.observations[0], category=1, reference="ff" * 16 + "/1")
    page = operator_page(replace(view, observations=(*view.observations, twice)), NOW, EN)
    assert {row.qname for row in page.observations if row.view.qname == "bet.example"} == {Hidden.NAME}
    assert "bet.example" not in [row.detail for row in page.operator.findings[0].evidence]
