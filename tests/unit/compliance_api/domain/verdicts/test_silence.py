from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from compliance_api.domain.observations.observation import Path, Result, Shape, Sighting
from compliance_api.domain.reports.record import ReleaseRecord
from compliance_api.domain.verdicts import claims, silence
from compliance_api.domain.verdicts.case import Case
from compliance_api.domain.verdicts.silence import Silence
from tests.support.cases import START, honest, report, sighting

MINUTE = timedelta(minutes=1)
# Windows reported: all but those of minutes 20 to 39.
REPORTED = [minute for minute in range(60) if not 20 <= minute < 40]


def asked(minute: float, *, eye: int, shape: Shape = Shape.TIMEOUT, path: Path = Path.UNKNOWN) -> Sighting:
    return replace(sighting("x.example", minute, eye=eye), result=Result.INCONCLUSIVE, shape=shape, path=path)


def quiet(*seen: Sighting) -> Case:
    """A node that did not report for twenty minutes, and what was seen of it then."""
    return honest(reports=[report(minute) for minute in REPORTED], sightings=[*honest().sightings[:0], *seen])


NOBODY = [asked(minute, eye=eye) for minute in (22, 37) for eye in (1, 2, 3, 4, 5)]


def test_a_node_that_nobody_met_while_it_was_silent_was_off() -> None:
    assert list(claims.missing_reports(quiet(*NOBODY))) == []


@pytest.mark.parametrize(
    "seen",
    [
        (),
        NOBODY[:1],
        # Answered by it, by its own signature.
        (*NOBODY, asked(30, eye=6, shape=Shape.NXDOMAIN, path=Path.VERIFIED)),
        # Answered on lines of which none is intercepted.
        (*NOBODY, *(asked(30, eye=eye, shape=Shape.FAILURE) for eye in (1, 2, 3))),
        # Asked only in the windows in which it may still have been on, and about what is dead anyway.
        [asked(minute, eye=eye) for minute in (20.5, 39.5) for eye in (1, 2, 3)],
        [asked(30, eye=eye, shape=Shape.REFERENCE_DEAD) for eye in (1, 2, 3)],
    ],
)
def test_a_node_that_answers_or_that_nobody_asked_owes_what_it_did_not_report(seen: list[Sighting]) -> None:
    (found,) = claims.missing_reports(quiet(*seen))
    assert found.counts["windows_missing"] == 20


def test_what_was_seen_in_the_first_and_the_last_window_refutes_nothing() -> None:
    edges = [asked(minute, eye=eye, shape=Shape.NXDOMAIN) for minute in (20.5, 39.5) for eye in (1, 2, 3)]
    assert list(claims.missing_reports(quiet(*NOBODY, *edges))) == []


def test_silences_lie_between_what_was_heard() -> None:
    case = quiet()
    (node,) = case.nodes
    assert silence.silences(case, node) == [Silence(START + 20 * MINUTE, START + 40 * MINUTE)]
    late = replace(case, reports=[report(minute) for minute in range(30, 60)])
    assert silence.silences(late, node) == [Silence(START, START + 30 * MINUTE)]
    heard = ((START - 90 * MINUTE, START - 89 * MINUTE),)
    assert silence.silences(late, replace(node, heard=heard))[0].began == START - 89 * MINUTE
    young = replace(node, first_window=START + 30 * MINUTE)
    assert silence.silences(late, young) == []
    assert silence.silences(replace(case, reports=[]), node) == []


@pytest.mark.parametrize(("began", "moves"), [(-10, True), (-1, True), (0, False), (5, False)])
def test_only_a_silence_that_began_before_a_deadline_moves_it(began: int, *, moves: bool) -> None:
    due = START
    found = [Silence(START + began * MINUTE, START + 10 * MINUTE)]
    assert silence.excused_until(found, due, 300) == (START + 15 * MINUTE if moves else due)
    assert silence.excused_until([], due, 300) == due


def back(minute: int) -> Case:
    """Silent from minute 5 to 40, over the deadline of a release; its list is old until the minute given."""
    published: datetime = START + 10 * MINUTE
    reports = [report(one, list_serial=3 if one >= minute else 2) for one in range(60) if not 5 <= one < 40]
    releases = [*honest().releases, ReleaseRecord(3, published, False)]
    text = honest().law.model_copy(update={"list": honest().law.list.model_copy(update={"catch_up": 300.0})})
    return honest(law=text, reports=reports, releases=releases)


def test_a_node_that_was_off_has_time_to_fetch_the_list() -> None:
    assert claims.stale_claims(back(45)) == {}
    stale = claims.stale_claims(back(47))["edge-1"]
    assert [one.window_start for one in stale] == [START + 45 * MINUTE, START + 46 * MINUTE]
