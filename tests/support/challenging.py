"""Operators with nodes that count, probes that ask, and the service between them; hours and days pass at a word."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.challenges.challenge import hour_of
from compliance_api.domain.drawing.sampling import ListedName, Release
from compliance_api.domain.law.law import LawBook
from compliance_api.domain.observations.shapes import DEFAULT
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
from compliance_api.domain.reports.chain import Relation
from compliance_api.metrics import Metrics
from compliance_api.nonces.answer import Zone
from compliance_api.nonces.server import Desk, NonceServer, Pace, write
from compliance_api.nonces.settings import NonceSettings
from compliance_api.rpc.challenge import ChallengeService
from compliance_api.rpc.probe import ProbeService
from compliance_api.rpc.report import ReportService
from compliance_api.storage.challenges.challenges import Challenges
from compliance_api.storage.challenges.outcomes import Outcomes
from compliance_api.storage.judging.laws import Laws
from compliance_api.storage.migrate import migrate
from compliance_api.storage.probing.assignments import Assignments, Releases
from compliance_api.storage.probing.linechecks import StoredLineChecks
from compliance_api.storage.probing.observations import Observations
from compliance_api.storage.probing.paths import Paths
from compliance_api.storage.probing.seeds import Seeds
from compliance_api.storage.reports.reports import Reports
from compliance_api.usecases.challenges.challenge import Challenger
from compliance_api.usecases.challenges.outcome import Summary
from compliance_api.usecases.probing.assignment import Assigner
from compliance_api.usecases.probing.extras import Extras, NonceZone
from compliance_api.usecases.probing.linecheck import LineChecks
from compliance_api.usecases.probing.observe import Limits, Observe
from compliance_api.usecases.probing.paths import PathFinder
from compliance_api.usecases.probing.plan import Plan
from compliance_api.usecases.probing.sample import NameSource
from compliance_api.usecases.probing.stamp import Stamper
from compliance_api.usecases.reports.grouping import Groups
from compliance_api.usecases.reports.ingest import Ingest
from compliance_api.usecases.reports.room import Capacity, Room
from lachan import channel, message, postgres, tls
from lachan.compliance.v1 import probe_service_pb2 as probes
from lachan.compliance.v1 import report_pb2, report_service_pb2
from lachan.compliance.v1.challenge_service_pb2_grpc import add_ChallengeServiceServicer_to_server
from lachan.compliance.v1.probe_service_pb2_grpc import ProbeServiceStub, add_ProbeServiceServicer_to_server
from lachan.compliance.v1.report_service_pb2_grpc import ReportServiceStub, add_ReportServiceServicer_to_server
from lachan.line import Line
from lachan.signing import OBSERVATION, SigningKey
from lachan.spool import Spool
from lachan.tls import Role
from resolver import whoami
from resolver._hot.tally import TALLY_LAYOUT
from resolver.authority import OpeningSettings, UplinkSettings
from resolver.challenged import Challenged
from resolver.counters import WindowCounts
from resolver.opener import NOTE, Opener, Told
from resolver.openings import HOUR, Openings
from resolver.report import ClockState, ListState, Reporter
from tests.support.authority import Papers
from tests.support.blocklist import entry
from tests.support.cases import TEXT
from tests.support.claims import enrol
from tests.support.engine import Rig, policy, rig

NAME = Label("x", "x")
NAMES = [f"bad{number}.example" for number in range(60)]
PROBES = ("p1", "p2", "p3")
ZONE = "n.authority.test"
OWN_NAME = "dns.{}.test"
# The challenged hour; what is asked is asked within it, whatever the real clock says.
HOUR_AT = hour_of(datetime.now(UTC)) - timedelta(hours=48)
LAW: dict[str, Any] = {
    "id": "x",
    "effective_from": datetime(2020, 1, 1, tzinfo=UTC),
    "authority": TEXT,
    "default_citation": TEXT,
    # Every hour of every large node, thirty rules each.
    "challenges": {"pairs_a_day": 10_000, "pairs_an_hour": 30},
    "burden": {"slope": {"pairs": 25}},
    # What is tested here are counters alone.
    "report": {"tolerated_missing": 1.0},
    "counters": {"mismatched_windows": 1},
}

Lie = Callable[[dict[int, int]], dict[int, int]]


def honest(counts: dict[int, int]) -> dict[int, int]:
    return counts


def scaled(counts: dict[int, int]) -> dict[int, int]:
    return {rule: 3 * count for rule, count in counts.items()}


def invented(counts: dict[int, int]) -> dict[int, int]:
    rng = random.Random(5)
    return {rule: 20 + rng.randrange(4) for rule in counts}


class Clock:
    """The time that service and nodes share."""

    def __init__(self) -> None:
        self.now = HOUR_AT + timedelta(minutes=10)

    def __call__(self) -> datetime:
        return self.now


class Hits:
    """What an engine counted, whichever real hour that was in, as a tally file tells it."""

    def __init__(self, made: Rig, lie: Lie) -> None:
        self._made = made
        self._lie = lie

    def fold(self, hour: int) -> dict[int, int]:
        if hour != int(HOUR_AT.timestamp()):
            # Nobody asked in another hour.
            return {}
        words = memoryview(self._made.tally).cast("Q")
        counts: dict[int, int] = {}
        for half in range(TALLY_LAYOUT["halves"]):
            begin = half * TALLY_LAYOUT["half_words"] + TALLY_LAYOUT["header"]
            for at in range(begin, (half + 1) * TALLY_LAYOUT["half_words"], 2):
                if words[at + 1]:
                    counts[words[at]] = counts.get(words[at], 0) + words[at + 1]
        words.release()
        return self._lie(counts)


class Challengeable(Protocol):
    """A node with what its operator keeps of it."""

    operator: str
    key: SigningKey
    spool: Spool
    forwards: bool
    """Whether it asks others itself for what it does not know."""

    def answer(self, query: bytes) -> bytes:
        """As a client is answered; it may take its time."""

    def reports(self, hour: datetime) -> list[report_pb2.SignedReport]:
        """What it tells by the time of its first report of the next hour, that one with the hour's commitment."""

    def opener(self) -> Opener:
        """What opens its counts."""


