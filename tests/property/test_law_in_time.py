"""Verdicts by the law of its time: what happens to an honest operator, and what an authority tries with a text.

The law is the one that is shipped, days and windows have their real lengths, and what judges is what judges in service.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.law.law import Law
from compliance_api.domain.law.law_history import LawHistory, LawVersion, content, read
from compliance_api.domain.legal_day import LegalDay, period
from compliance_api.domain.observations.observation import Arm, Path, Result, Shape, Sighting
from compliance_api.domain.reports.chain import Relation
from compliance_api.domain.reports.record import NodeRecord, ReleaseRecord, ReportRecord
from compliance_api.domain.verdicts.case import Case
from compliance_api.domain.verdicts.period_verdict import decide
from compliance_api.domain.verdicts.verdict import Outcome, Verdict, judge
from tests.support.cases import TEXT

TODAY = LegalDay.of(datetime(2026, 3, 10, tzinfo=UTC))
MIDNIGHT = TODAY.start
LONG_AGO = MIDNIGHT - timedelta(days=400)
WINDOW = timedelta(minutes=5)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FIRST = ReleaseRecord(1, MIDNIGHT - timedelta(days=60), False)


def text(name: str = "law", since: datetime = LONG_AGO, until: datetime | None = None, **changes: Any) -> Law:
    """The law as shipped, but for what is changed."""
    values = {"id": name, "effective_from": since, "effective_until": until, "authority": TEXT}
    return Law.model_validate({**values, "default_citation": TEXT, **changes})


def known(*laws: tuple[Law, datetime]) -> LawHistory:
    """Texts, each known from a moment on; of one name, the later replaces the earlier."""
    versions: list[LawVersion] = []
    for law, at in laws:
        versions.append(read(law.id, sum(one.name == law.id for one in versions) + 1, at, content(law)))
    return LawHistory(tuple(versions))


def reports(start: datetime, end: datetime, *, serial: int = 1, seconds: int = 300) -> list[ReportRecord]:
    """A report on each window between two moments."""
    found = []
    at = start
    while at < end:
        number = int((at - LONG_AGO).total_seconds())
        found.append(
            ReportRecord(
                "edge-1", f"{number:064x}", number, Relation.EXTENDS, at + timedelta(seconds=seconds + 60), at, seconds,
                serial, FIRST.published_at, 10**6, True,
            )
        )  # fmt: skip
        at += timedelta(seconds=seconds)
    return found


def sightings(start: datetime, end: datetime, shape: Shape = Shape.NXDOMAIN) -> list[Sighting]:
    """Nine lines that ask ten listed names and two controls each every two hours, and what they all see of them."""
    found = []
    for hour in range(int((end - start) / HOUR)):
        at = start + hour * HOUR + timedelta(minutes=17)
        for line in range(9 if hour % 2 == 0 else 0):
            for number in range(12):
                arm = Arm.LISTED if number < 10 else Arm.CONTROL
                told = shape if arm is Arm.LISTED or shape is Shape.TIMEOUT else Shape.ANSWER
                result = {Shape.NXDOMAIN: Result.BLOCKED, Shape.ANSWER: Result.NOT_BLOCKED}.get(
                    told, Result.INCONCLUSIVE
                )
                found.append(
                    Sighting(
                        f"{line}-{at.isoformat()}/{number}", f"{line}-{at.isoformat()}", at, f"so/p{line}", f"v-{line}",
                        f"net-{line % 3}", f"custodian-{line % 3}", "edge-1", arm, f"n{number}.h{hour}.example",
                        1 if arm is Arm.LISTED else 0, FIRST.published_at if arm is Arm.LISTED else None,
                        result, told, True,
                    )
                )  # fmt: skip
    return found


def case(
    now: datetime,
    claimed: Iterable[ReportRecord],
    seen: Sequence[Sighting],
    laws: LawHistory,
    releases: Sequence[ReleaseRecord] = (FIRST,),
) -> Case:
    """What the judge is given at a moment: of reports and sightings, those of the law's period."""
    _, law = laws.in_force("hcm", now, now)
    start = now - timedelta(seconds=law.period)
    told = [one for one in claimed if one.received_at <= now]
    own = [one for one in told if start <= one.window_start < now]
    heard = tuple((one.window_start, one.window_end) for one in told if one.window_start < start)
    return Case(
        "a", "hcm", law, now, [NodeRecord("edge-1", LONG_AGO, LONG_AGO, heard=heard)], own, (),
        [one for one in seen if start <= one.asked_at < now], [one for one in releases if one.published_at <= now],
        laws=laws.timeline("hcm"),
    )  # fmt: skip


