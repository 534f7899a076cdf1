"""An edge against a real HTTPS repository: what it takes over, what it refuses, and what it survives."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Targets

from blocklist_sync.artifact import snapshot
from blocklist_sync.artifact.categories import Category
from blocklist_sync.central.release.publish import Lifetimes
from blocklist_sync.central.release.repository import RECORDS_TARGET, Repository, describe
from blocklist_sync.edge.agent import Activation, Agent, Failure, Reason
from blocklist_sync.edge.errors import RoundError
from lachan.errors import LachanError
from tests.support import killed
from tests.support.list_authority import Handler, ListAuthority, Server, drip, silence

DAY = 86_400


@pytest.fixture
def authority(tmp_path: Path) -> ListAuthority:
    authority = ListAuthority(tmp_path / "authority")
    authority.publish("bad.example", "worse.example")
    return authority


@pytest.fixture
def server(authority: ListAuthority) -> Iterator[Server]:
    with authority.serve() as server:
        yield server


@pytest.fixture
def agent(authority: ListAuthority, server: Server, tmp_path: Path) -> Agent:
    return Agent(authority.settings(server), tmp_path / "edge")


def blocked(activation: Activation | None, name: str) -> bool:
    assert activation is not None
    return bool(snapshot.verify(activation.snapshot.read_bytes()).lookup(name))


async def refused(agent: Agent, reason: Reason, serial: int = 1) -> None:
    """One round must be refused for this reason, and leave the release of `serial` in force."""
    before = agent.refused[reason]
    assert await agent.check() is None
    assert agent.refused == dict.fromkeys(Reason, 0) | {reason: before + 1}, agent.failed
    held = agent.current()
    assert held is not None
    assert held.serial == serial
    assert blocked(held, "www.bad.example")


async def test_releases_are_taken_over_as_they_come(authority: ListAuthority, server: Server, agent: Agent) -> None:
    assert agent.current() is None
    first = await agent.check()
    assert first is not None
    assert (first.serial, first.policy) == (1, authority.release.policy())
    assert first.records_digest == authority.release.release().digest
    assert abs(first.published_at - time.time()) < 60
    assert abs(first.activated_at - time.time()) < 60
    assert agent.checked_at >= first.activated_at - 1
    assert agent.expires_at > time.time() + 29 * DAY
    assert blocked(first, "bad.example")

    server.requests.clear()
    assert await agent.check() is None
    # Nothing new costs the timestamp and the question for a newer root.
    assert server.requests == ["/metadata/2.root.json", "/metadata/timestamp.json"]

    authority.publish("new.example")
    second = await agent.check()
    assert second is not None
    assert second.serial == 2
    assert blocked(second, "new.example")
    assert not blocked(second, "bad.example")
    assert agent.current() == second == Agent.recover(agent._folder.parent)
    # The one before is kept, and no more than that.
    authority.publish("newer.example")
    await agent.check()
    assert sorted(path.name[:2] for path in (agent._folder / "releases").iterdir()) == ["2-", "3-"]
    assert sum(agent.refused.values()) == sum(agent.failed.values()) == 0


async def test_renewed_signatures_bring_nothing_new(authority: ListAuthority, agent: Agent) -> None:
    assert await agent.check() is not None
    assert not authority.publish(now=int(time.time()) + 20 * DAY).new
    assert await agent.check() is None
    assert sum(agent.refused.values()) == 0


async def test_a_tampered_release_is_refused(authority: ListAuthority, server: Server, agent: Agent) -> None:
    await agent.check()
    authority.publish("new.example")
    good = authority.records.read_bytes()
    authority.records.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    await refused(agent, Reason.TAMPERED)
    # Asked again and again, it is one release refused, whatever happens between.
    await agent.check()
    server.faults = {"timestamp": broken}
    await agent.check()
    server.faults = {}
    await agent.check()
    assert agent.failed[Failure.UNREACHABLE] == 1
    assert agent.refused[Reason.TAMPERED] == 1
    authority.records.write_bytes(good)
    activation = await agent.check()
    assert activation is not None
    assert activation.serial == 2


async def test_a_truncated_release_is_refused(authority: ListAuthority, agent: Agent) -> None:
    await agent.check()
    authority.publish("new.example")
    authority.records.write_bytes(authority.records.read_bytes()[:-5])
    await refused(agent, Reason.TRUNCATED)


async def test_an_expired_release_is_refused_and_the_old_list_stays(authority: ListAuthority, agent: Agent) -> None:
    await agent.check()
    authority.publish("new.example", now=int(time.time()) - 3 * DAY, lifetimes=Lifetimes(timestamp=DAY))
    await refused(agent, Reason.EXPIRED)


async def test_an_expired_list_role_is_refused(authority: ListAuthority, agent: Agent) -> None:
    await agent.check()
    authority.build("new.example")
    document = authority.release.document()
    document.signed.expires = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    tie(authority, authority.signed(document, "list"))
    await refused(agent, Reason.EXPIRED)


async def test_an_older_repository_is_refused(authority: ListAuthority, agent: Agent) -> None:
    shutil.copytree(authority.repository, authority.folder / "old")
    authority.publish("bad.example", "new.example")
    await agent.check()
    shutil.rmtree(authority.repository)
    (authority.folder / "old").rename(authority.repository)
    await refused(agent, Reason.OLDER, serial=2)
    # Even without TUF's memory the serial in force is known.
    shutil.rmtree(agent._folder / "tuf")
    assert await agent.check() is None
    assert agent.refused[Reason.OLDER] == 2


async def test_an_oversized_release_is_refused_before_a_byte_of_it(
    authority: ListAuthority, server: Server, agent: Agent, tmp_path: Path
) -> None:
    await agent.check()
    authority.publish(*(f"n{i}.example" for i in range(200)))
    server.requests.clear()
    small = Agent(authority.settings(server, max_records_bytes=2048), tmp_path / "edge")
    await refused(small, Reason.OVERSIZED)
    assert not any("records.bin" in path for path in server.requests)


async def test_a_file_longer_than_signed_is_refused(authority: ListAuthority, agent: Agent) -> None:
    await agent.check()
    authority.publish("new.example")
    with authority.records.open("ab") as file:
        file.write(bytes(1 << 20))
    await refused(agent, Reason.OVERSIZED)


def sign_anything(authority: ListAuthority, data: bytes, serial: int = 2) -> None:
    """Signs any bytes as the next release, as bribed approvers could, and publishes them."""
    repository = Repository(authority.repository)
    held = repository.opened()
    assert held is not None
    assert held.listed is not None
    document = copy.deepcopy(held.listed)
    document.signatures.clear()
    document.signed.version += 1
    target = document.signed.targets[RECORDS_TARGET]
    document.signed.targets[RECORDS_TARGET] = describe(RECORDS_TARGET, data, {**target.custom, "serial": serial})
    repository.target(RECORDS_TARGET, data, hashlib.sha256(data).hexdigest())
    tie(authority, authority.signed(document, "list"))


def tie(authority: ListAuthority, listed: Metadata[Targets]) -> None:
    """Writes a list's document and what leads to it, whatever `publish` would say of it."""
    repository = Repository(authority.repository)
    held = repository.opened()
    assert held is not None
    assert held.snapshot is not None
    assert held.timestamp is not None
    repository.write("list", listed)
    snapshot = Metadata(copy.deepcopy(held.snapshot.signed))
    snapshot.signed.version += 1
    snapshot.signed.meta["list.json"].version = listed.signed.version
    repository.write("snapshot", authority.signed(snapshot, "snapshot"))
    stamp = Metadata(copy.deepcopy(held.timestamp.signed))
    stamp.signed.version += 1
    stamp.signed.snapshot_meta.version = snapshot.signed.version
    repository.write("timestamp", authority.signed(stamp, "timestamp"))


