from __future__ import annotations

import pytest

from blocklist_sync.edge.errors import RefusedError
from blocklist_sync.edge.rings import HOLD_MAX, parse, remaining

PUBLISHED = 1_800_000_000
RINGS = {"canary": 0, "all": 600}


def left(ring: str, now: float, waited: float = 0.0, *, urgent: bool = False) -> float:
    return remaining(RINGS, ring, published_at=PUBLISHED, urgent=urgent, now=PUBLISHED + now, waited=waited)


def test_canary_edges_take_it_at_once_and_others_when_its_time_has_come() -> None:
    assert left("canary", 0) == 0
    assert left("all", 0) == 600
    assert left("all", 599) == 1
    # Who comes late has nothing to wait for.
    assert left("all", 601) == 0
    # A ring that is not named is like all others; an urgent release waits nowhere; nor does one without rings.
    assert left("school", 0) == 600
    assert left("all", 0, urgent=True) == 0
    assert remaining({}, "all", published_at=PUBLISHED, urgent=False, now=PUBLISHED, waited=0) == 0


def test_a_clock_that_is_wrong_makes_nobody_wait_longer() -> None:
    assert left("all", -86_400) == 600
    assert left("all", -86_400, waited=599) == 1
    assert left("all", -86_400, waited=600) == 0
    assert left("all", 86_400) == 0


def test_rings_are_read() -> None:
    assert parse(None) == {}
    assert parse(RINGS) == RINGS


@pytest.mark.parametrize(
    "raw",
    [
        [],
        "all",
        {"all": -1},
        {"all": True},
        {"all": 1.5},
        {"all": HOLD_MAX + 1},
        {1: 1},
        {str(n): 1 for n in range(17)},
    ],
)
def test_rings_that_cannot_be_meant_are_refused(raw: object) -> None:
    with pytest.raises(RefusedError):
        parse(raw)
