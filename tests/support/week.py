"""A week in the life of some operators, as the service keeps it: signed, entered into the ledger, judged every day.

Reports go through the service's own chain, what probes saw is signed by their keys and entered, days are counted and
judged by its own judge, on a real PostgreSQL; only the time is made up, and nothing is sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.drawing.sampling import Release
from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.law.law import Law, LawBook
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.parties.organisation import (
    Jurisdiction,
    Label,
    Node,
    Organisation,
    OrganisationKind,
    Registry,
)
from compliance_api.domain.reports.chain import Link
from compliance_api.domain.verdicts.verdict import Verdict
from compliance_api.storage.ledger.leaves import NewLeaf, append
from compliance_api.storage.probing.assignments import Releases
from compliance_api.storage.reports.reports import Reports
from compliance_api.storage.tables import observations
from compliance_api.usecases.reports.claim import Claim
from compliance_api.usecases.reports.grouping import Call, Groups
from compliance_api.wiring.judging import Judging
from lachan import canonical
from lachan.compliance.v1 import probe_service_pb2 as probes
from lachan.compliance.v1 import report_pb2
from lachan.ledger.batch import signed
from lachan.ledger.leaf import Kind
from lachan.signing import OBSERVATION, REPORT, SigningKey
from tests.support.claims import enrol
from tests.support.evidence import told_of
from tests.support.people import AN, BINH, OWN
from tests.support.steps import let_in

DAYS = 7
LINES = 12
OLD, YOUNG, CONTROLS = 12, 4, 5
HOURS = (9, 16)
"""Of the day, at which every second line asks."""
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WINDOW = 30 * MINUTE
FIRST = LegalDay.of(datetime.now(UTC)).after(-DAYS - 2)
TEXT = {"vi": "Điều 1", "en": "Article 1"}
HCM = frozenset({"hcm"})


def law(name: str, since: datetime, until: datetime | None, block_deadline: str) -> Law:
    """The law as it ships, for a week in which less is asked than in a large one."""
    return Law.model_validate(
        {
            "id": name, "effective_from": since, "effective_until": until, "authority": TEXT, "default_citation": TEXT,
            "report": {"window": "30m"}, "list": {"block_deadline": block_deadline},
            "minimum": {"names": 10, "controls": 4}, "burden": {"bad": {"minimum_names": 10}},
        }
    )  # fmt: skip


OLD_LAW, CHANGE = law("mild", FIRST.start - 365 * DAY, FIRST.after(4).start, "24h"), FIRST.after(4).start
NEW_LAW = law("strict", CHANGE, None, "12h")


@dataclass(frozen=True)
class Line:
    """A vantage point: four lines of each custodian, over three networks."""

    number: int

    @property
    def network(self) -> str:
        """Who carries it."""
        return f"net-{self.number % 3}"

    @property
    def custodian(self) -> str:
        """Who keeps its probe."""
        return f"keeper-{self.number // 4}"

    def asks(self, day: int) -> datetime:
        """When its session of a day begins."""
        return FIRST.after(day).start + HOURS[self.number % 2] * HOUR + self.number * MINUTE


def _window(moment: datetime) -> int:
    """Which of its day's windows a moment lies in."""
    return (moment - LegalDay.of(moment).start) // WINDOW


def judged_at(day: int) -> datetime:
    """When a day is judged: -1 is the day before the first."""
    return FIRST.after(day).end + 6 * HOUR + MINUTE


class Life:
    """How an operator and those around it behave; an honest one to whom nothing happens."""

    def answered(self, day: int, line: Line, name: int, age: timedelta) -> bool:
        """Whether a listed name is answered instead of blocked, `age` after its publication."""
        del day, line, name
        return age < 3 * HOUR

    def off(self, day: int) -> range:
        """The windows of a day in which its node is off."""
        del day
        return range(0)

    def blocked(self, day: int) -> int:
        """Blocked answers that it claims for each window of a day."""
        del day
        return 1000