async def test_a_release_of_a_foreign_category_is_refused(authority: ListAuthority, agent: Agent) -> None:
    await agent.check()
    data = bytearray(authority.release.release().data)
    data[-5] = 9
    data[16] = 2
    sign_anything(authority, bytes(data))
    await refused(agent, Reason.FOREIGN_CATEGORY)


async def test_a_malformed_release_is_refused(authority: ListAuthority, agent: Agent) -> None:
    await agent.check()
    sign_anything(authority, authority.release.release().data[:-1])
    await refused(agent, Reason.MALFORMED)
    # Signed under another serial than its own.
    sign_anything(authority, authority.release.release().data, serial=3)
    assert await agent.check() is None
    assert agent.refused[Reason.MALFORMED] == 2


async def test_other_records_under_the_serial_in_force_are_refused(authority: ListAuthority, agent: Agent) -> None:
    await agent.check()
    sign_anything(authority, authority.release.release().data + b"x", serial=1)
    await refused(agent, Reason.TAMPERED)


async def test_a_release_that_one_approver_signed_is_refused(authority: ListAuthority, agent: Agent) -> None:
    await agent.check()
    authority.build("new.example")
    tie(authority, authority.signed(authority.release.document(), by=authority.keys.of_role["list"][:1]))
    await refused(agent, Reason.TAMPERED)