def kinds(verdict: Verdict) -> set[FindingKind]:
    return {one.kind for one in verdict.findings if one.accuses}


LAWS = known((text(), LONG_AGO))


def test_an_hour_of_outage_is_no_offence() -> None:
    """Power fails from 10:02 to 11:02: thirteen windows are lost, and the rest of the day is as it should be."""
    lost = [MIDNIGHT + 10 * HOUR + number * WINDOW for number in range(13)]
    claimed = [one for one in reports(MIDNIGHT - DAY, MIDNIGHT + 2 * DAY) if one.window_start not in lost]
    seen = sightings(MIDNIGHT - DAY, MIDNIGHT + 2 * DAY)
    for hours in range(9, 40):
        verdict = judge(case(MIDNIGHT + hours * HOUR, claimed, seen, LAWS))
        assert verdict.outcome is Outcome.COMPLIANT, hours


@pytest.mark.parametrize("answering", [False, True])
def test_a_day_off_and_back_is_no_offence_and_a_silent_day_is(*, answering: bool) -> None:
    """Off from noon to noon and a half, over the deadline of a release; the new list comes half an hour after it."""
    off, back = MIDNIGHT + 12 * HOUR, MIDNIGHT + 39 * HOUR
    newer = ReleaseRecord(2, MIDNIGHT + 11 * HOUR, False)
    claimed = [
        *reports(MIDNIGHT - DAY, off),
        *reports(back, back + HOUR / 2),
        *reports(back + HOUR / 2, back + 2 * DAY, serial=2),
    ]
    seen = [
        *sightings(MIDNIGHT - DAY, off),
        *sightings(off, back, Shape.NXDOMAIN if answering else Shape.TIMEOUT),
        *sightings(back, back + 2 * DAY),
    ]
    told = {
        hours: judge(case(MIDNIGHT + hours * HOUR, claimed, seen, LAWS, (FIRST, newer))) for hours in range(10, 80, 2)
    }
    accused = {hours for hours, verdict in told.items() if verdict.outcome is Outcome.NOT_COMPLIANT}
    found = set().union(*(kinds(verdict) for verdict in told.values()))
    if answering:
        assert accused >= set(range(16, 60, 2))
        assert found == {FindingKind.MISSING_REPORTS}
    else:
        assert (accused, found) == (set(), set())
        assert told[78].outcome is Outcome.COMPLIANT
        # While it is away there is too little to go by, as soon as nothing of a day is left.
        assert told[38].outcome is Outcome.NOT_ENOUGH_EVIDENCE


def test_one_signature_of_its_own_refutes_that_it_was_off() -> None:
    off, back = MIDNIGHT + 12 * HOUR, MIDNIGHT + 24 * HOUR
    claimed = [*reports(MIDNIGHT - DAY, off), *reports(back, back + DAY)]
    seen = [*sightings(MIDNIGHT, off), *sightings(off, back, Shape.TIMEOUT), *sightings(back, back + DAY)]
    assert kinds(judge(case(back + HOUR, claimed, seen, LAWS))) == set()
    there = next(number for number, one in enumerate(seen) if one.asked_at > off + HOUR)
    seen[there] = replace(seen[there], shape=Shape.NXDOMAIN, result=Result.BLOCKED, path=Path.VERIFIED)
    assert kinds(judge(case(back + HOUR, claimed, seen, LAWS))) == {FindingKind.MISSING_REPORTS}


