from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from compliance_api.domain import sightings
from compliance_api.domain.case import Case
from compliance_api.domain.finding import FindingKind
from tests.support.cases import NOW, START, control, honest, report, sighting, watched

OLD = [f"listed{number}.example" for number in range(12)]
NEW = [f"new{number}.example" for number in range(8)]
ADDED = START - timedelta(hours=6)


def cheat(*, missed: int = 8) -> Case:
    """The newest names are not blocked, the old ones are, and reports claim the newest list."""
    newer = [
        *watched(NEW[:missed], blocked=False, added_serial=2, added_at=ADDED),
        *watched(NEW[missed:], added_serial=2, added_at=ADDED),
    ]
    case = honest()
    return replace(case, sightings=[*case.sightings, *newer])


def findings(case: Case) -> dict[FindingKind, dict[str, int]]:
    seen = sightings.picture(case)
    observed = sightings.observed_list(case, seen)
    found = [
        *sightings.stale_list(case, observed),
        *sightings.under_blocking(case, seen),
        *sightings.over_blocking(case, seen),
        *sightings.counter_mismatch(case, seen, observed),
    ]
    return {one.kind: dict(one.counts) for one in found}


def test_nothing_is_found_against_an_honest_operator() -> None:
    assert findings(honest()) == {}


def test_an_old_list_shows_whatever_the_reports_claim() -> None:
    found = findings(cheat())
    assert found[FindingKind.STALE_LIST] == {
        "serial_observed": 1,
        "newer_names_missed": 8,
        "newer_names_asked": 8,
        "older_names_blocked": 12,
    }
    assert found[FindingKind.UNDER_BLOCKING] == {"names_missed": 8, "names_asked": 20}
    assert found[FindingKind.COUNTER_MISMATCH] == {
        "windows_claiming_newer_list": 2,
        "serial_claimed": 2,
        "serial_observed": 1,
    }


def test_a_stale_list_is_dated_by_the_release_that_replaced_it() -> None:
    case = cheat()
    (found,) = sightings.stale_list(case, sightings.observed_list(case, sightings.picture(case)))
    assert found.evidence[0].reference == "2"
    assert found.since == START + timedelta(minutes=10)


def test_names_missed_here_and_there_are_under_blocking_but_no_old_list() -> None:
    assert set(findings(cheat(missed=5))) == {FindingKind.UNDER_BLOCKING}


def test_a_few_misses_are_tolerated_and_unconfirmed_ones_do_not_count() -> None:
    assert findings(cheat(missed=2)) == {}
    once = [sighting(name, 10, blocked=False) for name in OLD]
    assert findings(replace(honest(), sightings=once)) == {}


def test_a_name_counts_only_from_its_deadline_on() -> None:
    fresh = watched(NEW, blocked=False, added_serial=2, added_at=START + timedelta(minutes=21))
    assert findings(replace(honest(), sightings=[*honest().sightings, *fresh])) == {}


def test_controls_confirmed_blocked_are_over_blocking() -> None:
    blocked = [control(1, minute, eye=eye, blocked=True) for eye in (1, 2) for minute in (11, 26)]
    found = findings(replace(honest(), sightings=[*honest().sightings, *blocked]))
    assert found == {FindingKind.OVER_BLOCKING: {"controls_blocked": 1, "controls_asked": 4}}
    assert findings(replace(honest(), sightings=[*honest().sightings, *blocked[:1]])) == {}


def test_counters_below_what_probes_received_are_untrue() -> None:
    eyes = [sighting(f"x{n}.example", minute + 0.5) for minute in (3, 4, 5) for n in range(3)]
    reports = [report(minute, blocked=2 if minute in {3, 4} else 100) for minute in range(60)]
    case = honest(sightings=[*honest().sightings, *eyes], reports=reports)
    counts = findings(case)[FindingKind.COUNTER_MISMATCH]
    assert counts == {"windows_counting_too_few": 2, "blocked_claimed": 4, "blocked_received": 6}
    near_the_edge = [sighting(f"x{n}.example", minute + 0.99) for minute in (3, 4, 5) for n in range(3)]
    assert findings(replace(case, sightings=[*honest().sightings, *near_the_edge])) == {}
    one_window = [report(minute, blocked=2 if minute == 3 else 100) for minute in range(60)]
    assert findings(replace(case, reports=one_window)) == {}


def test_a_list_activated_only_after_the_asking_is_no_false_claim() -> None:
    late = [report(minute, list_activated_at=NOW) for minute in range(60)]
    assert FindingKind.COUNTER_MISMATCH not in findings(replace(cheat(), reports=late))
    shadow = [report(minute, enforcing=False) for minute in range(60)]
    assert FindingKind.COUNTER_MISMATCH not in findings(replace(cheat(), reports=shadow))
