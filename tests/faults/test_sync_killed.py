"""kill -9 before every change to the disk that an edge's sync makes, a disk full from each one on, every file damaged.

What is shown: each step, and the list in force right after it (`pytest -s`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blocklist_sync.artifact import snapshot
from blocklist_sync.central.release.ceremony import next_root
from blocklist_sync.central.release.publish import Documents
from blocklist_sync.central.release.repository import Repository
from blocklist_sync.edge.activate import FOLDER
from blocklist_sync.edge.agent import Activation, Agent, Failure, SyncSettings
from blocklist_sync.edge.freshness import Alarm
from blocklist_sync.edge.settings import HostSettings
from resolver.suspending import Suspending
from tests.support import killed
from tests.support.list_authority import Handler, ListAuthority, Server

NAMES = [f"n{number}.example" for number in range(400)]
ALWAYS = "bad.example"
SETTLED_EVERY = 6


@pytest.fixture
def place() -> Iterator[Path]:
    """Where nobody waits for a disk, if there is such a place: a killing keeps what was written, synced or not."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture
def authority(place: Path) -> ListAuthority:
    authority = ListAuthority(place / "authority")
    authority.publish(ALWAYS, *NAMES)
    return authority


@pytest.fixture
def server(authority: ListAuthority) -> Iterator[Server]:
    with authority.serve() as server:
        yield server


def listed(held: Activation | None) -> int:
    """The serial in force, whose snapshot must be whole and list what is always listed."""
    assert held is not None, "there is no list any more"
    assert snapshot.verify(held.snapshot.read_bytes()).lookup(ALWAYS)
    return held.serial


def through(
    what: str, state: Path, work: Callable[[], object], allowed: set[int | None], then: Callable[[], object]
) -> list[str]:
    """Kills `work` at every step, each time from the same state; after each, the list is one of the allowed.

    What is left by the killing is in nobody's way: `then` goes through after every few. The steps, as they are shown.
    """
    shown = []
    before = state.with_name("before")
    shutil.rmtree(before, ignore_errors=True)
    if state.exists():
        shutil.copytree(state, before, symlinks=True)
    for step in killed.matrix(work):
        held = Agent.recover(state)
        serial = listed(held) if held is not None else None
        assert serial in allowed, f"{what}: killed before {step.change}"
        shown.append(f"{what}: killed before step {step.number}, {step.change}: serial {serial} in force")
        if step.number % SETTLED_EVERY == 0:
            then()
        shutil.rmtree(state, ignore_errors=True)
        if before.exists():
            shutil.copytree(before, state, symlinks=True)
    sys.stdout.write("\n".join(shown) + "\n")
    return shown


def checking(settings: SyncSettings, state: Path) -> Callable[[], object]:
    """A round of an edge that has just started."""
    return lambda: Agent(settings, state)._check()


def settled(settings: SyncSettings, state: Path, serial: int) -> None:
    """A round brings everything in order."""
    Agent(settings, state)._check()
    assert listed(Agent.recover(state)) == serial
    # The pointer's own is taken over by its next writer.
    assert [path.name for path in state.rglob(".*.part")] in ([], [".current.json.part"])


@pytest.mark.forks
def test_killed_at_every_step_of_its_first_release(authority: ListAuthority, server: Server, place: Path) -> None:
    state, settings = place / "edge", authority.settings(server)
    work = checking(settings, state)
    steps = through("first", state, work, {None, 1}, lambda: settled(settings, state, 1))
    assert {"serial None in force", "serial 1 in force"} == {step.rpartition(": ")[2] for step in steps}
    assert len(steps) > 25
    for change in ("fsync .records.bin.part", "replace .current.json.part", "open .rules.snapshot.part"):
        assert any(change in step for step in steps), change