class Edge:
    """A node: a real engine, and what stands behind it."""

    forwards = False

    def __init__(self, folder: Path, operator: str, key: SigningKey, lie: Lie) -> None:
        folder.mkdir()
        self.operator = operator
        self.key = key
        self.rig = rig(policy(*(entry(name) for name in NAMES)))
        snapshot = self.rig.rules.snapshot
        assert snapshot is not None
        self.rules = [snapshot.fingerprint(name) for name in NAMES]
        hits: Any = Hits(self.rig, lie)
        self.openings = Openings(folder / "openings", hits, 0, lambda: self.rules)
        self.spool = Spool(folder / "spool")
        self.told = Told(folder / "openings" / NOTE)

    def answer(self, query: bytes) -> bytes:
        """As a client is answered; who it is, it says in Python."""
        asked = message.parse(query).question
        assert asked is not None
        if ".whoami." in asked.qname:
            zone = asked.qname.partition(".")[2]
            said = whoami.answer(query, zone, f"{self.operator}/edge-1", self.key, HOUR_AT.timestamp() + 900)
            assert said is not None
            return said
        found = self.rig.ask(query)
        if found is not None:
            return found
        # What the list does not name, an upstream would have known.
        return message.encode(replace(message.parse(query), is_response=True, rcode=message.NXDOMAIN, edns=None))

    def report(self, hour: datetime = HOUR_AT) -> report_pb2.SignedReport:
        """The report on the window after an hour, with the hour's commitment."""
        start = int(hour.timestamp()) + HOUR
        reporter = Reporter(self.spool, self.key, self.operator, "edge-1")
        item = reporter.write(
            WindowCounts(start, 300, {}, {}, {}, 0, 0),
            bytes(16),
            ListState(1, bytes(32), start - 90_000, start),
            ClockState(True, 1, 0),
            start + 301,
            enforcing=True,
            commitment=self.openings.root_before(start),
        )
        return report_pb2.SignedReport.FromString(item.payload)

    def reports(self, hour: datetime) -> list[report_pb2.SignedReport]:
        return [self.report(hour)]

    def opener(self) -> Opener:
        return Opener(self.openings, self.told, self.key, self.operator, "edge-1", OpeningSettings(clients=20_000))


