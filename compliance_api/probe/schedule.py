"""When each question is asked: a plan from questions, a source of randomness and the time.

Holds always: every question to the operator's resolver about a listed name comes before any about another name, and a
pause lies between them, for a control asked beside a listed name tells what the listed name is for; within each of the
two groups the order is shuffled and the gaps are exponential, so that neither the sequence nor the rhythm announces a
probe; a name goes to the reference resolvers after it went to the operator's, to each at another time, and within ten
minutes, since a name that died in between proves nothing; everything lies within the spread.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from compliance_api.probe.assignment import Arm, Question

REFERENCE_WITHIN_S = 540.0
"""Ten minutes, less what the tries of both exchanges may take."""
ASKING_SHARE = 0.8
"""Part of the spread in which the operator's resolver is asked; the rest leaves room for the last references."""
PAUSE_S = (120.0, 420.0)
"""Between the last listed name and whatever follows."""
PAUSE_SHARE = 0.2
"""Part of the asking that the pause may take where the spread is short."""


@dataclass(frozen=True)
class Appointment:
    """When a question goes to the operator's resolver and when to each reference, on the clock given to `plan`."""

    question: Question
    resolver_at: float
    references_at: tuple[float, ...]


def _times(count: int, begin: float, end: float, rng: Random) -> list[float]:
    """So many moments in order, as a Poisson process has them that is known to have so many."""
    passed = list(accumulate(rng.expovariate(1.0) for _ in range(count + 1)))
    return [begin + (end - begin) * moment / passed[-1] for moment in passed[:-1]]


def plan(
    questions: Iterable[Question], now: float, spread: float, rng: Random, references: int = 2
) -> tuple[Appointment, ...]:
    """Spreads `questions` over `spread` seconds from `now`.

    Args:
        questions: What is to be asked.
        now: Seconds on any clock.
        spread: Seconds; 0 or less asks everything at once, still listed names first.
        rng: Where order and times come from; a `SystemRandom` in production.
        references: How many reference resolvers there are.

    Returns:
        The appointments, by the time of their first exchange.
    """
    spread = max(0.0, spread)
    listed: list[Question] = []
    others: list[Question] = []
    for question in questions:
        (listed if question.arm is Arm.LISTED else others).append(question)
    asking = spread * ASKING_SHARE
    pause = min(rng.uniform(*PAUSE_S), asking * PAUSE_SHARE) if listed and others else 0.0
    border = (asking - pause) * len(listed) / max(1, len(listed) + len(others))
    appointments: list[Appointment] = []
    for group, begin, end in ((listed, 0.0, border), (others, border + pause, asking)):
        rng.shuffle(group)
        for question, offset in zip(group, _times(len(group), begin, end, rng), strict=True):
            latest = min(offset + REFERENCE_WITHIN_S, spread)
            wanted = references if question.arm.needs_references else 0
            references_at = tuple(now + rng.uniform(offset, latest) for _ in range(wanted))
            appointments.append(Appointment(question, now + offset, references_at))
    return tuple(appointments)


def time_left(spread: float, expires_at: float, now: float, margin: float) -> float:
    """Seconds that the questions of an assignment may still be spread over; negative when it is too late to begin.

    Args:
        spread: Seconds asked for.
        expires_at: When observations are no longer taken.
        now: The present, on the same clock.
        margin: Seconds to keep free before that, for the tries of the last exchange; at most half of what is left.
    """
    left = expires_at - now
    return left if left < 0 else min(spread, left - min(margin, left / 2))
