from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from compliance_api.domain.observations.observation import Arm, Result, Sighting
from compliance_api.domain.observations.timing import Moment, ReleaseTiming, summed, timings
from tests.support.cases import START, control, sighting


def seen(minute: float, *, blocked: bool, wide: float = 0, **changes: Any) -> Sighting:
    """A name of a release published at START, asked so many minutes later, give or take some seconds."""
    at = START + timedelta(minutes=minute)
    span = timedelta(seconds=wide)
    values = {"added_serial": 7, "added_at": START, "earliest": at - span, "latest": at + span, **changes}
    return sighting(f"{minute}.example", minute, blocked=blocked, **values)


def released(minute: float, *, blocked: bool, **changes: Any) -> Sighting:
    """A name that was taken out at START."""
    return replace(
        seen(minute, blocked=blocked, **changes), arm=Arm.RELEASED, removed_at=START, removed_serial=9, added_serial=1
    )


def test_a_release_is_timed_though_nothing_was_late() -> None:
    (one,) = timings(
        [
            seen(1, blocked=False),
            seen(3, blocked=True, wide=2.5),
            seen(2, blocked=False, wide=4.2),
            seen(9, blocked=True),
            control(1, 5),
            replace(seen(4, blocked=True), result=Result.INCONCLUSIVE),
        ]
    )
    assert one.document() == {
        "serial": 7,
        "published_at": START.isoformat(),
        "blocked": 2,
        "answered": 2,
        # Rounded outward, and a publication is dated by the second.
        "first_blocked": {"at_least": 176, "at_most": 183},
        "last_answered": {"at_least": 114, "at_most": 125},
    }


def test_names_taken_out_are_timed_the_other_way_round() -> None:
    (one,) = timings([released(5, blocked=True), released(8, blocked=False), released(9, blocked=False)])
    assert one.document() == {
        "serial": 9,
        "published_at": START.isoformat(),
        "answered": 2,
        "blocked": 1,
        "first_answered": {"at_least": 479, "at_most": 480},
        "last_blocked": {"at_least": 299, "at_most": 300},
    }


def test_what_is_asked_before_or_long_after_a_release_says_nothing_of_it() -> None:
    before = seen(-1, blocked=False)
    around = seen(0, blocked=False, wide=5)
    old = seen(8 * 1440, blocked=True)
    assert timings([before, around, old]) == ()


def test_days_are_summed_by_release() -> None:
    first = Moment(START, START + timedelta(seconds=1))
    later = Moment(START + timedelta(hours=1), START + timedelta(hours=2))
    one = ReleaseTiming(7, START, False, 2, 1, later, first)
    other = ReleaseTiming(7, START, False, 3, 0, first, None)
    out = ReleaseTiming(7, START, True, 0, 1, None, first)
    assert summed([one, out, other]) == (ReleaseTiming(7, START, False, 5, 1, first, first), out)
    assert summed([replace(one, last_old=later), one])[0].last_old == later
    assert summed([out])[0].document()["first_answered"] is None
    assert summed([]) == ()
