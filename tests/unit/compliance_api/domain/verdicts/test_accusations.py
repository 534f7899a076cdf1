from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from compliance_api.domain.findings.finding import EvidenceKind, Finding, FindingKind
from compliance_api.domain.observations.timing import Moment, ReleaseTiming
from compliance_api.domain.statistics.parameters import Family
from compliance_api.domain.verdicts import accusations
from compliance_api.domain.verdicts.course import Course, ReleaseSeen, follow
from tests.support.cases import NOW, START, counted, course, honest


def found(known: Course) -> dict[FindingKind, Finding]:
    return {one.kind: one for one in accusations.found(honest(course=known))}


def test_nothing_is_found_where_nothing_is_accused() -> None:
    assert found(course()) == {}
    assert found(course(*Family, days=1)) == {}


def test_under_blocking_names_its_days_and_what_speaks_for_them() -> None:
    one = found(course(Family.FILTERING))[FindingKind.UNDER_BLOCKING]
    assert one.counts == {
        "names_missed": 36, "names_asked": 160, "days_bad": 4, "e_value": 2543, "e_value_needed": 20,
    }  # fmt: skip
    assert [piece.kind for piece in one.evidence].count(EvidenceKind.TALLY) == 4
    assert one.since == counted(4).day.start


def test_names_that_share_an_address_are_told_to_whoever_confirms_the_finding() -> None:
    days = [counted(number, Family.FILTERING) for number in range(4, 0, -1)]
    with_page = [replace(one, counts={**one.counts, "one_address": one.counts["missed"]}) for one in days]
    one = found(follow(with_page))[FindingKind.UNDER_BLOCKING]
    assert one.counts["names_at_one_address"] == one.counts["names_missed"]
    few = [replace(one, counts={**one.counts, "one_address": 1}) for one in days]
    assert "names_at_one_address" not in found(follow(few))[FindingKind.UNDER_BLOCKING].counts


def leaky(number: int, **strata: tuple[int, int]) -> object:
    reasons = ("missed", *(f"scattered:{name}" for name, (_, missed) in strata.items() if missed > 5))
    return replace(counted(number, Family.FILTERING), reasons=reasons, strata=strata)


def test_what_leaks_on_one_transport_alone_is_a_gap() -> None:
    days = [leaky(number, udp=(100, 0), tcp=(60, 60), dot=(5, 0)) for number in range(4, 0, -1)]
    one = found(follow(days))[FindingKind.TRANSPORT_GAP]  # type: ignore[arg-type]  # of CountedDay
    assert {name: one.counts[name] for name in ("tcp_missed", "tcp_asked", "udp_missed", "udp_asked")} == {
        "tcp_missed": 240, "tcp_asked": 240, "udp_missed": 0, "udp_asked": 400,
    }  # fmt: skip
    types = [leaky(number, a=(100, 1), aaaa=(60, 60)) for number in range(4, 0, -1)]
    assert FindingKind.TRANSPORT_GAP in found(follow(types))  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize(("leaks", "holds"), [("v6", "v4"), ("do", "plain")])
def test_what_leaks_over_one_family_or_with_one_flag_alone_is_a_gap_of_that_name(leaks: str, holds: str) -> None:
    days = [leaky(number, **{holds: (200, 0), leaks: (60, 60)}) for number in range(4, 0, -1)]
    one = found(follow(days))[FindingKind.TRANSPORT_GAP]  # type: ignore[arg-type]  # of CountedDay
    assert (one.counts[f"{leaks}_missed"], one.counts[f"{holds}_missed"]) == (240, 0)


def test_what_leaks_everywhere_or_only_less_often_is_no_gap() -> None:
    everywhere = [leaky(number, udp=(100, 30), tcp=(60, 30)) for number in range(4, 0, -1)]
    assert FindingKind.TRANSPORT_GAP not in found(follow(everywhere))  # type: ignore[arg-type]  # of CountedDay
    rarer = [leaky(number, udp=(100, 5), tcp=(100, 8)) for number in range(4, 0, -1)]
    assert FindingKind.TRANSPORT_GAP not in found(follow(rarer))  # type: ignore[arg-type]  # as above
    unasked = [leaky(number, udp=(2, 0), tcp=(60, 60)) for number in range(4, 0, -1)]
    assert FindingKind.TRANSPORT_GAP not in found(follow(unasked))  # type: ignore[arg-type]  # as above


def test_names_taken_out_and_still_blocked_are_slow_unblocking_and_no_over_blocking() -> None:
    def kept(number: int) -> object:
        one = counted(number, Family.OVER_BLOCKING)
        counts = {**one.counts, "over_blocked": 0, "released": 20, "still_blocked": 7}
        return replace(one, reasons=("released",), counts=counts)

    known = found(follow([kept(number) for number in range(4, 0, -1)]))  # type: ignore[misc]  # of CountedDay
    assert set(known) == {FindingKind.SLOW_UNBLOCK}
    assert known[FindingKind.SLOW_UNBLOCK].counts["names_still_blocked"] == 28
    last = Moment(NOW - timedelta(minutes=30), NOW)
    timed = ReleaseTiming(7, NOW - timedelta(hours=5), True, 0, 28, None, last)
    days = [replace(kept(number), timings=(timed,)) for number in range(4, 0, -1)]  # type: ignore[type-var]  # as above
    counts = found(follow(days))[FindingKind.SLOW_UNBLOCK].counts  # type: ignore[arg-type]  # as above
    assert counts["seconds_at_least"] == int(4.5 * 3600) - 1
    assert set(found(course(Family.OVER_BLOCKING))) == {FindingKind.OVER_BLOCKING}


def test_a_list_that_takes_effect_too_late_is_slow_blocking() -> None:
    published = NOW - timedelta(hours=5)
    late = ReleaseSeen(7, published, 9, 9, published + timedelta(hours=3), None)
    then = replace(late, missed=0, last_missed_at=None, first_blocked_at=published + timedelta(hours=4))
    days = [replace(counted(number, Family.STALE_LIST), releases=(late,)) for number in range(4, 1, -1)]
    days.append(replace(counted(1, Family.STALE_LIST), releases=(then,)))
    one = found(follow(days))[FindingKind.SLOW_BLOCK]
    assert (one.counts["releases_late"], one.counts["seconds_at_least"]) == (1, 3 * 3600 - 1)
    frozen = [replace(day, releases=(late,)) for day in days]
    assert found(follow(frozen)) == {}


def test_a_resolver_nobody_enrolled_is_told_by_its_lines() -> None:
    one = found(course(Family.UNENROLLED))[FindingKind.UNENROLLED_RESOLVER]
    assert (one.counts["lines_elsewhere"], one.counts["lines_asked"]) == (24, 32)
    assert one.since <= START + timedelta(hours=1)