STRICT = {
    "report": {"window": "1m", "deadline": "1m", "tolerated_missing": 0.0},
    "list": {"block_deadline": "1h", "urgent_block_deadline": "5m", "maximum_age": "1h"},
    "counters": {"mismatched_windows": 1, "clock_tolerance": "0s"},
}


@pytest.mark.parametrize("backdated", [False, True])
def test_a_stricter_text_does_not_judge_what_was_before_it(*, backdated: bool) -> None:
    """At noon windows of a minute and lists of an hour become law; or so it says, from last month on.

    Everything of the morning was right by the law of the morning: windows of five minutes, one of them lost, a list
    that a release of 09:30 had replaced.
    """
    noon = MIDNIGHT + 12 * HOUR
    if backdated:
        laws = known((text(), LONG_AGO), (text(since=MIDNIGHT - 30 * DAY, **STRICT), noon))
    else:
        laws = known((text(until=noon), LONG_AGO), (text("strict", noon, **STRICT), LONG_AGO))
    newer = ReleaseRecord(2, MIDNIGHT + 9.5 * HOUR, False)
    old = [one for one in reports(MIDNIGHT - DAY, noon) if one.window_start != MIDNIGHT + 3 * HOUR]
    claimed = [*old, *reports(noon, noon + DAY, seconds=60)]
    seen = sightings(MIDNIGHT - DAY, noon + DAY)
    for hours in (0, 1, 6, 20):
        verdict = judge(case(noon + hours * HOUR, claimed, seen, laws, (FIRST, newer)))
        assert kinds(verdict) == set(), hours
    # By the law of its publication the list is due a day after it; what is missing under the new law is missing.
    late = case(MIDNIGHT + 34 * HOUR, claimed, seen, laws, (FIRST, newer))
    assert kinds(judge(late)) == {FindingKind.STALE_LIST}
    missed = [one for one in claimed if one.window_start != noon + HOUR]
    found = judge(case(noon + 2 * HOUR, missed, seen, laws))
    assert [(one.kind, one.counts["windows_missing"]) for one in found.findings if one.accuses] == [
        (FindingKind.MISSING_REPORTS, 1)
    ]


def test_a_month_with_two_laws_is_judged_law_by_law() -> None:
    """The law changes on the 11th at noon: one window in twenty may be missing before, none from then on."""
    wanted = period("2026-03")
    change = MIDNIGHT + DAY + 12 * HOUR
    after = text("after", change, report={"tolerated_missing": 0.0})
    laws = known((text(until=change), LONG_AGO), (after, LONG_AGO))
    month = after.model_copy(update={"period": (wanted.end - wanted.start).total_seconds()})
    claimed = [one for number, one in enumerate(reports(wanted.start, change)) if number % 30]
    claimed += reports(change, wanted.end)
    whole = Case(
        "a", "hcm", month, wanted.end, [NodeRecord("edge-1", LONG_AGO, LONG_AGO)], claimed, (), (), (FIRST,),
        waited_until=wanted.end + HOUR, laws=laws.timeline("hcm"),
    )  # fmt: skip
    versions = {one.name: one for one in laws.versions}
    assert kinds(decide(whole, wanted, versions).verdict) == set()
    one_law = replace(whole, laws=known((text("after", report={"tolerated_missing": 0.0}), LONG_AGO)).timeline("hcm"))
    assert kinds(decide(one_law, wanted, versions).verdict) == {FindingKind.MISSING_REPORTS}
    lost = replace(whole, reports=[one for one in claimed if one.window_start != change + DAY])
    (found,) = [one for one in decide(lost, wanted, versions).verdict.findings if one.accuses]
    # Of the windows of the new law alone: twenty days and a half, 288 a day.
    assert found.counts == {"windows_missing": 1, "windows_expected": 5904}
    assert (found.clause.law, found.since) == ("after", change + DAY)
