from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from compliance_api.domain.findings.casework import Action, Matter, opening, take
from compliance_api.domain.findings.procedure import Procedure
from compliance_api.web import app, findings
from compliance_api.web.tongue import load
from tests.support.overviews import NOW, SampleCasework, SampleReader, ago, case
from tests.support.people import AN

EN = load()["en"]


def late() -> object:
    return replace(case(7), steps=(opening(Procedure(), "operator-b", ago(days=4)),))


def test_what_is_late_comes_first_then_what_is_due_soonest() -> None:
    closed = replace(case(2), steps=(replace(case(2).steps[-1], due_at=None, next_unit=None),))
    soon = replace(case(3), steps=(replace(case(3).steps[-1], due_at=ago(hours=-1)),))
    rows = findings.list_page([closed, case(1), soon, late()], {}, NOW, EN)  # type: ignore[list-item]  # a FindingCase
    assert [row.view.identifier[-1] for row in rows] == ["7", "3", "1", "2"]
    assert [row.late for row in rows] == [True, False, False, False]
    assert rows[0].operator == "operator-b"


def console(*cases: object) -> httpx.AsyncClient:
    desk = SampleCasework(list(cases))  # type: ignore[arg-type]  # of FindingCase
    application = app.create(SampleReader(), clock=lambda: NOW, casework=desk)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=application), base_url="http://console")


async def test_the_list_and_one_finding_are_shown_in_both_languages() -> None:
    step = case(1).steps[-1]
    matter = Matter("operator-b", Procedure(), [step], True, "00" * 32)
    said = AN.deed(matter, Action.ANSWER, note="<b>luật sư</b>", order=("17/2026/QĐ-MẪU", "Tòa Mẫu"), paper=True)
    answer = take(matter, said, NOW)
    answered = replace(case(1), steps=(*case(1).steps, answer))
    async with console(answered, late()) as client:
        listed = (await client.get("/findings")).text
        assert "1 bước đã quá hạn" in listed
        assert "Viễn thông Bắc Hà" in listed
        shown = (await client.get(f"/findings/{answered.identifier}?lang=en")).text
        assert "cites order 17/2026/QĐ-MẪU of Tòa Mẫu" in shown
        assert "answered by the operator" in shown
        assert "entered by the authority, from paper" in shown
        assert "lachan://so/person/an" in shown
        assert "&lt;b&gt;luật sư" in shown
        assert "7 of 160" in shown


@pytest.mark.parametrize("path", ["/findings/zz", f"/findings/{'0' * 32}", f"/findings/{'0' * 31}%0a"])
async def test_a_finding_that_is_not_there_is_not_found(path: str) -> None:
    async with console() as client:
        assert (await client.get(path)).status_code == 404


async def test_without_casework_there_are_no_such_pages() -> None:
    application = app.create(SampleReader(), clock=lambda: NOW)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=application), base_url="http://console") as client:
        assert (await client.get("/findings")).status_code == 404
        shown = (await client.get("/operators/operator-b?lang=en")).text
        assert "suspended release 1046" in shown
        assert "00000000deadbeef" in shown
