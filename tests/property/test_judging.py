"""Verdicts from evidence alone: in any order the same bytes; an unlucky honest operator against one that cheats.

The law is the one that is shipped (`Law` with nothing but its names), the way is the service's own: sightings are
counted by the day, days followed, the case judged.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.law.law import Law
from compliance_api.domain.law.law_history import content, read
from compliance_api.domain.legal_day import LegalDay, period
from compliance_api.domain.observations.observation import Arm, Result, Shape, Sighting
from compliance_api.domain.parties.organisation import Transport
from compliance_api.domain.reports.chain import Relation
from compliance_api.domain.reports.record import NodeRecord, ReleaseRecord, ReportRecord
from compliance_api.domain.statistics.parameters import Family
from compliance_api.domain.verdicts.case import Case
from compliance_api.domain.verdicts.course import Course, follow
from compliance_api.domain.verdicts.period_verdict import decide
from compliance_api.domain.verdicts.tally import DayEvidence, count, judged
from compliance_api.domain.verdicts.verdict import Outcome, judge
from tests.support.cases import TEXT

LAW = Law.model_validate(
    {
        "id": "as-shipped",
        "effective_from": datetime(2020, 1, 1, tzinfo=UTC),
        "authority": TEXT,
        "default_citation": TEXT,
    }
)
FIRST = LegalDay.of(datetime(2026, 3, 1, tzinfo=UTC))
RELEASES = [ReleaseRecord(1, FIRST.start - timedelta(days=60), False)]
LINES = 30


def day_of(number: int, seed: int, missing: set[int], lines: set[int], *, names: int = 300) -> list[Sighting]:
    """What thirty lines see on a day.

    Args:
        number: Of the day, from 0.
        seed: Of the draw.
        missing: Names, in a hundred, that are never blocked.
        lines: Those that see every name answered.
        names: Asked, by three lines each and, where one was missed, by six more.
    """
    rng = random.Random(seed * 1000 + number)
    day = FIRST.after(number)
    found = []

    def ask(name: int, line: int, hours: float, *, again: bool) -> bool:
        open_ = name % 100 in missing or line in lines
        found.append(
            Sighting(
                f"{number}-{line}-{hours}/{name}", f"{number}-{line}-{hours}", day.start + timedelta(hours=hours),
                f"p/{line}", f"v-{line}", f"net-{line % 3}", f"custodian-{line // 3 % 4}", "edge-1", Arm.LISTED,
                f"n{name}.d{number}.example", 1, RELEASES[0].published_at,
                Result.NOT_BLOCKED if open_ else Result.BLOCKED, Shape.ANSWER if open_ else Shape.NXDOMAIN, True,
                Transport.TCP if name % 3 else Transport.UDP, again=again,
            )
        )  # fmt: skip
        return open_

    for name in range(names):
        first = rng.sample(range(LINES), 9)
        missed = [ask(name, line, 1 + name % 12, again=False) for line in first[:3]]
        if any(missed):
            for line in first[3:]:
                ask(name, line, 8 + name % 12, again=True)
    return found


def course(days: list[list[Sighting]]) -> Course:
    counted = []
    for number, sightings in enumerate(days):
        day = FIRST.after(number)
        made = count(DayEvidence(day, sightings), RELEASES, LAW)
        counted.append(judged(day, 1, day.end + timedelta(hours=6), LAW, made))
    return follow(counted)


def case(days: list[list[Sighting]]) -> Case:
    last = FIRST.after(len(days) - 1)
    reports = [
        ReportRecord(
            "edge-1", f"{number:064x}", number + 1, Relation.EXTENDS, last.end,
            last.start + timedelta(minutes=5 * number), 300, 1, RELEASES[0].published_at, 10**6, True,
        )
        for number in range(288)
    ]  # fmt: skip
    nodes = [NodeRecord("edge-1", FIRST.start, FIRST.start)]
    return Case("a", "hcm", LAW, last.end, nodes, reports, (), days[-1], RELEASES, course(days))


@pytest.mark.parametrize("seed", [1, 2])
def test_names_left_unfiltered_are_found_on_the_fifth_day_and_not_on_the_fourth(seed: int) -> None:
    days = [day_of(number, seed, set(), set()) for number in range(2)]
    days += [day_of(number, seed, {7, 55}, set()) for number in range(2, 7)]
    assert judge(case(days[:6])).outcome is Outcome.NOT_ENOUGH_EVIDENCE
    verdict = judge(case(days))
    assert verdict.outcome is Outcome.NOT_COMPLIANT
    assert FindingKind.UNDER_BLOCKING in {one.kind for one in verdict.findings}


def test_an_operator_is_not_accused_of_what_three_intercepted_lines_see_for_a_week() -> None:
    """Three of thirty lines see every listed name answered, all week long: somebody else's doing."""
    days = [day_of(number, 5, set(), {0, 10, 20}) for number in range(7)]
    found = case(days)
    assert found.course.accused() == ()
    assert not any(step.bad[Family.FILTERING] for step in found.course.steps)
    assert judge(found).outcome is not Outcome.NOT_COMPLIANT


def told() -> bytes:
    """A document of a week in which something is found, made in whatever process asks for it."""
    days = [day_of(number, 3, {1, 2}, {4}, names=120) for number in range(6)]
    laws = {LAW.id: read(LAW.id, 1, LAW.effective_from, content(LAW))}
    return decide(case(days), period(FIRST.after(5).name), laws).document


def test_another_process_elsewhere_gives_the_same_bytes() -> None:
    """With other hashes, in another zone and in another language."""
    script = "import sys; from tests.property.test_judging import told; sys.stdout.buffer.write(told())"
    places = [("1", "Asia/Tokyo", "tr_TR.UTF-8"), ("4242", "America/St_Johns", "C")]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": language, "LANGUAGE": language},
        )
        for seed, zone, language in places
    ]  # fmt: skip
    made = [one.communicate(timeout=300)[0] for one in running]
    assert [one.returncode for one in running] == [0, 0]
    assert made == [told()] * 2
    assert b'"kind":"under_blocking"' in made[0]


@settings(max_examples=8)
@given(st.randoms(use_true_random=False))
def test_the_same_evidence_in_any_order_gives_the_same_bytes(rng: random.Random) -> None:
    days = [day_of(number, 3, {1, 2}, {4}, names=60) for number in range(6)]
    laws = {LAW.id: read(LAW.id, 1, LAW.effective_from, content(LAW))}
    wanted = period(FIRST.after(5).name)
    first = decide(case(days), wanted, laws)
    shuffled = [rng.sample(day, len(day)) for day in days]
    other = case(shuffled)
    other = replace(
        other, reports=rng.sample(list(other.reports), len(other.reports)), course=follow(
            rng.sample([step.counted for step in other.course.steps], len(other.course.steps))
        ),
    )  # fmt: skip
    assert decide(other, wanted, laws).document == first.document