@dataclass
class Week:
    """What came of it."""

    lives: Mapping[str, Life]
    keys: dict[str, SigningKey] = field(default_factory=dict)
    # By operator, the verdict of every day.
    said: dict[str, list[Verdict]] = field(default_factory=dict)
    # By operator, number and digest of its last report.
    chains: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def registry(self) -> Registry:
        """Everybody."""
        label = Label("x", "x")
        operators = tuple(
            Organisation(name, OrganisationKind.OPERATOR, label, HCM, (Node("edge-1", b"", (), HCM),))
            for name in self.lives
        )
        return Registry((Jurisdiction("hcm", label),), operators)

    def accused(self, operator: str) -> list[set[FindingKind]]:
        """What an operator was accused of, day by day."""
        return [{one.kind for one in verdict.findings if one.accuses} for verdict in self.said[operator]]

    async def live(self, engine: AsyncEngine, between: Callable[[AsyncEngine, int], Any]) -> None:
        """Lives through it.

        Args:
            engine: An empty database with its tables.
            between: Awaited before each day is judged, with the day's number; what it returns is for how many seconds
                nobody judging is no outage of the authority.
        """
        await enrol(engine, [(name, "edge-1") for name in self.lives], FIRST.start - HOUR)
        await self._let_in(engine)
        known = [Release(1, b"d" * 32, FIRST.start - 30 * DAY, 9, urgent=False)]
        young = ((2 + day, FIRST.after(day).start - HOUR) for day in range(DAYS))
        known += [Release(serial, b"d" * 32, at, 9, urgent=False) for serial, at in young]
        await Releases(engine).save(known, FIRST.start - DAY)
        await self.judging(engine, OLD_LAW).prepare(FIRST.start - DAY)
        for day in range(DAYS):
            if day == 3:
                await self.judging(engine, OLD_LAW, NEW_LAW).prepare(FIRST.after(3).start)
            for name, life in self.lives.items():
                await self._observe(engine, name, life, day)
            patience = await between(engine, day)
            texts = (OLD_LAW, NEW_LAW) if day >= 3 else (OLD_LAW,)
            judging = self.judging(engine, *texts, interval=patience)
            for one in await judging.evaluate(judged_at(day)):
                self.said.setdefault(one.operator, []).append(one)

    def judging(self, engine: AsyncEngine, *texts: Law, interval: float = 60.0) -> Judging:
        """The service's judge."""
        return Judging(engine, self.registry, LawBook(laws=texts), interval)

    def key(self, party: str) -> SigningKey:
        """Somebody's, always the same."""
        return self.keys.setdefault(party, SigningKey.generate())

    async def _let_in(self, engine: AsyncEngine) -> None:
        parties = {f"{name}/node/edge-1": f"{name}/edge-1" for name in self.lives}
        parties |= {f"so/probe/p{number}": f"so/p{number}" for number in range(LINES)}
        leaves = [NewLeaf(Kind.ENROLMENT, told_of(one, self.key(one).public), about) for one, about in parties.items()]
        people = [
            NewLeaf(Kind.ENROLMENT, let_in(one), f"{one.identity.organisation}/{one.identity.name}")
            for one in (AN, BINH, OWN)
        ]
        async with engine.begin() as connection:
            await append(connection, leaves + people)

    def windows(self, operator: str, since: datetime, until: datetime) -> list[tuple[datetime, int]]:
        """What an operator reports of a time: its windows, and the blocked answers of each."""
        life, found = self.lives[operator], list[tuple[datetime, int]]()
        while since < until:
            day = (since - FIRST.start) // DAY
            if _window(since) not in life.off(day):
                found.append((since, life.blocked(day)))
            since += WINDOW
        return found

    async def report(
        self, engine: AsyncEngine, operator: str, told: Iterable[tuple[datetime, int]], received: datetime
    ) -> None:
        """A node hands in reports."""
        key, chain = self.key(f"{operator}/node/edge-1"), self.chains.setdefault(operator, [0, b""])
        claims = []
        for start, blocked in told:
            chain[0] += 1
            data = report_pb2.Report(
                organisation=operator, node="edge-1", sequence=chain[0], window_start=int(start.timestamp()),
                upstream_failures=blocked,
            ).SerializeToString()  # fmt: skip
            digest = hashlib.sha256(data).digest()
            link = Link(b"e" * 16, b"", chain[0], digest, chain[1], False, start, int(WINDOW.total_seconds()))
            chain[1] = digest
            own = data, key.sign(REPORT, data), key.public.key_id
            serial = 2 + (start - FIRST.start) // DAY
            claims.append(Claim(link, "", serial, start - 2 * HOUR, 10_000, True, blocked, True, *own))
        await Groups(Reports(engine), lambda: received).add(Call(operator, "edge-1", claims))

    async def _observe(self, engine: AsyncEngine, operator: str, life: Life, day: int) -> None:
        leaves, rows = list[NewLeaf](), list[dict[str, Any]]()
        for number in range(LINES):
            line = Line(number)
            session = hashlib.sha256(f"{operator} {day} {number}".encode()).digest()[:16]
            own = {"type": "assignment", "assignment": session.hex(), "operator": operator, "probe": f"so/p{number}"}
            told = canonical.encode(own | {"questions": OLD + YOUNG + CONTROLS})
            leaves.append(NewLeaf(Kind.ASSIGNMENT, told, f"assignment/{session.hex()}"))
            for place in range(OLD + YOUNG + CONTROLS):
                row = self._row(operator, life, day, line, place, session)
                leaves.append(NewLeaf(Kind.OBSERVATION, row.pop("content"), f"{operator}/edge-1"))
                rows.append({**row, "leaf": len(leaves) - 1})
        async with engine.begin() as connection:
            first = await append(connection, leaves)
            for row in rows:
                row["log_index"] = first + row.pop("leaf")
            await connection.execute(insert(observations), rows)

    def _row(self, operator: str, life: Life, day: int, line: Line, place: int, session: bytes) -> dict[str, Any]:
        asked = line.asks(day) + timedelta(seconds=place)
        arm, qname, added = "listed", f"old{place}.example", FIRST.start - 30 * DAY
        if place >= OLD + YOUNG:
            arm, qname = "control", f"shop{place}.example"
        elif place >= OLD:
            qname, added = f"young{day}-{place}.example", FIRST.after(day).start - HOUR
        answered = arm == "control" or life.answered(day, line, place, asked - added)
        result, shape = ("not_blocked", "answer") if answered else ("blocked", "nxdomain")
        if _window(asked) in life.off(day):
            result, shape = "inconclusive", "timeout"
        data = probes.Observation(
            assignment_id=session,
            index=place,
            asked_at_us=int(asked.timestamp() * 1_000_000),
            resolver=probes.Exchange(query=qname.encode(), response=shape.encode(), tries=1),
        ).SerializeToString()
        key = self.key(f"so/probe/p{line.number}")
        signature = key.sign(OBSERVATION, data)
        return {
            "operator_id": operator, "assignment_id": session, "question": place,
            "digest": hashlib.sha256(data).digest(), "asked_at": asked, "received_at": asked + MINUTE,
            "probe_organisation": "so", "probe": f"p{line.number}", "vantage_point": f"line-{line.number}",
            "access_network": line.network, "custodian": line.custodian, "node": "edge-1", "endpoint": "192.0.2.53",
            "qname": qname, "qtype": 1, "arm": arm, "category": 3, "order_reference": "OR-1",
            "added_serial": (1 if place < OLD else 2 + day) if arm == "listed" else 0,
            "added_at": added if arm == "listed" else None, "result": result, "shape": shape, "reference_alive": True,
            "observation": data, "signature": signature, "key_id": key.public.key_id,
            "content": signed(data, signature, key.public.key_id),
        }  # fmt: skip
