from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from compliance_api.domain.law.law_history import LawHistory, content, read
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.observations.met import Met
from compliance_api.domain.observations.observation import Arm, Path, Result, Shape, Sighting
from compliance_api.domain.parties.organisation import Transport
from compliance_api.domain.reports.record import ReleaseRecord
from compliance_api.domain.statistics.parameters import Family
from compliance_api.domain.verdicts.tally import QUOTED, Count, DayEvidence, count, judged
from tests.support.cases import NOW, START, control, law, sighting, watched

# An hour, so that the support's sessions, fifteen minutes apart, lie in one day.
LAW = law(day={"length": "1h", "closes_after": "30m"}, list={"block_deadline": "5m", "aged_until": "2h"})
DAY = LegalDay.of(START, 3600)
RELEASES = [ReleaseRecord(1, START - timedelta(days=1), False), ReleaseRecord(2, START - timedelta(hours=1), False)]
NAMES = [f"n{number}.example" for number in range(12)]


def counted(sightings: Sequence[Sighting], met: Sequence[Met] = ()) -> Count:
    return count(DayEvidence(DAY, sightings, met), RELEASES, LAW)


def missed(name: str, minute: float, eye: int, **changes: object) -> Sighting:
    return sighting(name, minute, eye=eye, blocked=False, **changes)


def test_an_honest_day_has_no_hits() -> None:
    controls = [control(number, 20, eye=eye) for number in range(3) for eye in (1, 2)]
    made = counted([*watched(NAMES), *controls])
    assert (made.tally.names, made.tally.missed, made.tally.unlisted, made.tally.over_blocked) == (12, 0, 3, 0)
    assert made.tally.seen["all"] == [(12, 0), (12, 0)]
    assert made.evidence[Family.FILTERING] == ()
    assert not any(judged(DAY, 1, NOW, LAW, made).bad.values())


def test_a_miss_counts_once_confirmed_and_once_a_name() -> None:
    made = counted([*watched(NAMES[:8]), *watched(NAMES[8:], blocked=False)])
    assert (made.tally.names, made.tally.missed) == (12, 4)
    assert judged(DAY, 1, NOW, LAW, made).bad[Family.FILTERING] is True
    alone = [missed(name, minute, 1) for name in NAMES for minute in (10, 25)]
    assert counted(alone).tally.missed == 0
    assert len(counted(watched(NAMES, blocked=False)).evidence[Family.FILTERING]) == QUOTED


def test_a_name_asked_late_may_be_confirmed_until_the_day_is_closed() -> None:
    seen = [missed("n0.example", 55, 1), missed("n0.example", 70, 2)]
    assert counted(seen).tally.missed == 1
    begun_before = [missed("n0.example", -5, 1), missed("n0.example", -20, 2)]
    assert counted(begun_before).tally.names == 0


def test_a_name_asked_again_confirms_but_is_not_drawn() -> None:
    again = [missed("n0.example", minute, eye, again=True) for minute in (10, 25) for eye in (1, 2)]
    made = counted(again)
    assert (made.tally.names, made.tally.missed, made.tally.lines) == (0, 0, ())
    assert counted([missed("n0.example", 10, 1), *again[2:]]).tally.missed == 1


def test_strata_are_by_transport_type_and_quarter() -> None:
    made = counted(
        [
            missed("n0.example", 1, 1, transport=Transport.TCP, qtype=28),
            sighting("n0.example", 20, eye=1, transport=Transport.UDP, qtype=65),
            sighting("n1.example", 50, eye=1, transport=Transport.DOH, qtype=1),
            missed("n1.example", 50, 2, transport=Transport.DOT),
        ]
    )
    one, two = 0, 1
    assert made.tally.seen["tcp"][one] == made.tally.seen["aaaa"][one] == made.tally.seen["00-06"][one] == (1, 1)
    assert made.tally.seen["udp"][one] == made.tally.seen["https"][one] == (1, 0)
    assert made.tally.seen["all"] == [(2, 1), (1, 1)]
    assert (made.tally.seen["dot"][two], made.tally.seen["18-24"]) == ((1, 1), [(1, 0), (1, 1)])