class Lists:
    """The list authority, as far as a sample goes."""

    async def releases(self, limit: int) -> list[Release]:
        del limit
        return [Release(1, bytes(32), HOUR_AT - timedelta(days=9), len(NAMES), False)]

    async def names(
        self, count: int, seed: bytes, added_after: int, *, controls_only: bool = False
    ) -> tuple[int, list[ListedName]]:
        del seed
        snapshot = policy(*(entry(name) for name in NAMES)).snapshot
        assert snapshot is not None
        found = [
            ListedName(name, 4, "OR-1", 1, HOUR_AT - timedelta(days=9), snapshot.fingerprint(name)) for name in NAMES
        ]
        return 1, found[: count if not (added_after or controls_only) else 0]


@dataclass
class Scene:
    """Everybody, and the service between them."""

    clock: Clock
    engine: AsyncEngine
    registry: Registry
    laws: LawBook
    papers: Papers
    edges: dict[str, Edge]
    """Those of ours."""
    nodes: dict[str, Challengeable]
    """All of them."""
    keys: dict[str, SigningKey]
    names: NameSource
    challenger: Challenger
    summary: Summary
    assigner: Assigner
    paths: PathFinder
    port: int
    nonces: NonceServer
    nonce_port: int
    desk: Desk

    def channel(self, organisation: str, role: Role, name: str) -> Any:
        return channel.connect(f"127.0.0.1:{self.port}", tls.load(self.papers.issue(organisation, role, name)))


def everybody(nodes: Mapping[str, Challengeable], keys: dict[str, SigningKey], **changes: Any) -> Registry:
    watchers = tuple(Probe(name, keys[name].public.raw, name, name, "so", Line.CONSUMER) for name in PROBES)
    operators = tuple(
        Organisation(
            operator,
            OrganisationKind.OPERATOR,
            NAME,
            frozenset({"hcm"}),
            (
                Node(
                    "edge-1",
                    node.key.public.raw,
                    (Endpoint("127.0.0.1", 53, Transport.UDP),),
                    frozenset({"hcm"}),
                    **{
                        "clients": 20_000,
                        "egress": ("127.0.0.0/24",),
                        "own_name": OWN_NAME.format(operator),
                        **changes,
                    },
                ),
            ),
        )
        for operator, node in nodes.items()
    )
    authority = Organisation("so", OrganisationKind.AUTHORITY, NAME, frozenset({"hcm"}), probes=watchers)
    return Registry((Jurisdiction("hcm", NAME),), (authority, *operators))


