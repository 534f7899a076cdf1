"""Made-up cases for the domain's tests: one node, a law with round numbers, windows and sightings on demand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from compliance_api.domain.findings.finding import Evidence, EvidenceKind
from compliance_api.domain.law.law import Law
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.observations.observation import Arm, Result, Shape, Sighting
from compliance_api.domain.reports.chain import Relation
from compliance_api.domain.reports.record import NodeRecord, ReleaseRecord, ReportRecord
from compliance_api.domain.statistics.eprocess import FAMILIES
from compliance_api.domain.statistics.parameters import Family
from compliance_api.domain.verdicts.case import Case
from compliance_api.domain.verdicts.course import CountedDay, Course, ReleaseSeen, follow

NOW = datetime(2025, 11, 22, 12, 0, tzinfo=UTC)
START = NOW - timedelta(hours=1)
TEXT = {"vi": "Điều 1", "en": "Article 1"}


def law(**changes: Any) -> Law:
    """An hour's period, windows of a minute, five minutes for everything."""
    values: dict[str, Any] = {
        "id": "law-1",
        "effective_from": datetime(2020, 1, 1, tzinfo=UTC),
        "authority": TEXT,
        "default_citation": TEXT,
        "period": "1h",
        "report": {"window": "1m", "deadline": "5m", "first_within": "10m", "tolerated_missing": 0.0},
        "list": {"block_deadline": "5m", "urgent_block_deadline": "1m", "maximum_age": "5m"},
        "day": {"length": "1m", "closes_after": "1m", "recounted_within": "10m"},
        "burden": {"bad": {"minimum_names": 10, "line_fault_rate": 0.000001}, "days": {"accusation": 20}},
        "confirmation": {"vantage_points": 2, "networks": 2, "custodians": 2, "sessions_apart": "10m"},
        "minimum": {"names": 10, "controls": 3, "windows": 5, "missed_names": 3},
        "counters": {"mismatched_windows": 2, "clock_tolerance": "5s"},
    }
    return Law.model_validate({**values, **changes})


def report(minute: int, **changes: Any) -> ReportRecord:
    """The report on the window that began so many minutes after START."""
    start = START + timedelta(minutes=minute)
    record = ReportRecord(
        "edge-1",
        f"{minute:064x}",
        minute + 1,
        Relation.EXTENDS,
        start + timedelta(seconds=61),
        start,
        60,
        2,
        START - timedelta(hours=5),
        1000,
        True,
    )
    return replace(record, **changes)


def sighting(qname: str, minute: float, *, eye: int = 1, blocked: bool = True, **changes: Any) -> Sighting:
    """What one of several independent probes saw so many minutes after START."""
    one = Sighting(
        f"{eye}-{minute}/{qname}",
        f"{eye}-{minute}",
        START + timedelta(minutes=minute),
        f"so/p{eye}",
        f"vantage-{eye}",
        f"net-{eye}",
        f"custodian-{eye}",
        "edge-1",
        Arm.LISTED,
        qname,
        1,
        START - timedelta(days=1),
        Result.BLOCKED if blocked else Result.NOT_BLOCKED,
        Shape.NXDOMAIN if blocked else Shape.ANSWER,
        True,
    )
    return replace(one, **changes)


def control(number: int, minute: float, *, eye: int = 1, blocked: bool = False) -> Sighting:
    """A control as a probe saw it."""
    return sighting(
        f"control{number}.example",
        minute,
        eye=eye,
        blocked=blocked,
        arm=Arm.CONTROL,
        added_serial=0,
        added_at=None,
    )


def watched(names: Iterable[str], *, blocked: bool = True, **changes: Any) -> list[Sighting]:
    """Each name seen by two eyes in two sessions far enough apart."""
    return [
        sighting(name, minute, eye=eye, blocked=blocked, **changes)
        for name in names
        for eye in (1, 2)
        for minute in (10, 25)
    ]


def honest(**changes: Any) -> Case:
    """An hour in which everything is as it should be."""
    names = [f"listed{number}.example" for number in range(12)]
    case = Case(
        "a",
        "hcm",
        law(),
        NOW,
        [NodeRecord("edge-1", START - timedelta(days=9), START - timedelta(days=8))],
        [report(minute) for minute in range(60)],
        [],
        [
            *watched(names),
            *(control(number, minute, eye=eye) for number in range(4) for eye in (1, 2) for minute in (10, 25)),
        ],
        [
            ReleaseRecord(1, START - timedelta(days=1), False),
            ReleaseRecord(2, START - timedelta(hours=6), False),
        ],
    )
    return replace(case, **changes)


REASONS = {
    Family.FILTERING: "missed",
    Family.OVER_BLOCKING: "over_blocked",
    Family.STALE_LIST: "aged",
    Family.UNENROLLED: "foreign",
}


def counted(number: int, *bad: Family, version: int = 1, known: bool = True, **changes: Any) -> CountedDay:
    """The count of the day so many days before NOW's, bad in some families and good in the others."""
    text = law()
    day = text.day.of(NOW).after(-number)
    day = LegalDay(day.number, changes.pop("length", day.length))
    piece = Evidence(EvidenceKind.OBSERVATION, day.start, f"{number}/0", "edge-1", "so/p1", "missed.example")
    return replace(
        CountedDay(
            day,
            version,
            day.end + timedelta(minutes=version),
            text.id,
            text.burden.process_rule(),
            {family: (family in bad) if known else None for family in FAMILIES},
            tuple(REASONS[family] for family in bad),
            {
                "names": 40, "missed": 9 if Family.FILTERING in bad else 0, "evaded": 0,
                "unlisted": 30, "over_blocked": 5 if Family.OVER_BLOCKING in bad else 0, "released": 0,
                "still_blocked": 0, "aged": 12, "aged_missed": 8 if Family.STALE_LIST in bad else 0,
                "handed": 8, "foreign": 6 if Family.UNENROLLED in bad else 0, "lines": 2, "elsewhere": 0,
            },
            {"udp": (40, 9 if Family.FILTERING in bad else 0)},
            dict.fromkeys(bad, (piece,)),
            (ReleaseSeen(2, START - timedelta(hours=6), 8, 8, day.start, None),) if Family.STALE_LIST in bad else (),
            100,
            f"{number:064x}",
        ),
        **changes,
    )  # fmt: skip


def course(*bad: Family, days: int = 4, good_after: int = 0) -> Course:
    """A week of good days, some bad ones in these families, and good ones after them."""
    last = days + good_after
    return follow(
        [
            *(counted(last + before) for before in range(7, 0, -1)),
            *(counted(number, *bad) for number in range(last, good_after, -1)),
            *(counted(number) for number in range(good_after, 0, -1)),
        ]
    )
