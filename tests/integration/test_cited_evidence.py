"""What a finding cites is kept, whatever its age, and by whichever evaluation it was cited."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.findings.casework import Action, Matter
from compliance_api.domain.findings.finding import Evidence, EvidenceKind
from compliance_api.domain.findings.procedure import Procedure
from compliance_api.domain.law.law import LawBook
from compliance_api.domain.law.retention import RetentionSettings
from compliance_api.domain.statistics.parameters import Family
from compliance_api.domain.verdicts.tally import DayEvidence, count, judged
from compliance_api.domain.verdicts.verdict import judge
from compliance_api.storage.findings.cases import Cases
from compliance_api.storage.findings.casework import Casework
from compliance_api.storage.judging.laws import Laws
from compliance_api.storage.judging.tallies import Tallies
from compliance_api.storage.judging.tallies import lines as stored_lines
from compliance_api.storage.tables import finding_versions, findings, ledger_leaves, observations, tallies
from compliance_api.storage.upkeep.upkeep import Upkeep
from compliance_api.usecases.judging.count import Counted, Place
from lachan.ledger.leaf import Kind
from tests.support.cases import NOW, course, honest, law, watched
from tests.support.evidence import ASSIGNMENT, FINDING, Dispute
from tests.support.people import AN

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


async def test_a_session_that_is_cited_is_kept_whole(dispute: Dispute) -> None:
    upkeep = Upkeep(dispute.engine, RetentionSettings())
    await upkeep.run(dispute.now)
    # One of a release before names the session alone.
    for reference in (f"{ASSIGNMENT.hex()}/1", ASSIGNMENT.hex()):
        await cite(dispute, ("observation", reference))
        assert (await upkeep.run(dispute.now + LATER)).ran
        assert await kept(dispute) == [0, 1, 2]
    await cite(dispute)
    await upkeep.run(dispute.now + LATER)
    assert await kept(dispute) == []


async def test_what_an_earlier_evaluation_cited_is_kept_too(dispute: Dispute) -> None:
    """The verdict is saved twice, and the second time it cites other observations."""
    cases, found = Cases(dispute.engine), judge(honest(course=course(Family.OVER_BLOCKING)))
    (finding,) = found.findings
    upkeep = Upkeep(dispute.engine, RetentionSettings())
    await upkeep.run(dispute.now)
    for number, session in enumerate((ASSIGNMENT.hex(), "ff" * 16)):
        piece = Evidence(EvidenceKind.OBSERVATION, dispute.now, f"{session}/0")
        verdict = replace(found, findings=(replace(finding, evidence=(piece,)),))
        at = NOW + timedelta(minutes=number)
        coverage = replace(verdict.coverage, period_end=at)
        await cases.save(replace(verdict, coverage=coverage), law().procedure)
    async with dispute.engine.begin() as connection:
        await connection.execute(delete(findings).where(findings.c.finding_id == FINDING))
    await upkeep.run(dispute.now + LATER)
    assert await kept(dispute) == [0, 1, 2]


async def test_what_a_finding_says_is_entered_again_when_it_says_something_else(engine: AsyncEngine) -> None:
    """At its opening, once a day at most while it is open, and before each step that is taken about it."""
    await Laws(engine).learn(LawBook(laws=(law(),)), NOW - timedelta(days=1))
    cases, found = Cases(engine), judge(honest(course=course(Family.OVER_BLOCKING)))
    (finding,) = found.findings

    async def save(hours: int, number: int) -> None:
        coverage = replace(found.coverage, period_end=NOW + timedelta(hours=hours))
        changed = replace(finding, counts={"controls_blocked": number})
        await cases.save(replace(found, findings=(changed,), coverage=coverage), law().procedure)

    async def entered() -> list[tuple[object, object]]:
        kept = ledger_leaves.c
        async with engine.connect() as connection:
            wanted = select(kept.content).where(kept.kind == Kind.FINDING).order_by(kept.log_index)
            documents = [json.loads(one) for one in (await connection.execute(wanted)).scalars()]
        return [(one.get("counts"), one.get("step", {}).get("state")) for one in documents]

    def counted(number: int) -> list[list[object]]:
        return [["controls_blocked", number]]

    await save(0, 20)
    await save(3, 21)
    opened: list[tuple[object, object]] = [(counted(20), "open")]
    assert await entered() == opened
    await save(25, 22)
    await save(50, 22)
    opened.append((counted(22), None))
    assert await entered() == opened
    await save(51, 23)
    (case,) = await Casework(engine).cases()
    stands = await Casework(engine).detail(case.identifier)
    assert stands is not None
    matter = Matter("a", Procedure(), stands.case.steps, True, stands.head)
    deed = AN.deed(matter, Action.CONFIRM, finding=case.identifier)
    await Casework(engine).take(case.identifier, deed, NOW + timedelta(hours=52))
    assert await entered() == [*opened, (counted(23), None), (None, "confirmed")]
    async with engine.connect() as connection:
        kept = finding_versions.c
        rows = (await connection.execute(select(kept.version, kept.counts).order_by(kept.version))).all()
    assert [tuple(row) for row in rows] == [(1, counted(20)), (2, counted(22)), (3, counted(23))]


async def test_a_counted_day_is_entered_with_all_that_judging_it_anew_takes(engine: AsyncEngine) -> None:
    text, place = law(day={"length": "1h", "closes_after": "30m"}), Place("a", "hcm", ("edge-1",))
    day = text.day.of(NOW - timedelta(hours=1))
    made = count(DayEvidence(day, watched([f"n{number}.example" for number in range(12)])), [], text)
    counted = Counted(judged(day, 1, NOW, text, made), made, 1)
    for _ in range(2):
        await Tallies(engine).add(place, counted)
    async with engine.connect() as connection:
        (row,) = (await connection.execute(select(ledger_leaves).where(ledger_leaves.c.kind == Kind.TALLY))).all()
        assert (await connection.execute(select(tallies.c.log_index))).scalars().all() == [row.log_index]
    told = json.loads(row.content)
    assert (row.subject, told["digest"], told["counts"]["names"]) == ("tally/a/hcm", made.digest, 12)
    assert len(made.tally.lines) == 2
    lines, seen = stored_lines(told["lines"])
    assert (lines, seen) == (made.tally.lines, {name: list(pairs) for name, pairs in made.tally.seen.items()})
    assert b".example" not in row.content
