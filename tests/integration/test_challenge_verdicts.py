"""From what nodes open, or do not, to the verdict: who refuses, is silent, lies or opens too much is not compliant.

Nodes, their commitments and openings, PostgreSQL, the judge and the pack of evidence are real; days pass at a word.
"""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy import insert, select

from compliance_api.domain.challenges.challenge import Challenge, State
from compliance_api.domain.findings.finding import EvidenceKind, Finding, FindingKind
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.verdicts.verdict import Outcome, Verdict
from compliance_api.ledger import accusation, evidence, pack, verify
from compliance_api.storage.ledger.leaves import NewLeaf, append
from compliance_api.storage.packs import packs
from compliance_api.storage.tables import findings, reports
from compliance_api.usecases.judging.count import Place
from compliance_api.usecases.judging.judge import places
from compliance_api.wiring.judging import Judging, recompute
from lachan import message, postgres, tls
from lachan.compliance.v1 import challenge_service_pb2 as opening
from lachan.ledger.leaf import Kind
from lachan.signing import OPENING
from lachan.tls import Role
from resolver.authority import OpeningSettings
from resolver.opener import Opener
from tests.support.challenging import HOUR_AT, NAMES, Edge, Lie, Scene, honest, reported, scene, stored
from tests.support.evidence import told_of
from tests.support.ledger import Parties
from tests.support.sequencing import circle

DAYS = 6
# By then every deadline is over.
END = HOUR_AT + timedelta(days=4)
OUTAGE = HOUR_AT - timedelta(days=3)


def _request(asked: Challenge) -> opening.OpeningRequest:
    return opening.OpeningRequest(
        challenge_id=asked.challenge_id, hour=int(asked.hour.timestamp()), fingerprints=asked.fingerprints
    )


def _raised(edge: Edge, signed: opening.SignedOpening) -> opening.SignedOpening:
    """The same with another count, signed as well."""
    told = opening.Opening.FromString(signed.opening)
    told.rules[3].count += 7
    data = told.SerializeToString(deterministic=True)
    return opening.SignedOpening(opening=data, signature=edge.key.sign(OPENING, data), key_id=edge.key.public.key_id)


async def _open(made: Scene) -> None:
    """Every node answers in its way to all that it is asked."""
    now = made.clock.now.timestamp()
    for name, edge in made.edges.items():
        caller = tls.Identity(name, Role.NODE, "edge-1")
        small = Opener(edge.openings, edge.told, edge.key, name, "edge-1", OpeningSettings(clients=5))
        for asked in await made.challenger.pending(caller, made.clock()):
            if name == "silent" or (name == "honest" and asked.hour == OUTAGE):
                continue
            signed = (small if name == "refuses" else edge.opener()).open(_request(asked), now)
            if name == "lies" and asked.hour == HOUR_AT:
                signed = _raised(edge, signed)
            state = await made.challenger.submit(caller, signed, made.clock())
            assert state is (
                State.REFUSED
                if name == "refuses"
                else State.UNTRUE
                if name == "lies" and asked.hour == HOUR_AT
                else State.OPENED
            )


