"""Edges that follow by deltas: from a repository on disk, over real TLS, to records in force."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from blocklist_sync.artifact import delta, records
from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.records import Encoder, Release
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.edge.agent import Agent
from blocklist_sync.edge.delta import Fallback
from tests.support.blocklist import KEY, MANDATE
from tests.support.list_authority import ListAuthority, Server
from tests.support.wire import measured

NAMES = [f"n{number}.example" for number in range(400)]
BUDGET_BYTES = 12_000
RECORDS_BUDGET_BYTES = 16_000_000


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


def million(first: int) -> Release:
    encoder = Encoder(KEY)
    kind = encoder.kind(Scope.SUBTREE, False, Category.GAMBLING, MANDATE)
    for at in range(first, first + 1_000_000, 10_000):
        encoder.add_lines(b"".join([b"n%d.example\t0\n" % number for number in range(at, at + 10_000)]), [kind])
    return records.parse(encoder.release(1 + first))


async def test_a_hundred_names_changed_in_a_million_stay_within_twelve_kilobytes(tmp_path: Path) -> None:
    """Over the wire goes a short list; a million names make another delta, whose bytes take the place of its own."""
    wire = await measured(tmp_path, NAMES, [*NAMES[100:], *(f"m{number}.example" for number in range(100))])
    before, after = million(0), million(100)
    assert max(len(before.data), len(after.data)) <= RECORDS_BUDGET_BYTES
    step = len(delta.encode(before, after))
    assert step < 3_000
    assert wire.all - wire.delta + step < BUDGET_BYTES, wire
