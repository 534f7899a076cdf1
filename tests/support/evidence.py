"""A finding in a real database, with the reports, observations and the law that it rests on, under cosigned heads."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.findings.casework import opening
from compliance_api.domain.law.law import LawBook
from compliance_api.storage.findings import casework
from compliance_api.storage.judging.laws import Laws
from compliance_api.storage.ledger.leaves import NewLeaf, append
from compliance_api.storage.reports.reports import Reports
from compliance_api.storage.tables import findings, ledger_leaves, observations
from compliance_api.usecases.reports.grouping import Call, Groups
from lachan import canonical
from lachan.compliance.v1 import probe_service_pb2 as probes
from lachan.compliance.v1 import report_pb2
from lachan.ledger.batch import signed
from lachan.ledger.leaf import Kind, Opening
from lachan.signing import OBSERVATION, REPORT, SigningKey, VerifyKey
from tests.support.cases import law
from tests.support.claims import claim, enrol
from tests.support.sequencing import Circle

FINDING = bytes(range(16))
ASSIGNMENT = b"a" * 16
LISTED, PROBE, VANTAGE, RESOLVER = "listed.bad.example", "probe-seven", "hcm-1", "198.51.100.53"


KEYS = {name: SigningKey.generate() for name in ("a/node/edge-1", "a/node/edge-2", f"so/probe/{PROBE}")}


def told_of(party: str, key: VerifyKey) -> bytes:
    """What the ledger is told where somebody is let in."""
    return canonical.encode({"event": "confirmed", "party": f"lachan://{party}", "by": "x", "key": key.raw.hex()})


def observed(number: int, at: datetime, key: SigningKey) -> tuple[dict[str, Any], bytes]:
    name = f"n{number}.{LISTED}"
    message = probes.Observation(
        assignment_id=ASSIGNMENT,
        index=number,
        asked_at_us=int(at.timestamp() * 1_000_000),
        resolver=probes.Exchange(query=name.encode(), response=name.encode(), tries=1),
    ).SerializeToString()
    row = {
        "operator_id": "a",
        "assignment_id": ASSIGNMENT,
        "question": number,
        "digest": hashlib.sha256(message).digest(),
        "asked_at": at,
        "received_at": at,
        "probe_organisation": "so",
        "probe": PROBE,
        "vantage_point": VANTAGE,
        "access_network": "net-1",
        "custodian": "partner",
        "node": "edge-1",
        "endpoint": RESOLVER,
        "qname": name,
        "qtype": 1,
        "arm": "listed",
        "category": 3,
        "order_reference": "OR-1",
        "added_serial": 1,
        "added_at": at,
        "result": "not_blocked",
        "shape": "none",
        "reference_alive": True,
        "observation": message,
        "signature": key.sign(OBSERVATION, message),
        "key_id": key.public.key_id,
    }
    return row, signed(message, row["signature"], row["key_id"])


def _assignment() -> bytes:
    what = {"type": "assignment", "assignment": ASSIGNMENT.hex(), "operator": "a", "probe": f"so/{PROBE}"}
    return canonical.encode(what | {"questions": 3})


class Dispute:
    """Everything about one finding against operator a."""

    def __init__(self, engine: AsyncEngine, circle: Circle) -> None:
        self.engine = engine
        self.circle = circle
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.sequencer = circle.sequencer(engine, refresh=1)

    async def enter(self, kind: Kind, content: bytes, subject: str) -> int:
        async with self.engine.begin() as connection:
            return await append(connection, [NewLeaf(kind, content, subject)])

    async def observe(self, number: int, key: SigningKey = KEYS[f"so/probe/{PROBE}"]) -> None:
        row, content = observed(number, self.now - timedelta(minutes=30 - number), key)
        async with self.engine.begin() as connection:
            index = await append(connection, [NewLeaf(Kind.OBSERVATION, content, "a/edge-1")])
            await connection.execute(insert(observations).values({**row, "log_index": index}))

    async def report(self, sequence: int, node: str = "edge-1") -> str:
        """Another report; SHA-256 of its bytes."""
        start = self.now - timedelta(minutes=40 - 5 * sequence)
        data = report_pb2.Report(
            organisation="a", node=node, sequence=sequence, window_start=int(start.timestamp())
        ).SerializeToString()
        made = claim(sequence)
        link = replace(made.link, digest=hashlib.sha256(data).digest(), window_start=start)
        key = KEYS[f"a/node/{node}"]
        own = {"signature": key.sign(REPORT, data), "key_id": key.public.key_id}
        call = Call("a", node, [replace(made, link=link, report=data, **own)])
        await Groups(Reports(self.engine), lambda: self.now).add(call)
        return link.digest.hex()

    async def begin(self) -> None:
        """Law, assignment, reports and observations under heads of their own, and the finding that cites them."""
        await enrol(self.engine, [("a", "edge-1"), ("a", "edge-2")], self.now - timedelta(days=1))
        await Laws(self.engine).learn(LawBook(laws=(law(),)), self.now - timedelta(days=1))
        for party, key in KEYS.items():
            organisation, _, name = party.split("/")
            await self.enter(Kind.ENROLMENT, told_of(party, key.public), f"{organisation}/{name}")
        await self.sequencer.round()
        await self.enter(Kind.RELEASE, b'{"serial":1}', "release/1")
        await self.enter(Kind.ORDER, b'{"number":"OR-1"}', "order/OR-1")
        await self.enter(Kind.ASSIGNMENT, _assignment(), f"assignment/{ASSIGNMENT.hex()}")
        await self.sequencer.round()
        digests = [await self.report(1), await self.report(2)]
        # Another node's, and another operator's matters, in between.
        await self.report(1, "edge-2")
        for number in range(3):
            await self.observe(number)
            await self.enter(Kind.LAW, b"{}", "law/another")
        digests.append(await self.report(3))
        await self.sequencer.round()
        cited = [("report", digests[1], "", ""), ("observation", f"{ASSIGNMENT.hex()}/1", PROBE, f"n1.{LISTED}")]
        base = {"at": self.now.isoformat(), "node": "edge-1"}
        row = {
            "operator_id": "a",
            "finding_id": FINDING,
            "jurisdiction": "hcm",
            "kind": "under_blocking",
            "node": "edge-1",
            "since": self.now - timedelta(minutes=40),
            "opened_at": self.now,
            "last_seen": self.now,
            "counts": [["missed", 3]],
            "evidence": [
                {**base, "kind": kind, "reference": name, "probe": probe, "detail": one}
                for kind, name, probe, one in cited
            ],
            "law": law().id,
            "citation_vi": "Điều 1",
            "citation_en": "Article 1",
        }
        async with self.engine.begin() as connection:
            await connection.execute(insert(findings).values(row))
            await casework.enter(connection, [(row, opening(law().procedure, "a", self.now))])
        await self.sequencer.round()

    async def recommit(self, index: int, content: bytes | None, entered_at: int | None = None) -> None:
        """What an insider with the database does: a leaf that fits its new content."""
        own = ledger_leaves.c.log_index == index
        async with self.engine.begin() as connection:
            row = (await connection.execute(select(ledger_leaves).where(own))).one()
            at = row.entered_at if entered_at is None else entered_at
            whole = content if content is not None else row.content
            opening = Opening(row.salt, Kind(row.kind), at, whole)
            values: dict[str, Any] = {"entered_at": at, "commitment": opening.commitment}
            if row.content is not None:
                values["content"] = whole
            await connection.execute(update(ledger_leaves).where(own).values(values))