async def _days(made: Scene) -> None:
    """Days with a challenged hour each; in the last one customers asked as well."""
    for number in range(DAYS):
        hour = HOUR_AT - timedelta(days=DAYS - 1 - number)
        made.clock.now = hour + timedelta(minutes=10)
        assert await made.challenger.draw(made.clock()) == len(made.edges)
        if hour == HOUR_AT:
            for edge in made.edges.values():
                for qname in NAMES:
                    edge.answer(message.query(qname, 1, id=1))
            # Of the others no window is known, and then nothing is said of sums.
            await _windows(made, "above", 0)
            await _windows(made, "honest", len(NAMES) // 12)
        await reported(made, hour)
    made.clock.now = HOUR_AT + timedelta(hours=25, minutes=1)
    await _open(made)


async def _windows(made: Scene, operator: str, blocked: int) -> None:
    """The hour's reports, with so many hits in each window."""
    first = {name: 100_000 + 100 * place for place, name in enumerate(made.edges)}[operator]
    rows = [
        stored(operator, "edge-1", HOUR_AT + timedelta(minutes=5 * place), first + place, 1000, blocked)
        for place in range(12)
    ]
    async with made.engine.begin() as connection:
        await connection.execute(insert(reports), rows)


def _accusing(verdict: Verdict) -> list[Finding]:
    return [one for one in verdict.findings if one.accuses]


async def test_who_refuses_is_silent_lies_or_opens_too_much_is_not_compliant(
    databases: postgres.Server, tmp_path: Path
) -> None:
    lies: dict[str, Lie] = dict.fromkeys(("refuses", "silent", "lies", "above", "honest"), honest)
    async with scene(databases, tmp_path, lies) as made:
        judging = Judging(made.engine, made.registry, made.laws)
        async with made.engine.begin() as connection:
            keys = [
                (f"{name}/edge-1", told_of(f"{name}/node/edge-1", edge.key.public)) for name, edge in made.edges.items()
            ]
            await append(connection, [NewLeaf(Kind.ENROLMENT, told, subject) for subject, told in keys])
        await _days(made)
        made.clock.now = END
        await made.summary.evaluate(END)
        told = {one.operator: one for one in await judging.evaluate(END)}
        assert {name: one.outcome for name, one in told.items()} == {
            "refuses": Outcome.NOT_COMPLIANT,
            "silent": Outcome.NOT_COMPLIANT,
            "lies": Outcome.NOT_COMPLIANT,
            "above": Outcome.NOT_COMPLIANT,
            # A day's outage, and nothing was measured beside.
            "honest": Outcome.NOT_ENOUGH_EVIDENCE,
        }
        shut = {"nodes_not_opening": 1, "hours_not_opened": 6, "hours_challenged": 6, "days_not_opened": 6}
        expected = {
            "refuses": (shut, EvidenceKind.OPENING, 6),
            "silent": (shut, EvidenceKind.CHALLENGE, 6),
            "lies": ({"hours_opened_untruly": 1}, EvidenceKind.OPENING, 1),
            "above": ({"hours_opened_above": 1, "hits_opened": 30, "hits_reported": 0}, EvidenceKind.OPENING, 1),
        }
        for name, (counts, kind, pieces) in expected.items():
            (finding,) = _accusing(told[name])
            assert (finding.kind, finding.counts) == (FindingKind.COUNTER_MISMATCH, counts)
            assert [one.kind for one in finding.evidence] == [kind] * pieces
        await _the_day_and_the_month_say_so(made)
        await _the_pack_proves_it(made, tmp_path / "packs")


async def _the_day_and_the_month_say_so(made: Scene) -> None:
    """And what was known before the openings came stays what it was."""
    day = LegalDay.of(HOUR_AT)
    place = await place_of_operator(made, "lies")
    before = HOUR_AT + timedelta(hours=25)
    for name in (day.name, day.name[:7]):
        assert (await recompute(made.engine, place, name, None)).outcome is Outcome.NOT_COMPLIANT
        assert (await recompute(made.engine, place, name, before)).outcome is Outcome.NOT_ENOUGH_EVIDENCE


async def place_of_operator(made: Scene, operator: str) -> Place:
    """Where it is judged."""
    return next(one for one in places(made.registry) if one.operator == operator)


async def _the_pack_proves_it(made: Scene, folder: Path) -> None:
    """The openings and the challenges stand in a pack that is verified alone; without them it is none."""
    with circle(folder / "witnesses", Parties()) as three:
        await three.sequencer(made.engine, refresh=1).round()
        for operator, kind in (("lies", "opening"), ("refuses", "opening"), ("silent", "challenge")):
            async with made.engine.connect() as connection:
                own = select(findings).where(
                    findings.c.operator_id == operator, findings.c.kind == FindingKind.COUNTER_MISMATCH
                )
                row = (await connection.execute(own)).one()
            files = await packs.files(made.engine, row.finding_id)
            pack.write(folder / operator, files.items())
            found = verify.verify(folder / operator, three.parties.policy, None, int(time.time()))
            assert found.problems == []
            cited = {(one["kind"], one["reference"]) for one in row.evidence}
            there = {(one.kind, one.reference): one.index for one in evidence.parse(files[evidence.EVIDENCE]).pieces}
            assert {name for name, _ in cited} == {kind}
            assert cited <= set(there)
            # What is said of them is computed again from the leaves.
            said = json.loads(files[accusation.FINDING])
            said["evidence"][0]["detail"] = "opened"
            changed = {**files, accusation.FINDING: json.dumps(said).encode()}
            pack.write(folder / f"{operator}-otherwise", changed.items())
            found = verify.verify(folder / f"{operator}-otherwise", three.parties.policy, None, int(time.time()))
            wrong = [one.detail for one in found.problems if "does not follow" in one.detail]
            assert len(wrong) == (kind == "opening")
            # Its own openings are shown to the operator as well, and hold there.
            shown = await packs.files(made.engine, row.finding_id, redacted=True)
            pack.write(folder / f"{operator}-own", shown.items())
            assert (
                verify.verify(folder / f"{operator}-own", three.parties.policy, None, int(time.time())).problems == []
            )
            assert cited <= {(one.kind, one.reference) for one in evidence.parse(shown[evidence.EVIDENCE]).pieces}
            for name, reference in sorted(cited):
                index = there[name, reference]
                assert pack.content_name(index) in shown
                content = folder / operator / pack.content_name(index)
                content.write_bytes(content.read_bytes().replace(b"edge-1", b"edge-2"))
            found = verify.verify(folder / operator, three.parties.policy, None, int(time.time()))
            edited = {one.place for one in found.problems if one.flaw is verify.Flaw.EDITED}
            assert {pack.leaf_name(there[one]) for one in cited} <= edited
