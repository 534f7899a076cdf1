from __future__ import annotations

from itertools import pairwise
from math import exp, sqrt
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from compliance_api.probe.assignment import Arm, Question
from compliance_api.probe.schedule import ASKING_SHARE, PAUSE_S, PAUSE_SHARE, REFERENCE_WITHIN_S, plan, time_left

questions = st.lists(st.sampled_from(Arm), max_size=60).map(
    lambda arms: [Question(index, f"n{index}.example", 1, arm) for index, arm in enumerate(arms)]
)


@given(questions, st.floats(0, 86_400), st.integers())
def test_every_question_once_within_the_spread_listed_names_first(
    asked: list[Question], spread: float, seed: int
) -> None:
    now = 1000.0
    appointments = plan(asked, now, spread, Random(seed))

    assert sorted(a.question.index for a in appointments) == [q.index for q in asked]
    assert [a.resolver_at for a in appointments] == sorted(a.resolver_at for a in appointments)
    slack = 1e-6
    for a in appointments:
        assert len(a.references_at) == (2 if a.question.arm.needs_references else 0)
        for reference_at in a.references_at:
            assert now <= a.resolver_at <= reference_at + slack
            assert reference_at <= now + spread + slack
            assert reference_at - a.resolver_at <= REFERENCE_WITHIN_S + slack
    listed = [a.resolver_at for a in appointments if a.question.arm is Arm.LISTED]
    others = [a.resolver_at for a in appointments if a.question.arm is not Arm.LISTED]
    if listed and others:
        # A pause of minutes, or a part of a short spread.
        assert max(listed) + min(PAUSE_S[0], spread * ASKING_SHARE * PAUSE_SHARE) <= min(others) + slack


def test_order_and_times_are_drawn_anew_each_time() -> None:
    asked = [Question(index, f"n{index}.example", 1, Arm.LISTED) for index in range(30)]
    plans = [plan(asked, 0, 3600, Random(seed)) for seed in range(20)]
    assert len({tuple(a.question.index for a in p) for p in plans}) == 20
    assert len({a.resolver_at for p in plans for a in p}) == 600
    # No fixed distance between a question to the resolver and its reference gives the pair away.
    assert len({round(at - a.resolver_at, 3) for p in plans for a in p for at in a.references_at}) > 500


def test_a_spread_of_nothing_asks_at_once() -> None:
    asked = [Question(0, "c.example", 1, Arm.CONTROL), Question(1, "l.example", 1, Arm.LISTED)]
    appointments = plan(asked, 5.0, -3.0, Random(1))
    assert [a.question.qname for a in appointments] == ["l.example", "c.example"]
    assert {a.resolver_at for a in appointments} | {at for a in appointments for at in a.references_at} == {5.0}


def test_the_spread_ends_before_the_assignment_does() -> None:
    assert time_left(600, expires_at=10_000, now=0, margin=30) == 600
    assert time_left(600, expires_at=400, now=0, margin=30) == 370
    # A short-lived one is not given up for the sake of the margin.
    assert time_left(600, expires_at=400, now=380, margin=30) == 10
    assert time_left(600, expires_at=400, now=401, margin=30) < 0


def test_gaps_are_those_of_a_poisson_process() -> None:
    asked = [Question(index, f"n{index}.example", 1, Arm.LISTED) for index in range(1000)]
    times = [a.resolver_at for a in plan(asked, 0, 3600, Random(5))]
    gaps = sorted(later - earlier for earlier, later in pairwise(times))
    mean = sum(gaps) / len(gaps)
    # Of exponential gaps, the part shorter than a given one is 1 - exp(-gap / mean): Kolmogorov-Smirnov, 1.63 / sqrt(n)
    # at one in a hundred; the seed is fixed.
    distance = max(abs((place + 1) / len(gaps) - (1 - exp(-gap / mean))) for place, gap in enumerate(gaps))
    assert distance < 1.63 / sqrt(len(gaps))
