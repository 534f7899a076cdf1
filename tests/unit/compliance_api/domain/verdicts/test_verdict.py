from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from compliance_api.domain.findings.finding import MAX_EVIDENCE, FindingKind
from compliance_api.domain.observations.observation import Path
from compliance_api.domain.observations.unreported import Withheld
from compliance_api.domain.reports.chain import Relation
from compliance_api.domain.reports.record import NodeRecord, ReleaseRecord
from compliance_api.domain.reports.window import Absence
from compliance_api.domain.statistics.parameters import Family
from compliance_api.domain.verdicts.case import Case
from compliance_api.domain.verdicts.course import follow
from compliance_api.domain.verdicts.verdict import Outcome, judge
from tests.support.cases import NOW, START, control, counted, course, honest, law, report, sighting, watched


def test_an_honest_operator_is_compliant() -> None:
    verdict = judge(honest())
    assert (verdict.outcome, verdict.findings, verdict.law) == (Outcome.COMPLIANT, (), "law-1")
    coverage = verdict.coverage
    assert (coverage.windows_expected, coverage.windows_received) == (55, 55)
    assert (coverage.listed_asked, coverage.listed_blocked, coverage.listed_missed) == (12, 12, 0)
    assert (coverage.controls_asked, coverage.controls_over_blocked, coverage.vantage_points) == (4, 0, 2)
    assert (coverage.list_serial_claimed, coverage.list_serial_current, coverage.list_lag_seconds) == (2, 2, 0)


def test_what_custodians_did_not_hand_in_stands_in_the_coverage() -> None:
    coverage = judge(honest(withheld=[Withheld("custodian-1", 400, 31)])).coverage
    assert coverage.document()["unreported"] == [{"custodian": "custodian-1", "questions": 400, "unreported": 31}]
    assert "unreported" not in judge(honest()).coverage.document()


@pytest.mark.parametrize(
    ("case", "lacking"),
    [
        (honest(sightings=[]), {"listed_asked", "controls_asked", "vantage_points"}),
        (honest(sightings=[one for one in honest().sightings if one.vantage_point == "vantage-1"]), {"vantage_points"}),
        (
            honest(nodes=[NodeRecord("edge-1", NOW, None)], reports=[]),
            {"windows_received", "nodes_reporting"},
        ),
        (honest(nodes=[], reports=[]), {"windows_received", "nodes_reporting"}),
    ],
)
def test_too_little_evidence_is_said_to_be_too_little(case: Case, lacking: set[str]) -> None:
    verdict = judge(case)
    assert verdict.outcome is Outcome.NOT_ENOUGH_EVIDENCE
    (found,) = verdict.findings
    assert found.kind is FindingKind.LOW_COVERAGE
    assert {name for name in found.counts if not name.endswith("_needed")} == lacking


def test_misses_that_nobody_has_confirmed_yet_keep_an_operator_from_being_called_compliant() -> None:
    names = [f"m{number}.example" for number in range(4)]
    suspected = [sighting(name, 10, blocked=False) for name in names]
    verdict = judge(honest(sightings=[*honest().sightings, *suspected]))
    assert verdict.outcome is Outcome.NOT_ENOUGH_EVIDENCE
    assert verdict.findings[0].counts == {"listed_blocked": 12, "listed_blocked_needed": 14}
    few = honest(sightings=[*honest().sightings, *suspected[:2]])
    assert judge(few).outcome is Outcome.COMPLIANT
    cleared = [sighting(name, 11, eye=2) for name in names]
    assert judge(honest(sightings=[*honest().sightings, *suspected, *cleared])).outcome is Outcome.COMPLIANT


def test_controls_seen_blocked_once_are_a_doubt_only_where_they_are_several() -> None:
    suspected = [control(number, 27, blocked=True) for number in range(4)]
    verdict = judge(honest(sightings=[*honest().sightings, *suspected]))
    assert verdict.findings[0].counts == {"controls_answered": 0, "controls_answered_needed": 1}
    assert judge(honest(sightings=[*honest().sightings, *suspected[:3]])).outcome is Outcome.COMPLIANT


def test_a_bad_day_accuses_nobody_and_is_no_compliance_until_a_good_one_follows() -> None:
    verdict = judge(honest(course=course(Family.FILTERING, days=2)))
    assert verdict.outcome is Outcome.NOT_ENOUGH_EVIDENCE
    assert verdict.findings[0].counts == {"last_day_good": 0, "last_day_good_needed": 1}
    assert judge(honest(course=course(Family.FILTERING, days=2, good_after=1))).outcome is Outcome.COMPLIANT