async def test_a_repository_of_other_keys_is_refused(authority: ListAuthority, agent: Agent, tmp_path: Path) -> None:
    await agent.check()
    other = ListAuthority(tmp_path / "other", turn=1)
    other.publish("evil.example")
    shutil.rmtree(authority.repository / "metadata")
    shutil.copytree(other.repository, authority.repository, dirs_exist_ok=True)
    # The edge keeps the root it was enrolled with.
    agent._client._settings = agent._settings.model_copy(update={"root": tmp_path / "root.json"})
    shutil.copy(next((agent._folder / "tuf" / "root_history").iterdir()), tmp_path / "root.json")
    await refused(agent, Reason.TAMPERED)


async def failed(agent: Agent, failure: Failure) -> None:
    """One round must fail for this cause; nothing is refused, and what is in force stays."""
    before = agent.failed[failure]
    assert await agent.check() is None
    assert agent.failed[failure] == before + 1, agent.refused
    assert sum(agent.refused.values()) == 0
    assert blocked(agent.current(), "bad.example")


def cut(handler: Handler) -> bool:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"x" * 10)
    return True


def broken(handler: Handler) -> bool:
    handler.send_error(500)
    return True


def redirect(handler: Handler) -> bool:
    handler.send_response(302)
    handler.send_header("Location", "https://192.0.2.1/")
    handler.send_header("Content-Length", "0")
    handler.end_headers()
    return True


async def test_a_faulty_network_is_no_verdict_on_a_release(
    authority: ListAuthority, server: Server, agent: Agent, tmp_path: Path
) -> None:
    await agent.check()
    authority.publish("bad.example", "new.example")
    # The list role is cached after its first good download, so its own failure comes first.
    server.faults = {"list.json": cut}
    await failed(agent, Failure.UNREACHABLE)
    for fault in (cut, broken, redirect):
        for part in ("timestamp", "records.bin"):
            server.faults = {part: fault}
            await failed(agent, Failure.UNREACHABLE)
    quick = Agent(authority.settings(server, idle_timeout=0.3, round_timeout=1), tmp_path / "edge")
    for fault in (drip, silence):
        server.faults = {"records.bin": fault}
        started = time.monotonic()
        await failed(quick, Failure.SLOW)
        assert time.monotonic() - started < 20
    server.faults = {}
    activation = await agent.check()
    assert activation is not None
    assert activation.serial == 2


async def test_only_the_pinned_authority_vouches_for_the_server(
    authority: ListAuthority, server: Server, agent: Agent, tmp_path: Path
) -> None:
    await agent.check()
    other = ListAuthority(tmp_path / "other")
    wary = Agent(authority.settings(server, ca=other.ca_path), tmp_path / "edge")
    await failed(wary, Failure.UNREACHABLE)
    lost = Agent(authority.settings(server, ca=tmp_path / "none.pem"), tmp_path / "edge")
    await failed(lost, Failure.STORAGE)


