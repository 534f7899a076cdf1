"""Made-up verdicts for the console: an honest operator, a cheating one, one hardly seen. Nothing here is real."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from compliance_api.domain.findings.casework import Action, Matter, opening, take
from compliance_api.domain.findings.finding import EvidenceKind, FindingKind
from compliance_api.domain.findings.procedure import Procedure
from compliance_api.domain.observations.observation import Arm, Result
from compliance_api.domain.parties.organisation import Label
from compliance_api.domain.verdicts.coverage import Coverage
from compliance_api.domain.verdicts.verdict import Outcome
from compliance_api.usecases.console.measured import (
    BetweenView,
    ClaimsView,
    EffectView,
    LateView,
    MeasuredView,
    RateView,
    SlopeView,
)
from compliance_api.usecases.console.overview import (
    EvidenceView,
    FindingView,
    LiftedView,
    NodeView,
    ObservationView,
    OperatorDetail,
    OperatorOverview,
    Overview,
    PlaceView,
    ReportView,
    VerdictChange,
)
from compliance_api.usecases.findings.casework import FindingCase, Listing
from tests.support.people import AN

NOW = datetime(2025, 11, 22, 2, 12, 3, tzinfo=UTC)
LAW = "demo-2025"
CITATION = Label("Điều 7 khoản 2 Quy định trình diễn", "Demonstration regulation, article 7(2)")
PLACE = Label("Thành phố Mẫu", "Sample City")
CSAM, GAMBLING = 1, 4


def ago(**span: float) -> datetime:
    """A moment before NOW."""
    return NOW - timedelta(**span)


def coverage(**changes: object) -> Coverage:
    """Everything in order, but for `changes`."""
    view = Coverage(
        period_start=ago(days=1),
        period_end=NOW,
        windows_expected=288,
        windows_received=288,
        nodes=2,
        nodes_reporting=2,
        vantage_points=4,
        listed_asked=412,
        listed_blocked=412,
        listed_missed=0,
        listed_inconclusive=9,
        controls_asked=120,
        controls_over_blocked=0,
        list_serial_claimed=1047,
        list_serial_current=1047,
        list_lag_seconds=0,
    )
    return replace(view, **changes)  # type: ignore[arg-type]  # the fields' types are the caller's care


def finding(kind: FindingKind, counts: Mapping[str, int], **changes: object) -> FindingView:
    """A finding with one report and one observation behind it."""
    view = FindingView(
        kind=kind,
        accuses=kind.accuses,
        since=ago(hours=9, minutes=31),
        last_seen=ago(minutes=2),
        node="",
        counts=counts,
        evidence=(
            EvidenceView(EvidenceKind.RELEASE, "1031", ago(days=2), "", "", ""),
            EvidenceView(EvidenceKind.REPORT, "5f" * 32, ago(hours=3), "edge-1", "", "serial 1031"),
            EvidenceView(EvidenceKind.OBSERVATION, "0a" * 16 + "/3", ago(hours=2), "edge-1", "p-2", "bet.example"),
            EvidenceView(EvidenceKind.OBSERVATION, "0b" * 16 + "/4", ago(hours=2), "edge-1", "p-1", "secret.example"),
            EvidenceView(EvidenceKind.OBSERVATION, "0c" * 16 + "/5", ago(hours=2), "edge-1", "p-1", "unknown.example"),
        ),
        law=LAW,
        citation=CITATION,
    )
    return replace(view, **changes)  # type: ignore[arg-type]  # the fields' types are the caller's care


def operator(organisation: str, name: Label, verdict: Outcome, **changes: object) -> OperatorOverview:
    """An operator without findings, but for `changes`."""
    view = OperatorOverview(
        organisation=organisation,
        display_name=name,
        jurisdiction="sample-city",
        jurisdiction_name=PLACE,
        verdict=verdict,
        since=ago(days=11, hours=4),
        evaluated_at=ago(seconds=3),
        law=LAW,
        findings=(),
        coverage=coverage(),
    )
    return replace(view, **changes)  # type: ignore[arg-type]  # the fields' types are the caller's care


MEASURED = MeasuredView(
    "2025-11",
    ago(days=20),
    ago(days=-9),
    ago(hours=4),
    3,
    (RateView("under_blocking", 58, 406, 110_212, 180_731), RateView("over_blocking", 0, 0, 0, 1_000_000)),
    (
        EffectView(1047, ago(days=1), 211, 4, BetweenView(180, 245), BetweenView(3_600, 3_731)),
        EffectView(1046, ago(days=2), 0, 9, None, BetweenView(86_400, 86_455)),
    ),
    31,
    (EffectView(1045, ago(days=3), 12, 0, BetweenView(60, 119), None),),
    1,
    (LateView(1046, ago(days=2), BetweenView(90_000, None)),),
    ClaimsView(281, 90_417, 7, 1047, 348, 58, SlopeView(96, 96, 990_001, 1_010_002, False), 1),
)
HONEST = operator("operator-a", Label("Viễn thông An Bình", "An Binh Telecom"), Outcome.COMPLIANT)
CHEAT = operator(
    "operator-b",
    Label("Viễn thông Bắc Hà", "Bac Ha Telecom"),
    Outcome.NOT_COMPLIANT,
    since=ago(hours=9, minutes=28),
    findings=(
        finding(
            FindingKind.STALE_LIST,
            {
                "serial_observed": 1031,
                "newer_names_missed": 58,
                "newer_names_asked": 61,
                "older_names_blocked": 344,
            },
        ),
        finding(
            FindingKind.COUNTER_MISMATCH,
            {"windows_claiming_newer_list": 96, "serial_claimed": 1047, "serial_observed": 1031},
            node="edge-1",
        ),
        finding(FindingKind.UNDER_BLOCKING, {"names_missed": 58, "names_asked": 405}),
    ),
    coverage=coverage(
        windows_received=281, listed_asked=405, listed_blocked=347, listed_missed=58, listed_inconclusive=4
    ),
)
THIN = operator(
    "operator-c",
    Label("Mạng Cửu Long", "Cuu Long Networks"),
    Outcome.NOT_ENOUGH_EVIDENCE,
    since=ago(hours=2),
    findings=(
        finding(
            FindingKind.LOW_COVERAGE,
            {"listed_asked": 31, "listed_asked_needed": 100, "vantage_points": 1, "vantage_points_needed": 3},
            evidence=(),
        ),
    ),
    coverage=coverage(
        windows_expected=24,
        windows_received=23,
        nodes=1,
        nodes_reporting=1,
        vantage_points=1,
        listed_asked=31,
        listed_blocked=31,
        listed_inconclusive=2,
        controls_asked=8,
        list_serial_claimed=1046,
        list_lag_seconds=2580,
    ),
)
EMPTY = Overview(None, None, None, None, ())


def overview(*operators: OperatorOverview) -> Overview:
    """A front page of these operators."""
    return Overview(ago(seconds=3), 1047, ago(hours=6), 1_000_214, operators)


def observation(
    number: int, qname: str, category: int, result: Result, shape: str, **changes: object
) -> ObservationView:
    """An observation of a listed name."""
    view = ObservationView(
        reference=f"{number:02x}" * 16 + f"/{number % 10}",
        asked_at=ago(minutes=7 * number),
        probe=f"p-{number % 3 + 1}",
        vantage_point=("Đường thuê bao phường 1", "Trường Mẫu", "Trạm đo của Sở")[number % 3],
        access_network=("ftth-1", "mobile-2")[number % 2],
        node="edge-1",
        endpoint="udp 192.0.2.53:53",
        qname=qname,
        qtype="A",
        category=category,
        arm=Arm.LISTED,
        result=result,
        shape=shape,
        reference_alive=True,
    )
    return replace(view, **changes)  # type: ignore[arg-type]  # the fields' types are the caller's care


def detail(view: OperatorOverview) -> OperatorDetail:
    """An operator's page with a bit of everything."""
    observations = (
        observation(1, "bet.example", GAMBLING, Result.NOT_BLOCKED, "answer"),
        replace(observation(10, "bet.example", GAMBLING, Result.NOT_BLOCKED, "answer"), reference="0a" * 16 + "/3"),
        replace(observation(11, "secret.example", CSAM, Result.NOT_BLOCKED, "answer"), reference="0b" * 16 + "/4"),
        observation(4, "old.example", GAMBLING, Result.BLOCKED, "nxdomain"),
        observation(5, "news.example", 0, Result.NOT_BLOCKED, "answer", arm=Arm.CONTROL),
        observation(6, "gone.example", GAMBLING, Result.INCONCLUSIVE, "reference_dead", reference_alive=False),
    )
    reports = tuple(
        ReportView(
            node=f"edge-{number % 2 + 1}",
            digest=f"{number + 32:02x}" * 32,
            log_index=90_417 - number,
            sequence=4_180 - number // 2,
            window_start=ago(minutes=12 + 5 * (number // 2), seconds=3),
            window_seconds=300,
            received_at=ago(minutes=6 + 5 * (number // 2)),
            list_serial=1047,
            queries=1_204_511 - 1311 * number,
            blocked=3_120 + number,
            enforcing=True,
        )
        for number in range(6)
    )
    nodes = (
        NodeView(
            "edge-1", ("udp 192.0.2.53:53", "tcp 192.0.2.53:53"), ago(minutes=7), ago(minutes=6), 4180, 1047,
            ago(hours=6), True, 1_204_511, 3_120,
        ),
        NodeView("edge-2", ("udp 198.51.100.53:53",), None, None, None, None, None, None, None, None),
    )  # fmt: skip
    history = (
        VerdictChange(view.since, view.verdict, tuple(one.kind for one in view.findings)),
        VerdictChange(ago(days=40), Outcome.COMPLIANT, ()),
        VerdictChange(ago(days=41), Outcome.NOT_ENOUGH_EVIDENCE, (FindingKind.LOW_COVERAGE,)),
    )
    lifted = (
        LiftedView("edge-1", 1046, "", "technical_fault", ago(hours=5), ago(hours=3)),
        LiftedView("edge-1", None, "00000000deadbeef", "court_order", ago(hours=9), ago(hours=8)),
    )
    return OperatorDetail(view, nodes, reports, observations, history, lifted, MEASURED)


def case(number: int, **changes: object) -> FindingCase:
    """A finding whose operator was told and has not answered yet."""
    procedure = Procedure()
    opened = opening(procedure, "operator-b", ago(days=20 + number))
    matter = Matter("operator-b", procedure, [opened], True, "00" * 32)
    told = take(matter, AN.deed(matter, Action.CONFIRM, note="looked at"), ago(days=18))
    matter = replace(matter, steps=[opened, told])
    notified = take(matter, AN.deed(matter, Action.NOTIFY, note="told by letter"), ago(days=8))
    view = FindingCase(
        f"{number:032x}",
        "operator-b",
        "sample-city",
        FindingKind.OVER_BLOCKING,
        "",
        ago(days=21),
        ago(days=20),
        None,
        {"controls_blocked": 7, "controls_asked": 160},
        LAW,
        (opened, told, notified),
    )
    return replace(view, **changes)  # type: ignore[arg-type]  # the fields' types are the caller's care


@dataclass
class SampleCasework:
    """Findings that it was given."""

    kept: list[FindingCase] = field(default_factory=list)

    async def listing(self, now: datetime) -> Listing:
        """All of them."""
        return Listing(tuple(self.kept), len(self.kept), sum(one.overdue(now) for one in self.kept))

    async def case(self, identifier: str) -> FindingCase | None:
        """One of them."""
        return next((one for one in self.kept if one.identifier == identifier), None)


@dataclass
class SampleReader:
    """Reads what it was given; raises `failure` where there is one."""

    shown: Overview = field(default_factory=lambda: overview(HONEST, CHEAT, THIN))
    failure: Exception | None = None

    async def overview(self) -> Overview:
        """The front page."""
        if self.failure:
            raise self.failure
        return self.shown

    async def verdicts(self) -> Overview:
        """The same."""
        return await self.overview()

    async def names(self) -> Mapping[str, Label]:
        """Of those shown."""
        return {one.organisation: one.display_name for one in (await self.overview()).operators}

    async def places(self, organisation: str) -> tuple[PlaceView, ...]:
        """Of one of those shown."""
        return tuple(
            PlaceView(one.organisation, one.display_name, one.jurisdiction, one.jurisdiction_name)
            for one in (await self.overview()).operators
            if one.organisation == organisation
        )

    async def check(self) -> None:
        """Fails where nothing can be read."""
        await self.overview()

    async def operator_detail(self, organisation: str, jurisdiction: str) -> OperatorDetail | None:
        """One operator."""
        if self.failure:
            raise self.failure
        for view in self.shown.operators:
            if (view.organisation, view.jurisdiction) == (organisation, jurisdiction):
                return detail(view)
        return None