def test_strata_are_by_family_and_flag() -> None:
    made = counted(
        [
            missed("n0.example", 1, 1, family=6, dnssec_ok=True),
            sighting("n0.example", 2, eye=1, family=4),
            sighting("n1.example", 2, eye=2),
        ]
    )
    assert (made.tally.seen["v6"], made.tally.seen["do"]) == ([(1, 1), (0, 0)], [(1, 1), (0, 0)])
    # Whose line decides how it asks is of no family.
    assert (made.tally.seen["v4"], made.tally.seen["plain"]) == ([(1, 0), (0, 0)], [(1, 0), (1, 0)])


def test_what_seems_to_come_from_elsewhere_counts_like_anything_else() -> None:
    """Whoever leaks could make it seem so: the lines that interception explains are set aside by their number alone."""
    seen = watched(NAMES, blocked=False)
    elsewhere = counted([replace(one, path=Path.ELSEWHERE) for one in seen])
    assert (elsewhere.tally.names, elsewhere.tally.missed) == (12, 12)
    assert (elsewhere.elsewhere, elsewhere.lines) == (2, 2)
    assert elsewhere.tally.seen == counted(seen).tally.seen
    assert (counted(seen).elsewhere, counted(seen).lines) == (0, 0)


def test_what_was_not_due_yet_is_left_out() -> None:
    fresh = [replace(one, added_at=START + timedelta(minutes=24)) for one in watched(NAMES, blocked=False)]
    assert counted(fresh).tally.names == 0


def test_a_name_is_due_by_the_law_of_its_publication() -> None:
    """The authority that shortens deadlines, and asks at once for what was published by the longer ones."""
    mild = law(list={"block_deadline": "2d"})
    texts = (read("law-1", 1, START - timedelta(days=9), content(mild)), read("law-1", 2, START, content(LAW)))
    laws = LawHistory(texts).timeline("hcm")
    young, new = START - timedelta(days=1), START + timedelta(minutes=1)
    seen = watched(NAMES, blocked=False, added_at=young)
    assert count(DayEvidence(DAY, seen), RELEASES, LAW, laws).tally.names == 0
    assert count(DayEvidence(DAY, seen), RELEASES, LAW).tally.missed == 12
    seen = watched(NAMES, blocked=False, added_at=new)
    assert count(DayEvidence(DAY, seen), RELEASES, LAW, laws).tally.missed == 12


def test_a_wrong_probe_clock_makes_no_name_due() -> None:
    """The service's own signed moments say that it was asked before the deadline, whatever the probe believes."""
    seen = [replace(one, earliest=START - timedelta(hours=30)) for one in watched(NAMES, blocked=False)]
    assert counted(seen).tally.names == 0


def test_young_names_show_how_old_a_list_is() -> None:
    young = watched(NAMES[:6], blocked=False, added_serial=2, added_at=RELEASES[1].published_at)
    made = counted([*watched(NAMES[6:]), *young])
    assert (made.tally.aged, made.tally.aged_missed) == (6, 6)
    one, two = made.releases
    assert (one.serial, one.names, one.missed, one.last_missed_at) == (1, 6, 0, None)
    assert (two.serial, two.missed, two.last_missed_at, two.first_blocked_at) == (
        2, 6, START + timedelta(minutes=25), None,
    )  # fmt: skip
    late = [sighting(name, 50, added_serial=2, added_at=RELEASES[1].published_at) for name in NAMES[:6]]
    assert counted([*young, *late]).releases[0].first_blocked_at == START + timedelta(minutes=50)
    # Between the service's stamps nobody knows when: what is said is the widest that they allow.
    spread = [
        replace(one, earliest=one.asked_at - timedelta(minutes=2), latest=one.asked_at + timedelta(minutes=3))
        for one in [*young, *late]
    ]
    (one,) = counted(spread).releases
    assert (one.last_missed_at, one.first_blocked_at) == (START + timedelta(minutes=23), START + timedelta(minutes=53))


def session_of(shape: Shape, *controls: Shape, alive: bool = True) -> list[Sighting]:
    """All names fail in that shape, in sessions whose controls end in these shapes."""
    times = [(eye, minute) for eye in (1, 2) for minute in (10, 25)]
    failing = [
        sighting(name, minute, eye=eye, result=Result.INCONCLUSIVE, shape=shape)
        for name in NAMES for eye, minute in times
    ]  # fmt: skip
    beside = [
        replace(
            control(number, minute, eye=eye),
            shape=kind,
            result=Result.NOT_BLOCKED if kind is Shape.ANSWER else Result.INCONCLUSIVE,
            reference_alive=alive or kind is Shape.ANSWER,
        )
        for number, kind in enumerate(controls) for eye, minute in times
    ]  # fmt: skip
    return [*failing, *beside]