@pytest.mark.forks
async def test_a_full_disk_changes_nothing(
    authority: ListAuthority, agent: Agent, server: Server, tmp_path: Path
) -> None:
    await agent.check()
    authority.publish("bad.example", *(f"n{i}.example" for i in range(5000)))
    state = tmp_path / "edge"
    settings = authority.settings(server)

    def round_fails() -> None:
        starved = Agent(settings, state)
        with pytest.raises(RoundError, match="storage"):
            starved._check()

    # Room for the metadata, for the records, for less than the snapshot.
    for room in (100, 1 << 14, 90_000):
        assert killed.with_full_disk(round_fails, room) == 0
        held = Agent.recover(state)
        assert held is not None
        assert held.serial == 1
    activation = await agent.check()
    assert activation is not None
    assert activation.serial == 2
    assert not list(state.rglob(".*.part"))


async def test_damaged_files_are_passed_over(authority: ListAuthority, agent: Agent, tmp_path: Path) -> None:
    await agent.check()
    authority.publish("bad.example", "new.example")
    second = await agent.check()
    assert second is not None
    state = tmp_path / "edge"

    # A damaged snapshot: whoever only reads falls back to the one before, the edge itself builds it anew.
    damaged = bytearray(second.snapshot.read_bytes())
    damaged[300] ^= 1
    second.snapshot.write_bytes(damaged)
    fallback = Agent.recover(state)
    assert fallback is not None
    assert fallback.serial == 1
    assert agent.current() == second == Agent.recover(state)

    # A damaged pointer: the folders say which serial is the highest.
    (state / "blocklist" / "current.json").write_bytes(b"[")
    assert Agent.recover(state) == second

    # Beyond repair: the one before is in force, and the next round brings the lost one back.
    (second.snapshot.parent / "records.bin").write_bytes(b"")
    second.snapshot.unlink()
    restarted = Agent(agent._settings, state)
    first = restarted.current()
    assert first is not None
    assert first.serial == 1
    again = await restarted.check()
    assert again is not None
    assert again.serial == 2
    assert blocked(again, "new.example")


async def test_the_loop_tells_until_it_is_heard(authority: ListAuthority, server: Server, tmp_path: Path) -> None:
    agent = Agent(authority.settings(server, poll_interval=0.2), tmp_path / "edge")
    told: list[int] = []
    heard = asyncio.Event()

    async def on_activated(activation: Activation) -> None:
        told.append(activation.serial)
        if len(told) == 1:
            raise LachanError("not now")
        heard.set()

    task = asyncio.create_task(agent.run(on_activated))
    await asyncio.wait_for(heard.wait(), 20)
    heard.clear()
    await asyncio.to_thread(authority.publish, "new.example")
    await asyncio.wait_for(heard.wait(), 20)
    assert told == [1, 1, 2]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_two_agents_never_share_a_folder(authority: ListAuthority, server: Server, tmp_path: Path) -> None:
    one = Agent(authority.settings(server), tmp_path / "edge")
    other = Agent(authority.settings(server), tmp_path / "edge")
    held_up: list[Activation | None] = []

    def meanwhile(_: Handler) -> bool:
        held_up.append(asyncio.run(other.check()))
        return False

    server.faults = {"timestamp": meanwhile}
    assert await one.check() is not None
    assert held_up == [None]
    assert other.failed[Failure.STORAGE] == 1


async def test_another_category_reaches_the_edge_as_it_was_listed(
    authority: ListAuthority, server: Server, tmp_path: Path
) -> None:
    authority.build("vile.example", category=Category.CSAM, extend=True)
    authority.publish()
    activation = await Agent(authority.settings(server), tmp_path / "edge").check()
    assert activation is not None
    [match] = snapshot.verify(activation.snapshot.read_bytes()).lookup("a.vile.example")
    assert (match.rule.category, match.rule.mandated) == (Category.CSAM, True)