@pytest.mark.forks
def test_killed_at_every_step_of_a_delta_that_comes_with_a_new_root(
    authority: ListAuthority, server: Server, place: Path
) -> None:
    state = place / "edge"
    address = f"https://list.example:{server.server_address[1]}"
    settings = authority.settings(
        server, repository=address, hosts=HostSettings(addresses={"list.example": ("127.0.0.1",)})
    )
    Agent(settings, state)._check()
    # Where the host was reached is written anew as well.
    (state / FOLDER / "hosts.json").unlink()
    held = Repository(authority.repository).opened()
    assert held is not None
    root = next_root(held.root.signed, {}, held.root.signed.expires)
    authority.documents = Documents(root=authority.signed(root, "root"))
    authority.publish(ALWAYS, *NAMES, "new.example")
    server.requests.clear()
    steps = through("delta", state, checking(settings, state), {1, 2}, lambda: settled(settings, state, 2))
    assert any(path.endswith(".delta") for path in server.requests)
    assert not any("records.bin" in path for path in server.requests)
    for change in ("replace .hosts.json.part", "2.root.json", "replace .current.json.part"):
        assert any(change in step for step in steps), change


@pytest.mark.forks
def test_killed_at_every_step_of_a_repair(authority: ListAuthority, server: Server, place: Path) -> None:
    state, settings = place / "edge", authority.settings(server)
    Agent(settings, state)._check()
    authority.publish(ALWAYS, *NAMES, "new.example")
    Agent(settings, state)._check()
    held = Agent.recover(state)
    assert held is not None
    flipped(held.snapshot)
    # Whoever may not repair falls back to the release before it.
    assert listed(Agent.recover(state)) == 1

    def repair() -> None:
        assert listed(Agent(settings, state).current()) == 2

    steps = through("repair", state, repair, {1, 2}, repair)
    assert any("replace .rules.snapshot.part" in step for step in steps)
    repair()
    assert listed(Agent.recover(state)) == 2


def missing(handler: Handler) -> bool:
    handler.send_error(404)
    return True


