"""A node that reports for a resolver which is not ours: real BIND, its log, the hit log agent; its hour is another one.

Nothing of the log is changed but its times, which are moved to the hour that is challenged.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.message
import dns.query

from blocklist_sync.central.release.candidate import ReleaseFolder
from blocklist_sync.central.serving.service import SampleService
from compliance_api.domain.drawing.sampling import ListedName, Release
from compliance_api.rpc.list_authority import SampleClient
from lachan import channel, config, tls
from lachan.blocklist.v1.sample_service_pb2_grpc import add_SampleServiceServicer_to_server
from lachan.compliance.v1 import report_pb2
from lachan.spool import Spool
from lachan.tls import Identity, Role
from resolver.enrolment import signing_key
from resolver.opener import NOTE, Opener, Told
from resolver.openings import HOUR
from resolver.rpzlog import asking
from resolver.rpzlog.agent import HitLogAgent
from resolver.rpzlog.settings import HitsFile
from tests.support.authority import Papers
from tests.support.list_authority import Server
from tests.support.rpz_desk import Desk
from tests.support.rpz_network import ADDRESS, ORIGIN, Daemon

BEFORE = timedelta(minutes=20)
MINUTES = 10
"""Into the hour, when the first line of the log was written."""


class RpzNode:
    """BIND at an operator, and the agent beside it."""

    forwards = True

    def __init__(
        self, folder: Path, operator: str, resolver: Daemon, desk: Desk, server: Server, hour: datetime
    ) -> None:
        """Makes the agent; the resolver is started by somebody else."""
        self.operator = operator
        self.resolver = resolver
        self._hour = hour
        self._moved = folder / "rpz.log"
        state = folder / "state"
        state.mkdir(parents=True, mode=0o700)
        sync = desk.lists.settings(server)
        text = {
            "organisation": operator,
            "node": "edge-1",
            "state_dir": str(state),
            "log": {"path": str(self._moved), "form": "bind"},
            "zone": {"origin": ORIGIN, "resolver": f"{ADDRESS}:{resolver.port}"},
            "sync": {"repository": sync.repository, "root": str(sync.root), "ca": str(sync.ca)},
            "report": {"openings": {"clients": 20_000}},
        }
        self._file = config.parse(json.dumps(text), HitsFile, base=folder)
        self.spool = Spool(state / "reports.spool")
        self.key = signing_key(state)
        self.agent = HitLogAgent(self._file, self.spool, int((hour - BEFORE).timestamp()))

    async def begin(self) -> None:
        """Takes the list, hears by which release the resolver answers, and looks at the log, which is not there yet."""
        now = int((self._hour - BEFORE).timestamp())
        release = await self.agent.sync.check()
        assert release is not None
        self.agent.take(release)
        zone = self._file.zone
        self.agent.heard(await asking.ask(zone.resolver, zone.status_name), now)
        assert self.agent.turn(now) == 0
        # It tells windows before anybody asks: that nothing but hits was measured is known from then on.
        assert self.agent.turn(int(self._hour.timestamp())) > 0

    def answer(self, query: bytes) -> bytes:
        """As a client is answered."""
        return dns.query.udp(dns.message.from_wire(query), ADDRESS, 20, self.resolver.port).to_wire()

    def move(self) -> int:
        """The resolver's log, as if it had been written in the hour; how many lines."""
        lines = (self.resolver.folder / "rpz.log").read_text().splitlines()
        times = [datetime.fromisoformat(line.partition(" ")[0]) for line in lines]
        by = self._hour + timedelta(minutes=MINUTES) - times[0]
        with self._moved.open("w") as file:
            for at, line in zip(times, lines, strict=True):
                moved = (at + by).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
                file.write(f"{moved} {line.partition(' ')[2]}\n")
        return len(lines)

    def reports(self, hour: datetime) -> list[report_pb2.SignedReport]:
        """Every window up to the first of the next hour, which commits to this one."""
        self.move()
        self.agent.turn(int(hour.timestamp()) + HOUR + 330)
        return self.told()

    def told(self) -> list[report_pb2.SignedReport]:
        """Everything so far."""
        return [report_pb2.SignedReport.FromString(item.payload) for item in self.spool.batch(1000, 1 << 22)]

    def opener(self) -> Opener:
        """What opens its counts, by the settings in its file."""
        told = Told(self._file.state_dir / "openings" / NOTE)
        return Opener(self.agent.openings, told, self.key, self.operator, "edge-1", self._file.report.openings)


class Dated:
    """A list authority's word, with everything published earlier than it was."""

    def __init__(self, client: SampleClient, at: datetime) -> None:
        self._client = client
        self._at = at

    async def releases(self, limit: int) -> list[Release]:
        return [replace(one, published_at=self._at) for one in await self._client.releases(limit)]

    async def names(
        self, count: int, seed: bytes, added_after: int, *, controls_only: bool = False
    ) -> tuple[int, list[ListedName]]:
        serial, found = await self._client.names(count, seed, added_after, controls_only=controls_only)
        return serial, [replace(one, added_at=self._at) for one in found]


@asynccontextmanager
async def samples(folder: Path, release: ReleaseFolder, at: datetime) -> AsyncIterator[Dated]:
    """What compliance is told of a published list, over mutual TLS."""
    papers = Papers(folder)
    server = channel.server()
    compliance = Identity("so", Role.SERVICE, "compliance")
    add_SampleServiceServicer_to_server(SampleService(release, compliance, origins=(ORIGIN,)), server)
    port = channel.bind(server, f"{ADDRESS}:0", tls.load(papers.issue("so", Role.SERVICE, "lists")))
    await server.start()
    try:
        own = tls.load(papers.issue("so", Role.SERVICE, "compliance"))
        async with channel.connect(f"{ADDRESS}:{port}", own) as connection:
            yield Dated(SampleClient(connection), at)
    finally:
        await server.stop(None)