@contextlib.asynccontextmanager
async def scene(
    databases: postgres.Server,
    folder: Path,
    lies: dict[str, Lie],
    others: Mapping[str, Challengeable] | None = None,
    lists: Any = None,
    **changes: Any,
) -> AsyncIterator[Scene]:
    """Operators with a node each that lies as told, and others with a node of their own.

    Args:
        databases: Where the service's is made.
        folder: For everything.
        lies: By operator, what an edge of ours makes of its counts.
        others: By operator, any other node.
        lists: Who tells of names in force; None for one that has `NAMES`.
        changes: Of every node in the registry.
    """
    clock = Clock()
    engine = postgres.engine(databases.database(folder.name[:40]), 10, "test")
    await migrate(engine)
    laws = LawBook.model_validate({"laws": [LAW]})
    await Laws(engine).learn(laws, HOUR_AT - timedelta(days=9))
    papers = Papers(folder)
    keys = {name: SigningKey.generate() for name in PROBES}
    edges = {name: Edge(folder / name, name, SigningKey.generate(), lie) for name, lie in lies.items()}
    nodes: dict[str, Challengeable] = {**edges, **(others or {})}
    registry = everybody(nodes, keys, **changes)
    (folder / "nonce.key").write_text("5a" * 32)
    settings = NonceSettings(
        zone=ZONE, key=folder / "nonce.key", listen="127.0.0.1:0", nameserver=f"ns.{ZONE}", address="192.0.2.9"
    )
    entropy = random.Random(7).randbytes
    names = NameSource(lists or Lists(), Releases(engine), entropy, size=100, refresh=300, maximum_age=3600)
    challenger = Challenger(registry, laws, Challenges(engine), Seeds(engine, entropy), names, entropy)
    live: Any = Live(engine)
    extras = Extras(registry, live, NonceZone(ZONE, settings.secret()), entropy)
    plan = Plan(
        interval=3600,
        listed=6,
        spread=60,
        expires=3600,
        reference=Endpoint("127.0.0.1", 53, Transport.UDP),
        second_reference=Endpoint("127.0.0.2", 53, Transport.UDP),
        qtypes=(1,),
        controls=("control.example",),
        neighbours=(),
    )
    assigner = Assigner(registry, laws, Assignments(engine), names, Seeds(engine, entropy), plan, entropy, extras)
    reports = Reports(engine)
    await enrol(engine, [(name, "edge-1") for name in nodes], clock())
    key = SigningKey.generate()
    stamper = Stamper(key, clock, entropy)
    observe = Observe(registry, DEFAULT, Observations(engine), stamper, Limits(5.0, 7 * 86400.0), clock)
    metrics = Metrics()
    grpc = channel.server()
    add_ReportServiceServicer_to_server(
        ReportService(Ingest(registry, Groups(reports, clock), key, Room(Capacity())), metrics), grpc
    )
    add_ProbeServiceServicer_to_server(
        ProbeService(
            assigner, observe, stamper, metrics, clock, LineChecks(registry, StoredLineChecks(engine), stamper, clock)
        ),
        grpc,
    )
    add_ChallengeServiceServicer_to_server(ChallengeService(challenger, clock), grpc)
    port = channel.bind(grpc, "127.0.0.1:0", tls.load(papers.issue("so", Role.SERVICE, "compliance")))
    await grpc.start()
    desk = Desk(Zone(ZONE, settings.secret(), settings.nameserver, settings.address), Pace(10_000))
    nonces = NonceServer(settings, desk)
    try:
        yield Scene(
            clock,
            engine,
            registry,
            laws,
            papers,
            edges,
            nodes,
            keys,
            names,
            challenger,
            Summary(registry, Laws(engine), Challenges(engine), Outcomes(engine)),
            assigner,
            PathFinder(registry, Paths(engine), 0.0),
            port,
            nonces,
            await nonces.start(),
            desk,
        )
    finally:
        await nonces.stop()
        await grpc.stop(None)
        for node in nodes.values():
            node.spool.close()
        await engine.dispose()