@pytest.mark.parametrize("shape", [Shape.FAILURE, Shape.MALFORMED, Shape.TRUNCATED])
def test_names_that_fail_while_controls_are_answered_are_evaded(shape: Shape) -> None:
    made = counted(session_of(shape, *[Shape.ANSWER] * 3))
    assert (made.tally.names, made.tally.evaded) == (0, 12)
    assert judged(DAY, 1, NOW, LAW, made).bad[Family.FILTERING] is True


def test_names_that_fail_beside_controls_that_fail_are_an_accident() -> None:
    assert counted(session_of(Shape.FAILURE, *[Shape.ANSWER] * 3, Shape.FAILURE, Shape.FAILURE)).tally.evaded == 0
    assert counted(session_of(Shape.FAILURE, *[Shape.FAILURE] * 4)).tally.evaded == 0
    assert counted(session_of(Shape.FAILURE, Shape.ANSWER, Shape.ANSWER)).tally.evaded == 0
    assert counted(session_of(Shape.FAILURE)).tally.evaded == 0


def test_one_control_that_is_dead_or_lost_or_fails_hides_no_failures() -> None:
    nine = [Shape.ANSWER] * 9
    for dead in (Shape.NODATA, Shape.REFERENCE_DEAD):
        assert counted(session_of(Shape.FAILURE, *nine, dead, alive=False)).tally.evaded == 12
    for shape in (Shape.TIMEOUT, Shape.UNREACHABLE, Shape.FAILURE, Shape.NODATA):
        assert counted(session_of(Shape.FAILURE, *nine, shape)).tally.evaded == 12


def test_a_name_taken_out_counts_apart_and_only_after_its_deadline() -> None:
    removed = LAW.list.unblock_deadline
    seen = watched(["free.example"], arm=Arm.RELEASED, added_serial=0, added_at=None)
    late = [replace(one, removed_at=START - timedelta(seconds=removed)) for one in seen]
    made = counted(late)
    assert (made.tally.released, made.tally.still_blocked, made.tally.unlisted) == (1, 1, 0)
    early = [replace(one, removed_at=START) for one in seen]
    assert counted(early).tally.released == 0


def met(eye: int, resolver: str = "198.51.100.9", *, enrolled: bool | None = False, handed: bool = True) -> Met:
    return Met(START, f"h/{eye}", f"v{eye}", f"net-{eye % 2}", f"custodian-{eye % 2}", resolver, enrolled, handed)


def test_lines_that_are_handed_resolvers_nobody_enrolled_are_foreign() -> None:
    # A farm: no two lines meet the same one.
    lines = [met(eye, f"198.51.100.{eye}") for eye in range(8)] + [met(8, enrolled=True), met(9, enrolled=None)]
    made = counted([], lines)
    assert (made.tally.handed, made.tally.foreign, made.tally.untold) == (9, 8, 1)
    said = judged(DAY, 1, NOW, LAW, made)
    assert (said.bad[Family.UNENROLLED], said.reasons) == (True, ("foreign",))
    assert made.evidence[Family.UNENROLLED][0].detail == "198.51.100.0"


def test_enrolled_addresses_where_somebody_else_answers_are_astray() -> None:
    made = counted([], [met(eye, handed=False) for eye in range(8)])
    assert (made.tally.handed, made.tally.direct, made.tally.astray) == (0, 8, 8)
    said = judged(DAY, 1, NOW, LAW, made)
    assert (said.bad[Family.UNENROLLED], said.reasons) == (True, ("astray",))


def test_the_order_in_which_things_arrived_changes_nothing() -> None:
    controls = [control(number, 20, eye=eye, blocked=True) for number in range(3) for eye in (1, 2)]
    seen = [*watched(NAMES[:8]), *watched(NAMES[8:], blocked=False), *controls]
    shuffled = list(seen)
    random.Random(3).shuffle(shuffled)
    assert counted(seen) == counted(shuffled)
    assert counted(seen[1:]).digest != counted(seen).digest
