"""What a finding cites is kept, whatever its age, and by whichever evaluation it was cited."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import delete, select, update

from compliance_api.domain.finding import Evidence, EvidenceKind
from compliance_api.domain.retention import RetentionSettings
from compliance_api.domain.statistics.parameters import Family
from compliance_api.domain.verdict import judge
from compliance_api.storage.cases import Cases
from compliance_api.storage.tables import findings, observations
from compliance_api.storage.upkeep import Upkeep
from tests.support.cases import NOW, course, honest, law
from tests.support.evidence import ASSIGNMENT, FINDING, Dispute

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


async def test_what_an_earlier_evaluation_cited_is_kept_too(dispute: Dispute) -> None:
    """The verdict is saved twice, and the second time it cites other observations."""
    cases, found = Cases(dispute.engine), judge(honest(course=course(Family.OVER_BLOCKING)))
    (finding,) = found.findings
    upkeep = Upkeep(dispute.engine, RetentionSettings())
    await upkeep.run(dispute.now)
    for number in (0, 2):
        piece = Evidence(EvidenceKind.OBSERVATION, dispute.now, f"{ASSIGNMENT.hex()}/{number}")
        verdict = replace(found, findings=(replace(finding, evidence=(piece,)),))
        at = NOW + timedelta(minutes=number)
        coverage = replace(verdict.coverage, period_end=at)
        await cases.save(replace(verdict, coverage=coverage), law().procedure)
    async with dispute.engine.begin() as connection:
        await connection.execute(delete(findings).where(findings.c.finding_id == FINDING))
    await upkeep.run(dispute.now + LATER)
    assert await kept(dispute) == [0, 2]
