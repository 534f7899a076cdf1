from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.observations.observation import Path, Result, Shape
from compliance_api.domain.statistics.parameters import Family
from compliance_api.domain.verdicts import sightings
from compliance_api.domain.verdicts.case import Case
from tests.support.cases import NOW, START, control, course, honest, law, report, sighting, watched

OLD = [f"listed{number}.example" for number in range(12)]
NEW = [f"new{number}.example" for number in range(8)]
ADDED = START - timedelta(hours=6)


def cheat(*, missed: int = 8) -> Case:
    """The newest names are not blocked, the old ones are, and reports claim the newest list; for days."""
    newer = [
        *watched(NEW[:missed], blocked=False, added_serial=2, added_at=ADDED),
        *watched(NEW[missed:], added_serial=2, added_at=ADDED),
    ]
    case = honest()
    return replace(case, sightings=[*case.sightings, *newer], course=course(Family.FILTERING, Family.STALE_LIST))


def findings(case: Case) -> dict[FindingKind, dict[str, int]]:
    seen = sightings.picture(case)
    observed = sightings.observed_list(case, seen)
    found = [*sightings.stale_list(case, observed), *sightings.counter_mismatch(case, seen, observed)]
    return {one.kind: dict(one.counts) for one in found}


def test_nothing_is_found_against_an_honest_operator() -> None:
    assert findings(honest()) == {}


def test_an_old_list_shows_whatever_the_reports_claim() -> None:
    found = findings(cheat())
    assert found[FindingKind.STALE_LIST] == {
        "recent_names_missed": 32,
        "recent_names_asked": 48,
        "days_bad": 4,
        "e_value": 2543,
        "e_value_needed": 20,
        "serial_observed": 1,
        "newer_names_missed": 8,
        "newer_names_asked": 8,
        "older_names_blocked": 12,
    }
    assert found[FindingKind.COUNTER_MISMATCH] == {
        "windows_claiming_newer_list": 2,
        "serial_claimed": 2,
        "serial_observed": 1,
    }


def test_one_bad_day_accuses_nobody_of_an_old_list_nor_of_a_false_claim() -> None:
    """An anycast site without a list for an afternoon: the reports tell the truth about all others."""
    assert findings(replace(cheat(), course=course(Family.FILTERING, Family.STALE_LIST, days=1))) == {}


def test_a_stale_list_is_dated_by_the_release_that_replaced_it() -> None:
    case = cheat()
    (found,) = sightings.stale_list(case, sightings.observed_list(case, sightings.picture(case)))
    assert found.evidence[0].reference == "2"
    assert found.since == START + timedelta(minutes=10)


def test_an_old_list_that_reports_admit_needs_no_days() -> None:
    case = honest(reports=[report(minute, list_serial=1) for minute in range(60)])
    assert findings(case) == {FindingKind.STALE_LIST: {"windows_stale": 60, "serial_claimed": 1}}


def test_names_missed_here_and_there_are_no_old_list() -> None:
    case = cheat(missed=5)
    assert sightings.observed_list(case, sightings.picture(case)) is None


def test_a_name_counts_only_from_its_deadline_on_by_the_service_s_own_clock() -> None:
    added = START + timedelta(minutes=4)
    late = watched(NEW, blocked=False, added_serial=2, added_at=added)
    seen = sightings.picture(replace(honest(), sightings=late))
    assert len(seen.listed) == len(NEW)
    early = [replace(one, earliest=added + timedelta(minutes=4)) for one in late]
    assert not sightings.picture(replace(honest(), sightings=early)).listed


def test_what_seems_to_come_from_elsewhere_is_seen_all_the_same_but_refutes_no_counter() -> None:
    case = cheat()
    elsewhere = [replace(one, path=Path.ELSEWHERE) for one in case.sightings]
    seen = sightings.picture(replace(case, sightings=elsewhere))
    assert seen.listed.keys() == sightings.picture(case).listed.keys()
    assert (seen.blocks, seen.lines, seen.shown, seen.elsewhere) == ([], 2, 2, 2)