def half(handler: Handler) -> bool:
    """Sends half of the records."""
    data = Path(handler.translate_path(handler.path)).read_bytes()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    with contextlib.suppress(OSError):
        handler.wfile.write(data[: len(data) // 2])
    return True


@pytest.mark.forks
def test_killed_at_every_step_around_a_download_that_is_cut(
    authority: ListAuthority, server: Server, place: Path
) -> None:
    state, settings = place / "edge", authority.settings(server)
    Agent(settings, state)._check()
    authority.publish(ALWAYS, *NAMES, "new.example")
    faults = {".delta": missing, "records.bin": half}
    server.faults = dict(faults)

    def cut() -> None:
        with contextlib.suppress(Exception):
            Agent(settings, state)._check()

    def then() -> None:
        server.faults = {}
        settled(settings, state, 2)
        server.faults = faults

    cut()
    [part] = state.rglob("*.part")
    assert part.stat().st_size
    server.faults = faults = {}
    through("going on", state, checking(settings, state), {1, 2}, then)


@pytest.mark.forks
def test_killed_at_every_step_of_a_suspension(authority: ListAuthority, server: Server, place: Path) -> None:
    state, settings = place / "edge", authority.settings(server)
    Agent(settings, state)._check()
    authority.publish(ALWAYS, "bank.example")
    Agent(settings, state)._check()

    def suspend() -> None:
        suspending = Suspending(state / FOLDER, lambda: None)
        suspending.recover()
        if not suspending.live():
            asked = {"reason": "broke a bank", "hours": 1, "code": "other"}
            suspending.handlers()["release-suspend"](asked, [])

    through("suspension", state, suspend, {1, 2}, suspend)
    suspend()
    assert listed(Agent.recover(state)) == 1

    def resume() -> None:
        suspending = Suspending(state / FOLDER, lambda: None)
        suspending.recover()
        if suspending.live():
            suspending.handlers()["release-resume"]({}, [])

    through("resumption", state, resume, {1, 2}, resume)
    # A release that comes meanwhile is in force at once; until then the suspended one is not, whatever happens.
    suspend()
    authority.publish(ALWAYS, "later.example")
    work = checking(settings, state)
    through("release after a suspended one", state, work, {1, 3}, lambda: settled(settings, state, 3))


def test_whichever_step_finds_the_disk_full_the_list_stays_and_it_is_told(
    authority: ListAuthority, server: Server, place: Path
) -> None:
    state, before = place / "edge", place / "before"
    settings = authority.settings(server)
    Agent(settings, before)._check()
    authority.publish(ALWAYS, *NAMES, "new.example")
    shown: list[str] = []
    for number in itertools.count(1):
        shutil.rmtree(state, ignore_errors=True)
        shutil.copytree(before, state, symlinks=True)
        agent, disk = Agent(settings, state), killed.Full(number)
        agent.current()
        with disk.filling():
            taken = asyncio.run(agent.check())
        if not disk.refused:
            break
        found = listed(Agent.recover(state))
        shown.append(f"full from step {number} on, {disk.refused}: serial {found} in force")
        assert found in {1, 2}, shown[-1]
        if taken is None:
            assert agent.failed == dict.fromkeys(Failure, 0) | {Failure.STORAGE: 1}, (shown[-1], agent.refused)
            assert agent.look().raised.keys() == {Alarm.STORAGE}, shown[-1]
        # Once there is room, the same process brings everything in order, and says so.
        asyncio.run(agent.check())
        assert listed(Agent.recover(state)) == 2, shown[-1]
        assert not agent.look().raised, shown[-1]
    sys.stdout.write("\n".join(shown) + "\n")
    assert len(shown) > 15


def truncated(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[len(data) // 2] ^= 0x21
    path.write_bytes(data)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def removed(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [truncated, flipped, emptied, made_a_folder, removed])
async def test_whichever_file_is_damaged_a_list_is_in_force_and_the_newest_comes_back(
    authority: ListAuthority, server: Server, place: Path, damage: Callable[[Path], None]
) -> None:
    good, settings = place / "good", authority.settings(server)
    await Agent(settings, good).check()
    authority.publish(ALWAYS, *NAMES, "new.example")
    await Agent(settings, good).check()
    suspending = Suspending(good / FOLDER, lambda: None)
    suspending.handlers()["release-suspend"]({"reason": "broke a bank", "hours": 1, "code": "other"}, [])
    suspending.handlers()["release-resume"]({}, [])
    files = [path.relative_to(good) for path in good.rglob("*") if path.is_file() or path.is_symlink()]
    assert len(files) > 15
    states = [place / f"damaged-{number}" for number in range(len(files))]
    for file, state in zip(files, states, strict=True):
        shutil.copytree(good, state, symlinks=True)
        damage(state / file)
        assert listed(Agent.recover(state)) in {1, 2}, file
        agent = Agent(settings, state)
        held = listed(agent.current())
        assert held in {1, 2}, file
        # What could not be repaired here is told, until it is back.
        assert (Alarm.DAMAGED in agent.look().raised) == (held == 1), file
        await agent.check()
        assert not agent.look().raised, file
        assert sum(agent.refused.values()) == sum(agent.failed.values()) == 0, (file, agent.refused, agent.failed)
        assert listed(agent.current()) == listed(Agent.recover(state)) == 2, file
        suspended = Suspending(state / FOLDER, lambda: None)
        suspended.recover()
        assert not suspended.live()
    if damage is not made_a_folder:
        return
    # The next release finds nothing in its way.
    authority.publish(ALWAYS, "third.example")
    for state in states:
        taken = await Agent(settings, state).check()
        assert taken is not None, state
        assert listed(taken) == 3


async def test_a_clock_that_jumps_changes_nothing_but_what_is_told(
    authority: ListAuthority, server: Server, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datetime as dt

    from tuf.ngclient._internal import trusted_metadata_set

    away = 0.0
    real = time.time

    class Moment(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
            return dt.datetime.fromtimestamp(real() + away, tz)

    monkeypatch.setattr(time, "time", lambda: real() + away)
    monkeypatch.setattr(trusted_metadata_set.datetime, "datetime", Moment)
    agent = Agent(authority.settings(server), place / "edge")
    assert await agent.check() is not None
    agent.look()
    assert not agent.board.raised
    # Forward by a year: what is signed has expired, by this clock. The list stays in force, and all of it is told.
    authority.publish(ALWAYS, "new.example")
    away = 365 * 86_400.0
    assert await agent.check() is None
    assert agent.refused["expired"] == 1
    assert listed(agent.current()) == 1
    assert agent.look().raised.keys() == {"expired", "refused"}
    assert agent.state().word_age < 3600
    # Back by a day: everything is still good, a moment of publication in the future included.
    away = -86_400.0
    taken = await agent.check()
    assert taken is not None
    assert listed(taken) == 2
    assert not agent.look().raised
    away = 0.0
    authority.publish(ALWAYS, "newer.example")
    taken = await agent.check()
    assert taken is not None
    assert listed(taken) == 3
    assert agent.failed[Failure.STORAGE] == 0
