"""What challenges say, kept in PostgreSQL by place: an operator is judged in each by the nodes that it has there."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.challenges.challenge import Challenge, State
from compliance_api.domain.challenges.outcome import ChallengeOutcome, Opened, outcome
from compliance_api.domain.statistics.parameters import SlopeRule
from compliance_api.storage.challenges.outcomes import Outcomes, challenged
from tests.support.cases import NOW

DAY = timedelta(days=1)


def said(place: str, *states: State) -> ChallengeOutcome:
    """The sum of a day with so many challenges."""
    asked = [
        Opened(Challenge("a", bytes([number]) * 16, "edge-1", NOW - DAY, NOW, 1, (), NOW, NOW), state)
        for number, state in enumerate(states)
    ]
    return outcome("a", NOW - DAY, NOW, asked, SlopeRule(), jurisdiction=place)


async def test_a_place_is_judged_by_what_the_nodes_there_opened(engine: AsyncEngine) -> None:
    outcomes = Outcomes(engine)

    async def lied(place: str, known_minutes: int) -> int | None:
        async with engine.connect() as connection:
            known = NOW + timedelta(minutes=known_minutes)
            found = await challenged(connection, "a", place, NOW - DAY, NOW, known)
            return found.lied if found is not None else None

    # As the release before this one summed up: for all places at once.
    assert await outcomes.save(said("", State.UNTRUE, State.OPENED), NOW)
    assert await outcomes.save(said("hn", State.OPENED), NOW + timedelta(minutes=2))
    assert await outcomes.save(said("hcm", State.UNTRUE), NOW + timedelta(minutes=4))
    assert not await outcomes.save(said("hn", State.OPENED), NOW + timedelta(minutes=5))
    assert await outcomes.save(said("hcm", State.UNTRUE, State.UNTRUE), NOW + timedelta(minutes=6))
    assert [await lied("hn", minutes) for minutes in (-1, 1, 3, 9)] == [None, 1, 0, 0]
    assert [await lied("hcm", minutes) for minutes in (1, 3, 5, 9)] == [1, 1, 1, 2]
    # Days are judged anew where something else is said of their place.
    assert len(await outcomes.since("a", "hn", NOW)) == 1
    assert len(await outcomes.since("a", "hcm", NOW)) == 2