def test_counters_below_what_probes_received_are_untrue() -> None:
    eyes = [sighting(f"x{n}.example", minute + 0.5, eye=n % 2 + 1) for minute in (3, 4, 5) for n in range(6)]
    reports = [report(minute, blocked=2 if minute in {3, 4} else 100) for minute in range(60)]
    case = honest(sightings=[*honest().sightings, *eyes], reports=reports)
    counts = findings(case)[FindingKind.COUNTER_MISMATCH]
    assert counts == {"windows_counting_too_few": 2, "blocked_claimed": 4, "blocked_received": 6}
    near_the_edge = [replace(one, asked_at=one.asked_at + timedelta(seconds=29.4)) for one in eyes]
    assert findings(replace(case, sightings=[*honest().sightings, *near_the_edge])) == {}
    one_window = [report(minute, blocked=2 if minute == 3 else 100) for minute in range(60)]
    assert findings(replace(case, reports=one_window)) == {}


def test_blocks_that_somebody_on_the_way_gave_refute_no_counter() -> None:
    """A neighbour's filter answers one line's questions; the node never sees them and cannot count them."""
    intercepted = [sighting(f"x{n}.example", minute + 0.5) for minute in (3, 4, 5) for n in range(30)]
    reports = [report(minute, blocked=2) for minute in range(60)]
    granted = law(burden={"bad": {"line_fault_rate": 0.02}, "days": {"accusation": 20}})
    others = [sighting("y.example", 3.5, eye=eye) for eye in range(2, 9)]
    case = honest(sightings=[*intercepted, *others], reports=reports, law=granted)
    assert FindingKind.COUNTER_MISMATCH not in findings(case)
    more = [sighting(f"x{n}.example", minute + 0.5, eye=2) for minute in (3, 4, 5) for n in range(30)]
    unexplained = replace(case, law=law(), sightings=[*intercepted, *more])
    assert FindingKind.COUNTER_MISMATCH in findings(unexplained)


@pytest.mark.parametrize("insider", [{"custodian": "insider"}, {"access_network": "insider"}])
def test_one_insider_refutes_no_counter(insider: dict[str, Any]) -> None:
    """Seven lines of one custodian, or on one network, say that they received what the node never counted."""
    honest_lines = [sighting("y.example", minute + 0.5, eye=eye) for minute in (3, 4, 5) for eye in range(1, 9)]
    invented = [
        replace(sighting(f"x{n}.example", minute + 0.5, eye=eye), **insider)
        for minute in (3, 4, 5) for n in range(30) for eye in range(11, 18)
    ]  # fmt: skip
    reports = [report(minute, blocked=8) for minute in range(60)]
    assert findings(honest(sightings=[*honest_lines, *invented], reports=reports)) == {}


@pytest.mark.parametrize("shape", [Shape.TIMEOUT, Shape.REFUSED])
def test_lost_packets_and_refusals_are_no_blocks_that_a_node_must_have_counted(shape: Shape) -> None:
    unanswered = [
        sighting(f"x{n}.example", minute + 0.5, eye=eye, shape=shape, result=Result.INCONCLUSIVE)
        for minute in (3, 4, 5) for n in range(30) for eye in (1, 2)
    ]  # fmt: skip
    served = [sighting("y.example", minute + 0.5, eye=eye) for minute in (3, 4, 5) for eye in (1, 2)]
    reports = [report(minute, blocked=2) for minute in range(60)]
    case = honest(sightings=[*unanswered, *served], reports=reports)
    assert len(sightings.picture(case).listed) == 31
    assert findings(case) == {}


def test_blocks_of_what_is_not_listed_are_none_that_a_node_must_have_counted() -> None:
    """Somebody upstream of the resolver may block names of its own."""
    own = [
        control(number, minute + 0.5, eye=eye, blocked=True)
        for minute in (3, 4, 5) for number in range(30) for eye in (1, 2)
    ]  # fmt: skip
    reports = [report(minute, blocked=2) for minute in range(60)]
    assert findings(honest(sightings=own, reports=reports)) == {}


def test_a_list_activated_only_after_the_asking_is_no_false_claim() -> None:
    late = [report(minute, list_activated_at=NOW) for minute in range(60)]
    assert FindingKind.COUNTER_MISMATCH not in findings(replace(cheat(), reports=late))
    shadow = [report(minute, enforcing=False) for minute in range(60)]
    assert FindingKind.COUNTER_MISMATCH not in findings(replace(cheat(), reports=shadow))