class Live:
    """Of two stores, what extras ask for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.challenged = Challenges(engine).challenged
        self.given = Assignments(engine).given


async def over_udp(port: int, query: bytes, source: str = "127.0.0.1") -> bytes:
    """As a resolver asks the authority's name server, from an address of its own."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()

    class Once(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            del addr
            if not answer.done():
                answer.set_result(data)

    transport, _ = await loop.create_datagram_endpoint(Once, local_addr=(source, 0), remote_addr=("127.0.0.1", port))
    try:
        transport.sendto(query)
        return await asyncio.wait_for(answer, 20)
    finally:
        transport.close()


async def probe(made: Scene, name: str, *, elsewhere: bool = False, spoilt: bool = False) -> list[probes.Assignment]:
    """A probe takes every assignment there is, asks, and hands in what it saw."""
    taken = []
    async with made.channel("so", Role.PROBE, name) as connection:
        stub = ProbeServiceStub(connection)
        while True:
            given = await stub.TakeAssignment(probes.TakeAssignmentRequest(), timeout=20)
            if not given.HasField("assignment"):
                return taken
            taken.append(given.assignment)
            seen = [
                await ask(made, name, given.assignment, question, elsewhere=elsewhere, spoilt=spoilt)
                for question in given.assignment.questions
            ]
            for at in range(0, len(seen), 256):
                request = probes.SubmitObservationsRequest(observations=seen[at : at + 256])
                await stub.SubmitObservations(request, timeout=60)


async def ask(
    made: Scene,
    name: str,
    assignment: probes.Assignment,
    question: probes.Question,
    *,
    elsewhere: bool = False,
    spoilt: bool = False,
) -> probes.SignedObservation:
    """One question, asked where?

    Args:
        made: The scene.
        name: The probe.
        assignment: What the question is of.
        question: What is asked.
        elsewhere: Somebody on the way answers.
        spoilt: The node answers, and makes it look as if somebody else did.
    """
    node = made.nodes[assignment.organisation]
    query = message.query(question.qname, question.qtype, id=question.index)
    if question.arm == probes.ARM_EGRESS and not node.forwards:
        # Whoever answers in between asks from an address of its own.
        response = await over_udp(made.nonce_port, query, "127.0.9.9" if elsewhere or spoilt else "127.0.0.1")
        assert message.parse(response).rcode == message.NOERROR
    elif elsewhere or (spoilt and question.arm == probes.ARM_WHOAMI):
        # Somebody on the way answers, and the node never hears of it.
        response = message.encode(replace(message.parse(query), is_response=True, rcode=message.NXDOMAIN, edns=None))
    else:
        # In a thread: whom it asks meanwhile runs in this loop.
        response = await asyncio.to_thread(node.answer, query)
    seen = probes.Exchange(outcome=probes.OUTCOME_ANSWERED, query=query, response=response, tries=1)
    observation = probes.Observation(
        assignment_id=assignment.assignment_id,
        index=question.index,
        asked_at_us=int(made.clock.now.timestamp() * 1_000_000),
        resolver=seen,
        reference=seen,
    ).SerializeToString()
    key = made.keys[name]
    return probes.SignedObservation(
        observation=observation, signature=key.sign(OBSERVATION, observation), key_id=key.public.key_id
    )


async def opened(made: Scene) -> dict[str, int]:
    """A day later every node asks what it is to open, and answers; how many hours each."""
    made.clock.now = HOUR_AT + timedelta(hours=25, minutes=1)
    done = {}
    for operator, node in made.nodes.items():
        uplink = UplinkSettings(
            target=f"127.0.0.1:{made.port}",
            tls=made.papers.issue(operator, Role.NODE, "edge-1"),
            authority_key=made.papers.folder / "none.pem",
        )
        done[operator] = await Challenged(uplink, node.opener(), 300, made.clock.now.timestamp).turn()
    return done


async def handed_in(made: Scene, operator: str, told: Sequence[report_pb2.SignedReport]) -> None:
    """A node's reports come to the service."""
    async with made.channel(operator, Role.NODE, "edge-1") as connection:
        request = report_service_pb2.SubmitReportsRequest(reports=told)
        await ReportServiceStub(connection).SubmitReports(request, timeout=20)


async def reported(made: Scene, hour: datetime = HOUR_AT) -> None:
    """Every node commits to an hour, right after it."""
    made.clock.now = hour + timedelta(hours=1, minutes=6)
    for operator, node in made.nodes.items():
        await handed_in(made, operator, node.reports(hour))


async def challenged(made: Scene, watchers: Sequence[str] = PROBES) -> None:
    """The hour: drawn, handed out, asked by probes and by others."""
    await made.assigner.draw_rounds(made.clock())
    assert await made.challenger.draw(made.clock()) == len(made.nodes)
    assert await made.challenger.draw(made.clock()) == 0
    for name in watchers:
        await probe(made, name)
    await write(made.desk, Paths(made.engine))
    for node in made.nodes.values():
        for number, name in enumerate(NAMES):
            for _ in range(number % 4):
                node.answer(message.query(name, 1, id=number))


def stored(operator: str, node: str, start: datetime, sequence: int, queries: int, blocked: int = 0) -> dict[str, Any]:
    """A report as a row, without a leaf or bytes of its own."""
    return {
        "operator_id": operator,
        "node": node,
        "boot_epoch": b"s" * 16,
        "sequence": sequence,
        "digest": f"{operator}/{node}/{sequence}".encode().ljust(32, b"d"),
        "log_index": sequence,
        "accepted_at": start,
        "relation": Relation.EXTENDS,
        "window_start": start,
        "window_seconds": 300,
        "list_serial": 1,
        "list_activated_at": start,
        "queries": queries,
        "queries_measured": True,
        "blocked": blocked,
        "enforcing": True,
        "report": b"",
        "signature": b"",
        "key_id": b"",
    }
