"""The membership on a real PostgreSQL: what a file of organisations changes, and what it cannot."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.findings.procedure import Procedure
from compliance_api.domain.parties.credential import Objection, Shown
from compliance_api.domain.parties.organisation import (
    Endpoint,
    Jurisdiction,
    Label,
    Node,
    Organisation,
    OrganisationKind,
    Probe,
    Registry,
    Transport,
)
from compliance_api.domain.reports.window import Absence
from compliance_api.domain.verdicts.course import Course
from compliance_api.domain.verdicts.verdict import Verdict, judge
from compliance_api.errors import ComplianceError
from compliance_api.storage.findings.cases import Cases
from compliance_api.storage.judging.evidence import Extent
from compliance_api.storage.membership.enrolments import Enrolments
from compliance_api.storage.membership.members import Members
from compliance_api.storage.reports.reports import Reports
from compliance_api.storage.tables import certificates, parties, revocations
from compliance_api.usecases.judging.judge import places
from compliance_api.usecases.membership.membership import Directory
from compliance_api.usecases.reports.grouping import Call, Groups
from compliance_api.wiring.judging import place_of
from lachan.line import Line
from lachan.tls import Identity, Role
from tests.support.cases import law
from tests.support.claims import T0, claim

NAME = Label("Tên", "Name")
NOW = datetime.now(UTC)
E1 = Node("e1", b"1" * 32, (Endpoint("192.0.2.1", 53, Transport.UDP),), frozenset({"hcm"}))
E2 = Node("e2", b"", (), frozenset({"hcm"}))
P1 = Probe("p1", b"p" * 32, "v", "n", "so", Line.SCHOOL, frozenset({"a"}))
A = Organisation("a", OrganisationKind.OPERATOR, NAME, frozenset({"hcm"}), (E1, E2))
SO = Organisation("so", OrganisationKind.AUTHORITY, NAME, frozenset(), (), (P1,))
FILE = Registry((Jurisdiction("hcm", NAME),), (SO, A))
WHO = Identity("a", Role.NODE, "e1")


async def leaves(engine: AsyncEngine) -> list[tuple[str, str, dict[str, Any]]]:
    async with engine.connect() as connection:
        # What a report says stands elsewhere.
        statement = "SELECT kind, subject, content FROM ledger_leaves WHERE content IS NOT NULL ORDER BY log_index"
        found = await connection.execute(text(statement))
        return [(row.kind, row.subject, json.loads(row.content)) for row in found]


async def test_a_file_is_taken_over_once_and_every_key_stands_in_the_ledger(engine: AsyncEngine) -> None:
    members = Members(engine)
    assert await members.apply(FILE, "test", NOW) == ["a/e1", "a/e2", "so/p1", "so", "a"]
    assert await members.apply(FILE, "test", NOW) == []
    assert await members.revision() == 1
    found = (await members.load()).registry
    # Whose key is not known cannot report, and is not there yet.
    assert found.organisations == (SO, replace(A, nodes=(E1,)))
    assert found.jurisdictions == FILE.jurisdictions
    first = (await leaves(engine))[0]
    assert first[:2] == ("enrolment", "a/e1")
    assert first[2]["event"] == "registered"
    assert first[2]["key"] == E1.key.hex()
    async with engine.connect() as connection:
        heads = (await connection.execute(text("SELECT node FROM chain_heads"))).scalars().all()
    assert heads == ["e1"]


async def test_two_processes_see_a_change_at_the_next_call(engine: AsyncEngine) -> None:
    one, two = (Directory(Members(engine), Registry()) for _ in range(2))
    await Members(engine).apply(FILE, "test", NOW)
    assert (await one.fresh()).revision == (await two.fresh()).revision == 1
    renamed = Registry(FILE.jurisdictions, (SO, replace(A, name=Label("Khác", "Other"), nodes=())))
    assert await Members(engine).apply(renamed, "test", NOW) == ["a/e1", "a/e2"]
    assert {(await each.fresh()).revision for each in (one, two)} == {2}
    for each in (one, two):
        assert each.registry.node("a", "e1") is None
        assert [owner.name.en for owner in each.registry.operators()] == ["Other"]
    withdrawn = (await leaves(engine))[-1]
    assert withdrawn[2] == {"event": "withdrawn", "party": "lachan://a/node/e2", "by": "test"}


async def test_processes_that_start_together_apply_their_file_once(engine: AsyncEngine) -> None:
    told = await asyncio.gather(*(Members(engine).apply(FILE, "test", NOW) for _ in range(4)))
    assert sorted(len(one) for one in told) == [0, 0, 0, 5]


async def enrol(engine: AsyncEngine, key: bytes) -> None:
    async with engine.begin() as connection:
        await connection.execute(update(parties).where(parties.c.name == "e1").values(key=key, origin="enrolment"))
        await connection.execute(text("UPDATE membership SET revision = revision + 1"))


async def test_no_file_changes_the_key_of_who_was_enrolled(engine: AsyncEngine) -> None:
    members = Members(engine)
    await members.apply(FILE, "test", NOW)
    await enrol(engine, b"2" * 32)
    with pytest.raises(ComplianceError, match="lachan://a/node/e1 is enrolled with another key"):
        await members.apply(FILE, "test", NOW)
    with pytest.raises(ComplianceError, match="its organisation is not in the file"):
        await members.apply(Registry(FILE.jurisdictions, (SO,)), "test", NOW)
    moved = replace(E1, key=b"", endpoints=(Endpoint("192.0.2.9", 53, Transport.TCP),))
    await members.apply(Registry(FILE.jurisdictions, (SO, replace(A, nodes=(moved,)))), "test", NOW)
    assert (await members.load()).registry.node("a", "e1") == replace(moved, key=b"2" * 32)
    # Left out of the file, it stays as it was enrolled.
    await members.apply(Registry(FILE.jurisdictions, (SO, replace(A, nodes=()))), "test", NOW)
    assert (await members.load()).registry.node("a", "e1") == replace(moved, key=b"2" * 32)


def certificate(fingerprint: bytes, issued_at: datetime, ends: timedelta) -> dict[str, Any]:
    return {
        "fingerprint": fingerprint,
        "organisation": "a",
        "role": "node",
        "name": "e1",
        "not_before": issued_at,
        "not_after": NOW + ends,
        "issued_at": issued_at,
        "chain": b"",
    }


async def test_certificates_count_until_they_end_or_are_revoked(engine: AsyncEngine) -> None:
    members = Members(engine)
    await members.apply(FILE, "test", NOW)
    await enrol(engine, E1.key)
    hour = timedelta(hours=1)
    gone = {"organisation": "a", "role": "node", "name": "e1", "revoked_by": "x", "reason": "y"}
    async with engine.begin() as connection:
        made = [(b"old", NOW - 3 * hour, hour), (b"ended", NOW, -hour), (b"new", NOW, hour), (b"stolen", NOW, hour)]
        await connection.execute(insert(certificates), [certificate(*one) for one in made])
        await connection.execute(
            insert(revocations), [gone | {"fingerprint": b"", "revoked_at": NOW - 2 * hour, "lifted_at": NOW - hour}]
        )
        await connection.execute(insert(revocations), [gone | {"fingerprint": b"stolen", "revoked_at": NOW}])
    found = await members.load()
    assert found.issued == {WHO: frozenset({b"new", b"stolen"})}
    assert {name: found.objection(Shown(WHO, name, NOW)) for name in (b"old", b"ended", b"new", b"stolen")} == {
        b"old": Objection.REVOKED,
        b"ended": Objection.NOT_ISSUED,
        b"new": None,
        b"stolen": Objection.REVOKED,
    }
    async with engine.begin() as connection:
        await connection.execute(insert(revocations), [gone | {"fingerprint": b"", "revoked_at": NOW + hour}])
    assert (await members.load()).objection(Shown(WHO, b"new", NOW)) is Objection.REVOKED
    async with engine.connect() as connection:
        assert len((await connection.execute(select(certificates))).all()) == 4


LAW = law(period="2h", report={"window": "5m", "deadline": "5m", "first_within": "10m"})
LEFT = T0 + timedelta(hours=1)
BACK = T0 + timedelta(hours=2)


async def leave(engine: AsyncEngine, way: str) -> None:
    if way == "file":
        await Members(engine).apply(Registry(FILE.jurisdictions, (SO, replace(A, nodes=()))), "test", LEFT)
        return
    async with Enrolments(engine).change() as change:
        await change.revoke(WHO, b"", "lachan://a/person/an", "sold", LEFT)


async def come_back(engine: AsyncEngine, way: str) -> None:
    if way == "file":
        await Members(engine).apply(FILE, "test", BACK)
        return
    async with Enrolments(engine).change() as change:
        await change.admit(WHO, b"2" * 32, {}, BACK)


async def judged(engine: AsyncEngine, at: datetime) -> Verdict:
    """As the judge does it."""
    (place,) = places((await Members(engine).load()).registry)
    case = await Cases(engine).case(place.operator, place.jurisdiction, place.nodes, LAW, at, Course())
    verdict = judge(case)
    await Cases(engine).save(verdict, Procedure())
    return verdict


def counts(verdict: Verdict) -> dict[str, dict[str, int]]:
    return {str(one.kind): dict(one.counts) for one in verdict.findings if one.node == "e1"}


@pytest.mark.parametrize(("way", "objection"), [("revoked", Objection.REVOKED), ("file", Objection.UNKNOWN)])
async def test_who_leaves_sheds_no_finding(engine: AsyncEngine, way: str, objection: Objection) -> None:
    members = Members(engine)
    await members.apply(FILE, "test", T0)
    both = [claim(1), claim(1, salt=b"x")]
    await Groups(Reports(engine), lambda: T0 + timedelta(minutes=10)).add(Call("a", "e1", both))
    before = counts(await judged(engine, LEFT))
    assert before == {
        "equivocation": {"conflicting_reports": 1},
        "missing_reports": {"windows_missing": 9, "windows_expected": 10},
    }

    async def of(start: datetime, end: datetime) -> Any:
        place = await place_of(engine, "a", "hcm")
        return await Cases(engine).of_period(Extent("a", place.nodes, start, end), "hcm", LAW, Course())

    past = await of(T0, LEFT - timedelta(minutes=5))
    await leave(engine, way)
    with pytest.raises(ComplianceError, match="no operator so in hcm"):
        await place_of(engine, "so", "hcm")
    found = await members.load()
    assert found.registry.node("a", "e1") is None
    assert found.objection(Shown(WHO, b"any", NOW)) is objection
    # Owed up to the moment of leaving, however much later it is judged.
    for minutes in (70, 115):
        after = counts(await judged(engine, T0 + timedelta(minutes=minutes)))
        assert after == before | {"missing_reports": {"windows_missing": 10, "windows_expected": 11}}
    async with engine.connect() as connection:
        kept = await connection.execute(text("SELECT kind FROM findings WHERE node = 'e1' AND closed_at IS NULL"))
        assert set(kept.scalars()) == set(before)
    # A past day sees the nodes of that day, and a later one does not wait for who is gone.
    assert await of(T0, LEFT - timedelta(minutes=5)) == past
    assert [one.name for one in past.nodes] == ["e1"]
    assert (await of(LEFT + timedelta(minutes=5), BACK)).nodes == []
    assert (await of(T0 - timedelta(hours=1), T0)).nodes == []

    await come_back(engine, way)
    assert (await members.load()).registry.node("a", "e1") is not None
    (node,) = (await of(T0, BACK + timedelta(hours=1))).nodes
    assert node.away == (Absence(LEFT, BACK),)
    if way == "file":
        # Its certificates count as they did, and the ledger has all of it.
        assert (await members.load()).objection(Shown(WHO, b"any", T0)) is None
        told = [one[2]["event"] for one in await leaves(engine) if one[1] == "a/e1"]
        assert told == ["registered", "withdrawn", "registered"]


async def test_a_verdict_as_of_a_past_moment_looks_at_the_nodes_of_then(engine: AsyncEngine) -> None:
    """A node moves to another place, another one comes, and the first one leaves."""
    members, hour = Members(engine), timedelta(hours=1)
    both = Jurisdiction("hcm", NAME), Jurisdiction("hn", NAME)

    async def said(*nodes: Node, at: datetime) -> None:
        owner = replace(A, nodes=nodes, jurisdictions=frozenset({"hcm", "hn"}))
        for _ in range(2):
            await members.apply(Registry(both, (SO, owner)), "test", at)

    moved, new = replace(E1, jurisdictions=frozenset({"hn"})), replace(E1, name="e3", key=b"3" * 32)
    await said(E1, E2, at=T0)
    await said(moved, new, at=T0 + hour)
    await said(new, at=T0 + 2 * hour)

    async def nodes(place: str, at: datetime | None) -> tuple[str, ...]:
        return (await place_of(engine, "a", place, at)).nodes

    moments = (T0 - hour, T0, T0 + hour / 2, T0 + hour, T0 + 3 * hour, None)
    assert [await nodes("hcm", at) for at in moments] == [(), ("e1",), ("e1",), ("e3",), ("e3",), ("e3",)]
    # Whoever has left is judged for the time in which it was there.
    assert [await nodes("hn", at) for at in moments] == [(), (), (), ("e1",), ("e1",), ("e1",)]
    async with engine.connect() as connection:
        kept = await connection.execute(text("SELECT node, version FROM node_versions ORDER BY 1, 2"))
        assert [tuple(row) for row in kept] == [("e1", 1), ("e1", 2), ("e3", 1)]
