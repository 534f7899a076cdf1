"""Edges that follow by deltas: from a repository on disk, over real TLS, to records in force."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from blocklist_sync.artifact import delta, manifest, records
from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.records import Encoder, Release
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.edge.agent import Agent
from blocklist_sync.edge.delta import Fallback
from blocklist_sync.edge.settings import ClientCertificate
from lachan.tls import TlsFiles
from tests.support.blocklist import KEY, MANDATE
from tests.support.list_authority import ListAuthority, Server
from tests.support.origin import Relay, origin
from tests.support.papers import Papers

NAMES = [f"n{number}.example" for number in range(400)]
BUDGET_BYTES = 12_000


@pytest.fixture
def authority(tmp_path: Path) -> ListAuthority:
    authority = ListAuthority(tmp_path / "authority")
    authority.publish(*NAMES)
    return authority


@pytest.fixture
def server(authority: ListAuthority) -> Iterator[Server]:
    with authority.serve() as server:
        yield server


def held(agent: Agent) -> bytes:
    activation = agent.current()
    assert activation is not None
    return activation.snapshot.with_name("records.bin").read_bytes()


def took(server: Server, part: str) -> int:
    return sum(part in path for path in server.requests)


async def test_edges_follow_by_deltas_however_far_behind(
    authority: ListAuthority, server: Server, tmp_path: Path
) -> None:
    agents = [Agent(authority.settings(server), tmp_path / f"edge-{number}") for number in range(3)]
    for number, agent in enumerate(agents):
        assert await agent.check() is not None
        authority.publish(*NAMES[number + 1 :], "new.example")
    server.requests.clear()
    for behind, agent in enumerate(reversed(agents), 1):
        assert await agent.check() is not None
        assert held(agent) == authority.records.read_bytes()
        assert agent.deltas.applied == 1
        assert took(server, ".delta") == behind * (behind + 1) // 2
    assert took(server, "records.bin") == 0
    # The policy bundle that is in force is the one that is signed.
    assert took(server, "policy.json") == 0


async def test_whatever_is_wrong_with_a_delta_costs_the_records(
    authority: ListAuthority, server: Server, tmp_path: Path
) -> None:
    agent = Agent(authority.settings(server), tmp_path / "edge")
    await agent.check()
    folder = authority.repository / "targets" / "list"

    async def falls_back(reason: Fallback, serial: int) -> None:
        server.requests.clear()
        activation = await agent.check()
        assert activation is not None
        assert activation.serial == serial
        assert held(agent) == authority.records.read_bytes()
        assert agent.deltas.fallbacks == {**counted, reason: counted[reason] + 1}
        assert took(server, "records.bin") == 1
        counted[reason] += 1

    counted = dict(agent.deltas.fallbacks)
    authority.publish(*NAMES[1:])
    [step] = folder.glob("*.delta")
    step.write_bytes(bytes(len(step.read_bytes())))
    await falls_back(Fallback.TAMPERED, 2)

    authority.publish(*NAMES[2:])
    for path in folder.glob("*.delta"):
        path.unlink()
    await falls_back(Fallback.MISSING, 3)

    activation = agent.current()
    assert activation is not None
    activation.snapshot.with_name("records.bin").write_bytes(b"damaged")
    authority.publish(*NAMES[3:])
    await falls_back(Fallback.NOTHING_HELD, 4)

    # Everything changed at once: no step leads there.
    authority.publish(*(f"m{number}.example" for number in range(400)))
    await falls_back(Fallback.BEYOND_MANIFEST, 5)
    authority.publish(*(f"m{number}.example" for number in range(401)))
    await agent.check()
    assert held(agent) == authority.records.read_bytes()
    assert agent.deltas.applied == 1
    assert sum(agent.refused.values()) == sum(agent.failed.values()) == 0


@dataclass(frozen=True)
class Wire:
    """Bytes of one round in both directions, of a handshake, and of the delta among them."""

    all: int
    handshake: int
    delta: int


def handshake(relay: Relay, own: TlsFiles) -> int:
    """What a connection costs on which nothing is asked."""
    before = relay.settled()
    context = ssl.create_default_context(cafile=own.ca)
    context.load_cert_chain(own.certificate, own.key)
    with (
        socket.create_connection(("127.0.0.1", relay.port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost"),
    ):
        pass
    return relay.settled() - before


async def measured(folder: Path, before: list[str], after: list[str]) -> Wire:
    """Publishes two lists one after the other, and has an edge that holds the first take the second."""
    authority = ListAuthority(folder / "authority")
    authority.publish(*before)
    papers = Papers(folder / "papers")
    own = papers.of("lachan://isp-a/node/n1")
    certificate = ClientCertificate(certificate=own.certificate, key=own.key)
    with origin(authority.repository, papers) as port, contextlib.closing(Relay(port)) as relay:
        url = f"https://localhost:{relay.port}"
        agent = Agent(authority.settings(None, repository=url, ca=own.ca, tls=certificate), folder / "edge")
        assert await agent.check() is not None
        authority.publish(*after)
        start, connections = relay.settled(), relay.connections
        assert await agent.check() is not None
        assert agent.deltas.applied == 1
        assert held(agent) == authority.records.read_bytes()
        everything = relay.settled() - start
        assert relay.connections == connections + 1
        [step] = (authority.repository / "targets" / "list").glob("*.delta")
        return Wire(everything, handshake(relay, own), step.stat().st_size)


def million(first: int) -> Release:
    encoder = Encoder(KEY)
    kind = encoder.kind(Scope.SUBTREE, False, Category.GAMBLING, MANDATE)
    for at in range(first, first + 1_000_000, 10_000):
        encoder.add_lines(b"".join([b"n%d.example\t0\n" % number for number in range(at, at + 10_000)]), [kind])
    return records.parse(encoder.release(1 + first))


async def test_a_hundred_names_changed_in_a_million_stay_within_twelve_kilobytes(tmp_path: Path) -> None:
    """Over the wire goes a short list, and so early a manifest of one step; what a long one has more is added."""
    wire = await measured(tmp_path, NAMES, [*NAMES[100:], *(f"m{number}.example" for number in range(100))])
    step = len(delta.encode(million(0), million(100)))
    rows = manifest.MAX_BYTES - len(manifest.Manifest(1).extended(2, b"x").encode())
    everything = wire.all - wire.delta + step + rows
    assert step < 3_000
    assert everything < BUDGET_BYTES, wire
