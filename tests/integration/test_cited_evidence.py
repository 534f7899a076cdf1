"""What a finding cites is kept, whatever its age, and by whichever evaluation it was cited."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, update

from compliance_api.domain.retention import RetentionSettings
from compliance_api.storage.tables import findings, observations
from compliance_api.storage.upkeep import Upkeep
from tests.support.evidence import ASSIGNMENT, Dispute

LATER = timedelta(days=120)


async def cite(dispute: Dispute, *references: tuple[str, str]) -> None:
    """What the finding's evidence is from now on."""
    pieces = [
        {"kind": kind, "reference": name, "at": dispute.now.isoformat(), "node": "", "probe": "", "detail": ""}
        for kind, name in references
    ]
    async with dispute.engine.begin() as connection:
        await connection.execute(update(findings).values(evidence=pieces))


async def kept(dispute: Dispute) -> list[int]:
    async with dispute.engine.connect() as connection:
        wanted = select(observations.c.question).order_by(observations.c.question)
        return list((await connection.execute(wanted)).scalars())


async def test_a_session_cited_as_a_whole_is_kept_whole(dispute: Dispute) -> None:
    await cite(dispute, ("observation", ASSIGNMENT.hex()))
    upkeep = Upkeep(dispute.engine, RetentionSettings())
    await upkeep.run(dispute.now)
    assert (await upkeep.run(dispute.now + LATER)).ran
    assert await kept(dispute) == [0, 1, 2]
    await cite(dispute, ("observation", f"{ASSIGNMENT.hex()}/1"))
    await upkeep.run(dispute.now + LATER)
    assert await kept(dispute) == [1]