def test_a_shock_of_four_days_is_nobodys_ruin_by_the_law_as_it_is() -> None:
    real = law(burden={})
    rule = real.burden.process_rule()
    for bad, accused in ((4, False), (5, True)):
        days = [replace(counted(number, Family.FILTERING), process=rule) for number in range(bad, 0, -1)]
        before = [replace(counted(number), process=rule) for number in range(60, bad, -1)]
        verdict = judge(honest(law=real, course=follow([*before, *days])))
        assert (verdict.outcome is Outcome.NOT_COMPLIANT) is accused


def test_more_lines_that_meet_somebody_else_than_interception_explains_cannot_be_measured() -> None:
    elsewhere = [replace(one, path=Path.ELSEWHERE) for one in honest().sightings if one.vantage_point == "vantage-1"]
    verdict = judge(honest(sightings=[*honest().sightings[:0], *elsewhere]))
    assert verdict.outcome is Outcome.NOT_ENOUGH_EVIDENCE
    assert verdict.findings[-1].kind is FindingKind.UNMEASURABLE
    assert verdict.findings[-1].counts == {"lines_elsewhere": 1, "lines_asked": 1}


def test_an_accusation_outweighs_thin_coverage() -> None:
    verdict = judge(honest(sightings=[], reports=[report(minute) for minute in range(40)]))
    assert verdict.outcome is Outcome.NOT_COMPLIANT
    assert [one.kind for one in verdict.findings] == [FindingKind.MISSING_REPORTS, FindingKind.LOW_COVERAGE]


def test_every_finding_is_complete() -> None:
    rival = replace(report(3), digest="f" * 64, relation=Relation.EQUIVOCATION, rival=report(3).digest)
    case = honest(
        reports=[report(minute, list_serial=1) for minute in range(40)] + [rival],
        course=course(*Family),
    )
    verdict = judge(case)
    assert {one.kind for one in verdict.findings} == {
        FindingKind.STALE_LIST,
        FindingKind.UNDER_BLOCKING,
        FindingKind.OVER_BLOCKING,
        FindingKind.UNENROLLED_RESOLVER,
        FindingKind.MISSING_REPORTS,
        FindingKind.EQUIVOCATION,
    }
    for found in verdict.findings:
        assert found.counts
        assert found.evidence
        assert len(found.evidence) <= 2 * MAX_EVIDENCE + 1
        assert START <= found.since <= NOW
        assert found.clause.law == "law-1"


def test_the_order_in_which_things_arrived_changes_nothing() -> None:
    missed = watched([f"m{n}.example" for n in range(6)], blocked=False, added_serial=2)
    accused = course(Family.FILTERING, Family.STALE_LIST)
    case = honest(sightings=[*honest().sightings, *missed], course=accused)
    shuffled = list(case.sightings)
    random.Random(1).shuffle(shuffled)
    assert judge(case) == judge(replace(case, sightings=shuffled))
    assert judge(case).outcome is Outcome.NOT_COMPLIANT


def test_the_lag_runs_from_the_release_that_replaced_the_claimed_one() -> None:
    releases = [*honest().releases, ReleaseRecord(3, NOW - timedelta(seconds=90), False)]
    coverage = judge(honest(releases=releases)).coverage
    assert (coverage.list_serial_claimed, coverage.list_serial_current, coverage.list_lag_seconds) == (2, 3, 90)


def test_a_node_that_left_counts_with_its_reports_and_not_with_the_list_it_held() -> None:
    left = NodeRecord("edge-0", START, START, (Absence(START + timedelta(minutes=10)),))
    case = honest()
    theirs = [report(minute, node="edge-0", list_serial=1) for minute in range(10)]
    coverage = judge(replace(case, nodes=[left, *case.nodes], reports=[*theirs, *case.reports])).coverage
    assert (coverage.nodes, coverage.nodes_reporting, coverage.windows_expected) == (2, 2, 65)
    assert (coverage.list_serial_claimed, coverage.list_lag_seconds) == (2, 0)


def test_lines_that_somebody_intercepts_keep_nobody_from_being_called_compliant() -> None:
    """One line of eight sees every name answered, all year, and is the last to ask."""
    granted = law(burden={"bad": {"minimum_names": 10, "line_fault_rate": 0.02}, "days": {"accusation": 20}})
    names = [f"listed{number}.example" for number in range(12)]
    others = [sighting(name, 30, eye=eye) for name in names for eye in range(3, 9)]
    seen = [*honest().sightings, *others]
    last = [sighting(name, 50, eye=9, blocked=False) for name in names]
    assert judge(honest(law=granted, sightings=[*seen, *last])).outcome is Outcome.COMPLIANT
    many = [sighting(name, 50, eye=3 + place % 6, blocked=False) for place, name in enumerate(names)]
    assert judge(honest(law=granted, sightings=[*seen, *many])).outcome is Outcome.NOT_ENOUGH_EVIDENCE
