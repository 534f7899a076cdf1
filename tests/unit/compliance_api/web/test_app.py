from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.observations.unreported import Withheld
from compliance_api.domain.parties.organisation import Label
from compliance_api.domain.verdicts.verdict import Outcome
from compliance_api.usecases.console.activity import Activity, SumView
from compliance_api.usecases.console.measured import MeasuredView, SlopeView
from compliance_api.usecases.console.overview import OperatorDetail, Overview, OverviewReader
from compliance_api.web.app import create
from compliance_api.web.settings import ConsoleSettings
from tests.support.overviews import (
    CHEAT,
    EMPTY,
    HONEST,
    NOW,
    THIN,
    SampleReader,
    coverage,
    detail,
    finding,
    operator,
    overview,
)

VOID = {"meta", "link", "path", "circle", "rect", "br"}
HOSTILE = '"><script>alert(1)</script>{{ 7*7 }}&<img src=x onerror=alert(1)>'
PAGES = ["/", "/operators/operator-a", "/operators/operator-b", "/operators/operator-c", "/operators/none"]


class Checked(HTMLParser):
    """Fails on markup that is not well-formed, or that runs or styles anything inline."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.scripts: list[str | None] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert len(given) == len(attrs), f"an attribute is given twice in {tag}"
        assert not [name for name in given if name.startswith("on") or name == "style"], (tag, given)
        if "id" in given:
            self.ids.append(str(given["id"]))
        for name in ("aria-labelledby", "aria-describedby"):
            self.references += str(given.get(name) or "").split()
        for name in ("href", "src"):
            assert not str(given.get(name, "")).startswith(("http:", "https:", "//", "javascript:")), given
        if tag == "script":
            self.scripts.append(given.get("src"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def check(html: str) -> Checked:
    parser = Checked()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids)), "an id is given twice"
    assert set(parser.references) <= set(parser.ids)
    assert all(str(source).startswith("/static/") for source in parser.scripts)
    return parser


def client(reader: OverviewReader | None = None, **settings: Any) -> httpx.AsyncClient:
    app = create(reader or SampleReader(), ConsoleSettings(**settings), clock=lambda: NOW)
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    return httpx.AsyncClient(transport=transport, base_url="http://console.test")


def text_of(answer: httpx.Response) -> str:
    return " ".join("".join(check(answer.text).text).split())


async def test_the_front_page_says_who_filters_and_who_does_not_in_vietnamese() -> None:
    async with client() as http:
        answer = await http.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-language"] == "vi"
    assert '<html lang="vi">' in answer.text
    said = text_of(answer)
    for part in (
        "Không đạt",
        "Chưa đủ bằng chứng",
        "Đạt",
        "Viễn thông Bắc Hà",
        "từ 23:44:03, 21/11/2025 (9 giờ 28 phút)",
        "Danh sách đã cũ",
        "trong 61 tên mới hơn đã hỏi, 58 tên không bị chặn",
        "doanh nghiệp khai đang dùng bản phát hành 1047",
        "281 / 288",
        "bỏ lọt 58",
        "Tỷ lệ bỏ lọt 14,3 %",
        "Số điểm đo: 1, cần ít nhất 3.",
        "1046 / 1047",
        "chậm 43 phút",
        "1.000.214 mục",
        "Giới hạn của lọc DNS.",
        "111",
    ):
        assert part in said, part
    # The worst first.
    assert said.index("Viễn thông Bắc Hà") < said.index("Mạng Cửu Long") < said.index("Viễn thông An Bình")


async def test_the_front_page_in_english() -> None:
    async with client() as http:
        answer = await http.get("/?lang=en")
    said = text_of(answer)
    assert answer.headers["content-language"] == "en"
    for part in (
        "Not compliant",
        "Bac Ha Telecom",
        "Out-of-date list",
        "What DNS filtering cannot do.",
        "behind for 43 minutes",
    ):
        assert part in said, part
    assert "Doanh nghiệp" not in said


async def test_a_choice_of_language_is_remembered_and_travels_with_the_links() -> None:
    async with client() as http:
        chosen = await http.get("/?lang=en")
        assert "lang=en" in chosen.headers["set-cookie"]
        for part in ("HttpOnly", "SameSite=lax", "Max-Age="):
            assert part in chosen.headers["set-cookie"]
        assert "/operators/operator-b?lang=en&amp;jurisdiction=sample-city" in chosen.text
        later = await http.get("/")
        assert later.headers["content-language"] == "en"
        assert "set-cookie" not in later.headers
        back = await http.get("/?lang=vi")
        assert back.headers["content-language"] == "vi"
    async with client() as http:
        preferred = await http.get("/", headers={"accept-language": "en-GB,vi;q=0.8"})
        assert preferred.headers["content-language"] == "en"
        assert "set-cookie" not in preferred.headers
        assert preferred.headers["vary"] == "Accept-Language, Cookie"
        unknown = await http.get("/?lang=<script>")
        assert unknown.headers["content-language"] == "vi"
        assert "set-cookie" not in unknown.headers


async def test_an_operators_page_shows_the_evidence_and_masks_what_must_not_spread() -> None:
    async with client() as http:
        answer = await http.get("/operators/operator-b")
    said = text_of(answer)
    for part in (
        "Viễn thông Bắc Hà",
        "Điều 7 khoản 2 Quy định trình diễn",
        "5f" * 32,
        "0a" * 16 + "/3",
        "bet.example",
        "serial 1031",
        "tên không hiển thị",
        "chưa từng báo cáo",
        "Trường Mẫu",
        "trả lời là không tồn tại (NXDOMAIN)",
        "90417",
        "Lịch sử kết luận",
    ):
        assert part in said, part
    assert "secret.example" not in answer.text
    assert "unknown.example" not in answer.text


async def test_an_operator_in_two_places_links_one_to_the_other() -> None:
    there = replace(HONEST, jurisdiction="other-city", jurisdiction_name=Label("Thành phố Khác", "Other City"))
    async with client(SampleReader(overview(HONEST, there))) as http:
        here = await http.get("/operators/operator-a?lang=en")
        other = await http.get("/operators/operator-a?lang=en&jurisdiction=other-city")
    assert "also judged in Other City" in text_of(here)
    assert "also judged in Sample City" in text_of(other)
    # The switch of language stays on the page.
    assert "/operators/operator-a?jurisdiction=other-city&amp;lang=vi" in other.text


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("language", ["vi", "en"])
async def test_every_page_is_well_formed_and_carries_the_headers(path: str, language: str) -> None:
    async with client(
        authority={"vi": "Sở Mẫu", "en": "Sample Department"}, notice={"vi": "Dữ liệu giả", "en": "Made-up data"}
    ) as http:
        answer = await http.get(path, params={"lang": language})
    said = text_of(answer)
    assert ("Sở Mẫu" if language == "vi" else "Sample Department") in said
    assert ("Dữ liệu giả" if language == "vi" else "Made-up data") in said
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert "111" in said


async def test_hostile_names_stay_text() -> None:
    hostile = operator(
        "operator-x",
        Label(HOSTILE, HOSTILE),
        Outcome.NOT_COMPLIANT,
        jurisdiction_name=Label(HOSTILE, HOSTILE),
        law=HOSTILE,
        findings=(
            finding(
                FindingKind.SLOW_BLOCK,
                {HOSTILE: 3},
                node=HOSTILE,
                law=HOSTILE,
                citation=Label(HOSTILE, HOSTILE),
            ),
        ),
    )
    async with client(SampleReader(overview(hostile))) as http:
        for path in (
            "/",
            "/operators/operator-x",
            f"/?lang={HOSTILE}",
            f"/operators/operator-x?jurisdiction={HOSTILE}",
        ):
            answer = await http.get(path)
            parser = check(answer.text)
            assert "<script>alert" not in answer.text
            assert "<img" not in answer.text
            assert "49" not in "".join(parser.text).replace("7*7", "") or answer.status_code == 404


async def test_before_the_first_verdict_the_page_says_so() -> None:
    async with client(SampleReader(EMPTY)) as http:
        said = text_of(await http.get("/"))
        assert "Chưa có kết luận" in said
        assert (await http.get("/api/v1/verdicts")).json() == {
            "evaluated_at": None,
            "list": {"serial": None, "published_at": None, "entries": None},
            "operators": [],
        }
    judged_nobody = replace(overview(), list_serial=None, list_entries=None, list_published_at=None)
    async with client(SampleReader(judged_nobody)) as http:
        said = text_of(await http.get("/?lang=en"))
    assert "No operator has been judged" in said
    assert "The list authority has not been reached yet." in said


async def test_nothing_known_of_lists_and_reports_is_shown_as_unknown() -> None:
    blank = operator(
        "operator-n",
        Label("Nhà mạng Mới", "New Carrier"),
        Outcome.NOT_ENOUGH_EVIDENCE,
        coverage=coverage(
            windows_expected=0,
            windows_received=0,
            nodes_reporting=0,
            listed_asked=0,
            listed_blocked=0,
            listed_inconclusive=0,
            list_serial_claimed=None,
            list_serial_current=None,
            list_lag_seconds=None,
        ),
    )
    async with client(SampleReader(overview(blank))) as http:
        said = text_of(await http.get("/?lang=en"))
    assert "no node has claimed a list" in said
    assert "Miss rate" not in said


async def test_what_custodians_did_not_hand_in_is_shown() -> None:
    held_back = replace(HONEST, coverage=coverage(unreported=(Withheld("custodian-b", 400, 31),)))
    async with client(SampleReader(overview(held_back))) as http:
        assert "Not handed in by custodian-b: 31 of 400 questions" in text_of(await http.get("/?lang=en"))
        assert "custodian-b không nộp: 31 trên 400 câu hỏi" in text_of(await http.get("/?lang=vi"))
        (told,) = (await http.get("/api/v1/verdicts")).json()["operators"]
    assert told["coverage"]["unreported"] == [{"custodian": "custodian-b", "questions": 400, "unreported": 31}]


async def test_old_verdicts_carry_a_warning() -> None:
    old = NOW - timedelta(hours=2)
    stale = replace(HONEST, evaluated_at=old)
    shown = Overview(old, 1047, None, None, (stale,))
    async with client(SampleReader(shown), stale_after="10m") as http:
        for path in ("/?lang=en", "/operators/operator-a?lang=en"):
            assert "These verdicts are 2 hours old: judging may have stopped." in text_of(await http.get(path))
    async with client() as http:
        assert "judging may have stopped" not in text_of(await http.get("/?lang=en"))


async def test_the_verdicts_for_machines() -> None:
    async with client() as http:
        answer = await http.get("/api/v1/verdicts")
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert document["evaluated_at"] == "2025-11-22T02:12:00Z"
    assert document["list"] == {"serial": 1047, "published_at": "2025-11-21T20:12:03Z", "entries": 1_000_214}
    by_name = {one["organisation"]: one for one in document["operators"]}
    assert {name: one["verdict"] for name, one in by_name.items()} == {
        "operator-a": "compliant",
        "operator-b": "not_compliant",
        "operator-c": "not_enough_evidence",
    }
    stale = by_name["operator-b"]["findings"][0]
    assert stale["kind"] == "stale_list"
    assert stale["counts"]["newer_names_missed"] == 58
    assert stale["evidence"][2] == {"kind": "observation", "reference": "0a" * 16 + "/3"}
    assert by_name["operator-a"]["coverage"]["listed_asked"] == 412
    assert ".example" not in answer.text


@pytest.mark.parametrize("failure", [OSError("connection refused"), RuntimeError("driver"), TimeoutError()])
async def test_a_database_that_is_down_is_a_clear_page(failure: Exception) -> None:
    async with client(SampleReader(failure=failure)) as http:
        for path in ("/", "/operators/operator-a"):
            answer = await http.get(path)
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            assert "Cơ sở dữ liệu không trả lời." in text_of(answer)
            assert "connection refused" not in answer.text
            assert "default-src 'none'" in answer.headers["content-security-policy"]
        for path in ("/health", "/api/v1/verdicts"):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")


async def test_a_database_that_hangs_is_given_up() -> None:
    class Hanging(SampleReader):
        async def overview(self) -> Overview:
            await asyncio.Event().wait()
            raise AssertionError

    async with client(Hanging(), read_timeout=0.1) as http:
        assert (await http.get("/")).status_code == 503


@pytest.mark.parametrize(
    "path",
    [
        "/operators/none",
        "/operators/UPPER",
        "/operators/operator-a?jurisdiction=nowhere",
        "/operators/operator-a?jurisdiction=..%2F..",
        "/nothing/here",
        "/static/none.css",
        "/static/../app.py",
    ],
)
async def test_what_is_not_there_is_a_page_too(path: str) -> None:
    async with client() as http:
        answer = await http.get(path)
    assert answer.status_code == 404
    assert "Không có trang này" in text_of(answer)


async def test_only_reading_is_allowed() -> None:
    async with client() as http:
        assert (await http.post("/")).status_code == 405
        assert (await http.delete("/api/v1/verdicts")).status_code == 405
        for path in ("/", "/operators/operator-b", "/api/v1/verdicts", "/health"):
            head = await http.head(path)
            assert (head.status_code, head.content) == (200, b"")
        for path in ("/docs", "/redoc", "/openapi.json"):
            assert (await http.get(path)).status_code == 404


async def test_health_is_well_while_the_verdicts_can_be_read() -> None:
    async with client() as http:
        assert (await http.get("/health")).json() == {"status": "ok"}


async def test_static_files_may_be_kept_since_their_address_changes_with_them() -> None:
    async with client(SampleReader(overview(THIN, CHEAT))) as http:
        page = (await http.get("/")).text
        for name, kind in (("console.css", "text/css"), ("refresh.js", "javascript"), ("shield.svg", "image/svg+xml")):
            address = page[page.index(f"/static/{name}?v=") :].split('"')[0]
            answer = await http.get(address)
            assert kind in answer.headers["content-type"]
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers["x-content-type-options"] == "nosniff"


class SampleSums:
    async def activity(self, organisation: str, jurisdiction: str, now: datetime) -> Activity | None:
        del jurisdiction
        if organisation == "operator-c":
            return None
        hour = SumView(now, 3, 36, 0, 2, 12345, 678, 90, 4)
        day = SumView(now.date(), 3, 36, 36, 0, None, 678, 0, 0)
        return Activity((hour,), (day,)) if organisation == "operator-a" else Activity((), ())


async def test_what_nodes_reported_is_shown_by_the_hour_and_by_the_day() -> None:
    app = create(SampleReader(), clock=lambda: NOW, sums=SampleSums())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://console.test") as client:
        vietnamese = await client.get("/operators/operator-a/activity")
        english = await client.get("/operators/operator-a/activity?lang=en")
        nothing = await client.get("/operators/operator-b/activity?lang=en")
        missing = [await client.get(f"/operators/{name}/activity") for name in ("operator-c", "none")]
        elsewhere = await client.get("/operators/operator-a/activity?jurisdiction=mars")
    assert "Theo giờ" in vietnamese.text
    for told in ("By the hour", "12,345", "678", "not measured", NOW.date().isoformat()):
        assert told in english.text
    Checked().feed(english.text)
    assert "Nothing was reported." in nothing.text
    assert [one.status_code for one in (*missing, elsewhere)] == [404] * 3


async def test_an_operator_page_says_how_fast_it_was_and_what_was_claimed_beside_what_was_seen() -> None:
    async with client() as http:
        vi = text_of(await http.get("/operators/operator-b?lang=vi"))
        en = text_of(await http.get("/operators/operator-b?lang=en"))
    for part in (
        "Kết quả đo trong kỳ 2025-11",
        "11,0212 % đến 18,0731 %",
        "không rõ: chưa hỏi tên nào",
        "2 bản phát hành mới nhất trong 31 bản",
        "3 phút đến 4 phút 5 giây 180–245 s",
        "chưa thấy: không rõ",
        "ít nhất 1 ngày 1 giờ, và lần xem cuối vẫn chưa ≥ 90.000 s",
        "tên trong danh sách bị chặn: 348, không bị chặn: 58",
        "có 990.001 đến 1.010.002 câu được đếm",
    ):
        assert part in vi, part
    for part in (
        "From publication until names taken out answered again",
        "1 minute to 1 minute 59 seconds",
        "never seen",
    ):
        assert part in en, part


@pytest.mark.parametrize(
    ("slope", "said"),
    [
        (None, "not known: no challenge was summed up"),
        (SlopeView(2, 3, None, None, accuses=False), "not known: 3 tests are too few"),
        (SlopeView(9, 9, 1, 2, accuses=True), "the counters are untrue"),
    ],
)
async def test_what_is_not_known_is_said_to_be_so(slope: SlopeView | None, said: str) -> None:
    view = detail(CHEAT)
    assert view.measured is not None
    unknown = replace(view.measured, blocking=(), unblocking=(), claims=replace(view.measured.claims, slope=slope))

    class Reader(SampleReader):
        measured: MeasuredView | None = unknown

        async def operator_detail(self, organisation: str, jurisdiction: str) -> OperatorDetail | None:
            shown = await super().operator_detail(organisation, jurisdiction)
            return replace(shown, measured=self.measured) if shown is not None else None

    reader = Reader()
    async with client(reader) as http:
        told = text_of(await http.get("/operators/operator-b?lang=en"))
        reader.measured = None
        nothing = text_of(await http.get("/operators/operator-b?lang=en"))
    for part in (said, "how fast it was blocked is not known", "how fast it was unblocked is not known"):
        assert part in told, part
    assert "No day was judged yet" in nothing
