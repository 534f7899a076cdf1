"""What attackers can do to a list, by the classes of TUF's specification, against a real edge; and new keys.

The edge is a real agent over HTTPS; the repository is written by the list authority's own code, or by whoever holds
some of its keys. After every attack, the last good list is in force.
"""

from __future__ import annotations

import copy
import hashlib
import shutil
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root

from blocklist_sync.artifact import snapshot
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import approvals
from blocklist_sync.central.release.ceremony import next_root, next_targets, replace
from blocklist_sync.central.release.publish import Documents
from blocklist_sync.central.release.repository import RECORDS_TARGET, Contents, Repository
from blocklist_sync.edge import pins
from blocklist_sync.edge.activate import FOLDER
from blocklist_sync.edge.agent import Agent, Reason
from blocklist_sync.edge.pins import Pin
from tests.support import killed
from tests.support.ledger import Parties
from tests.support.list_authority import Handler, ListAuthority, Server, person
from tests.support.registry import EDITOR, GAMBLING, LogBook, Member, approval, founded, proposal, text

DAY = 86_400
FAR = (1 << 31) - 2


@pytest.fixture
def authority(tmp_path: Path) -> ListAuthority:
    authority = ListAuthority(tmp_path / "authority")
    authority.publish("bad.example")
    return authority


@pytest.fixture
def server(authority: ListAuthority) -> Iterator[Server]:
    with authority.serve() as server:
        yield server


@pytest.fixture
async def agent(authority: ListAuthority, server: Server, tmp_path: Path) -> Agent:
    agent = Agent(authority.settings(server), tmp_path / "edge")
    assert await serial(agent) == 1
    return agent


async def serial(agent: Agent) -> int:
    """What is in force after a round that went well."""
    await agent.check()
    assert sum(agent.failed.values()) == sum(agent.refused.values()) == 0, (agent.failed, agent.refused)
    return in_force(agent)


def in_force(agent: Agent) -> int:
    held = agent.current()
    assert held is not None
    assert snapshot.verify(held.snapshot.read_bytes()).lookup("www.bad.example")
    return held.serial


async def refused(agent: Agent, *reasons: Reason, held: int = 1) -> None:
    """A round must be refused for one of these reasons, and change nothing."""
    before = dict(agent.refused)
    assert await agent.check() is None
    now = {reason for reason in Reason if agent.refused[reason] > before[reason]}
    assert len(now) == 1, (agent.refused, agent.failed)
    assert now <= set(reasons)
    assert in_force(agent) == held


def opened(authority: ListAuthority) -> Contents:
    contents = Repository(authority.repository).opened()
    assert contents is not None
    return contents


def forge(authority: ListAuthority, role: str, by: Sequence[CryptoSigner], **changes: Any) -> None:
    """Whoever holds these keys writes the next version of snapshot or timestamp, with these fields."""
    document = copy.deepcopy(getattr(opened(authority), role))
    document.signatures.clear()
    document.signed.version += 1
    for name, value in changes.items():
        setattr(document.signed, name, value)
    Repository(authority.repository).write(role, authority.signed(document, by=by))


# --- rotation --------------------------------------------------------------------------------------------------


async def rotate(authority: ListAuthority, role: str, turn: int, *, lost: bool = False) -> list[CryptoSigner]:
    """Replaces a key of a role, by the ceremony's documents; the holders of the role before."""
    contents = opened(authority)
    assert contents.targets is not None
    before = {name: list(signers) for name, signers in authority.keys.of_role.items()}
    new = person(f"{role}-new", turn)
    gone = before[role][0].public_key.keyid
    authority.keys.of_role[role] = [*before[role][1:], new]
    delegator = contents.targets.signed if role == "list" else contents.root.signed
    holders = replace(delegator, role, [new.public_key], [gone], 0)
    if role == "list":
        length = contents.listed.signed.targets[RECORDS_TARGET].custom["log_length"] if contents.listed else 0
        targets = next_targets(contents.targets.signed, holders, length, contents.targets.signed.expires)
        authority.documents = Documents(targets=authority.signed(targets, "targets"))
        return before[role]
    root = next_root(contents.root.signed, {role: holders}, contents.root.signed.expires)
    signers = {one.public_key.keyid: one for one in (*before["root"], *authority.keys.of_role["root"])}
    documents = Documents(root=authority.signed(root, by=list(signers.values())))
    if role == "targets":
        again = next_targets(contents.targets.signed, None, 0, contents.targets.signed.expires)
        signers = {one.public_key.keyid: one for one in (*before[role], *authority.keys.of_role[role])}
        documents = Documents(documents.root, authority.signed(again, by=list(signers.values())))
    authority.documents = documents
    if role in {"snapshot", "timestamp"} and not lost:
        # The old key signs once more, so that edges can follow from the old root.
        authority.keys.of_role[role] = [new, *before[role]]
    return before[role]


@pytest.mark.parametrize("role", ["root", "targets", "list", "snapshot", "timestamp"])
async def test_edges_follow_a_rotation_and_refuse_the_old_key(
    authority: ListAuthority, agent: Agent, role: str, server: Server, tmp_path: Path
) -> None:
    before = await rotate(authority, role, 1)
    if role == "list":
        authority.build("bad.example", "new.example")
        authority.sign(authority.keys.of_role["list"][-2:])
    authority.publish()
    assert await serial(agent) == (2 if role == "list" else 1)
    authority.keys.of_role[role] = [one for one in authority.keys.of_role[role] if one is not before[0]]
    authority.publish("bad.example", "newer.example")
    held = await serial(agent)
    assert held == (3 if role == "list" else 2)
    # An edge that was enrolled with the first root comes the whole way.
    fresh = Agent(authority.settings(server), tmp_path / "fresh")
    assert await serial(fresh) == held
    # Whoever found the old key signs in vain.
    if role in {"snapshot", "timestamp"}:
        forge(authority, role, before[:1])
        if role == "snapshot":
            meta = copy.deepcopy(opened(authority).timestamp)
            assert meta is not None
            meta.signed.snapshot_meta.version += 1
            forge(authority, "timestamp", authority.keys.of_role["timestamp"], snapshot_meta=meta.signed.snapshot_meta)
        await refused(agent, Reason.TAMPERED, held=held)
    elif role == "root":
        root = next_root(
            opened(authority).root.signed, {}, datetime.now(UTC).replace(microsecond=0) + timedelta(days=9)
        )
        Repository(authority.repository).write("root", authority.signed(root, by=before[:2]))
        await refused(agent, Reason.TAMPERED, held=held)
    elif role == "list":
        authority.build("bad.example", "evil.example")
        with pytest.raises(CentralError, match="first is no approver"):
            authority.sign(before[:1])
        authority.release.store_document(authority.signed(authority.release.document(), by=before[:2]))
        with pytest.raises(CentralError, match="list: 1 of 2 signatures"):
            authority.publish(sign=False)
    else:
        document = next_targets(
            opened(authority).targets.signed, None, 0, datetime.now(UTC).replace(microsecond=0) + timedelta(days=9)
        )  # type: ignore[union-attr]  # is published
        authority.documents = Documents(
            targets=authority.signed(document, by=[*before[:1], authority.keys.of_role[role][0]])
        )
        with pytest.raises(CentralError, match="targets: 1 of 2 signatures"):
            authority.publish()


async def test_a_witness_is_replaced_by_signed_targets_and_no_older_ones_come_back(
    authority: ListAuthority, agent: Agent, tmp_path: Path
) -> None:
    """Whom edges believe about the ledger comes with the list, by the offline holders' signatures."""
    before, after = Parties().policy_text.encode(), Parties().policy_text.encode()
    held = tmp_path / "edge" / FOLDER / pins.FILE
    assert pins.load(held) == Pin(1, b"")
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=9)
    for pinned in (before, after):
        document = next_targets(opened(authority).targets.signed, None, 0, expires, pinned)  # type: ignore[union-attr] # is published
        # One holder alone pins nothing.
        lone = authority.signed(copy.deepcopy(document), by=authority.keys.of_role["targets"][:1])
        authority.documents = Documents(targets=lone)
        with pytest.raises(CentralError, match="targets: 1 of 2 signatures"):
            authority.publish()
        authority.documents = Documents(targets=authority.signed(document, "targets"))
        authority.publish()
        await agent.check()
        assert pins.load(held) == Pin(document.signed.version, pinned)
    # With TUF's files lost, whoever has the online keys shows the targets of before, and every signature holds.
    old = Repository(authority.repository).held("targets", 2)
    meta = copy.deepcopy(opened(authority).snapshot)
    assert meta is not None
    shutil.rmtree(tmp_path / "edge" / FOLDER / "tuf")
    listed = {**meta.signed.meta, "targets.json": MetaFile(old.signed.version)}
    forge(authority, "snapshot", authority.keys.of_role["snapshot"], meta=listed)
    stamp = copy.deepcopy(opened(authority).timestamp)
    assert stamp is not None
    stamp.signed.snapshot_meta.version += 1
    forge(authority, "timestamp", authority.keys.of_role["timestamp"], snapshot_meta=stamp.signed.snapshot_meta)
    await agent.check()
    assert agent.state().failing == agent.state().refusing == ""
    assert pins.load(held) == Pin(3, after)


async def test_edges_follow_where_the_old_online_key_is_lost(authority: ListAuthority, agent: Agent) -> None:
    await rotate(authority, "timestamp", 1, lost=True)
    authority.publish()
    assert await serial(agent) == 1
    authority.publish("bad.example", "new.example")
    assert await serial(agent) == 2


async def test_a_chain_of_roots_is_followed_although_those_between_have_expired(
    authority: ListAuthority, server: Server, tmp_path: Path
) -> None:
    expires = opened(authority).root.signed.expires
    for turn in range(1, 4):
        root = next_root(opened(authority).root.signed, {}, expires)
        if turn < 3:
            root.signed.expires = datetime.now(UTC).replace(microsecond=0) - timedelta(days=turn)
        # Written as it was written then: `publish` would not offer an expired root today.
        Repository(authority.repository).write("root", authority.signed(root, "root"))
    authority.publish("bad.example", "new.example")
    fresh = Agent(authority.settings(server), tmp_path / "fresh")
    assert await serial(fresh) == 2
    # The last one must hold.
    last = next_root(opened(authority).root.signed, {}, datetime.now(UTC).replace(microsecond=0) - timedelta(days=1))
    Repository(authority.repository).write("root", authority.signed(last, "root"))
    await refused(fresh, Reason.EXPIRED, held=2)


@pytest.mark.forks
@pytest.mark.parametrize("role", ["root", "targets", "timestamp"])
async def test_killed_at_every_step_of_a_rotation_the_repository_verifies(tmp_path: Path, role: str) -> None:
    authority = ListAuthority(tmp_path / "authority")
    authority.publish("bad.example")
    first, seen = authority.sources().root, set()
    await rotate(authority, role, 1)
    for _ in killed.at_every_step(authority.publish):
        held = Repository(authority.repository).verified(first)
        assert held.listed is not None
        seen.add(held.root.signed.version)
    assert seen == {1, 2}
    assert Repository(authority.repository).verified(first).root.signed.version == 2


# --- the attacks of the specification --------------------------------------------------------------------------


async def test_rollback(authority: ListAuthority, agent: Agent) -> None:
    shutil.copytree(authority.repository, authority.folder / "old")
    authority.publish("bad.example", "new.example")
    assert await serial(agent) == 2
    # The old files under their names, and an old list tied into a new snapshot by whoever holds the online keys.
    shutil.copy(authority.folder / "old" / "metadata" / "timestamp.json", authority.repository / "metadata")
    await refused(agent, Reason.OLDER, held=2)
    shutil.rmtree(authority.repository / "metadata")
    shutil.copytree(authority.folder / "old" / "metadata", authority.repository / "metadata")
    held = opened(authority)
    assert held.snapshot is not None
    assert held.timestamp is not None
    online = [authority.keys.of_role[role] for role in ("snapshot", "timestamp")]
    tied = copy.deepcopy(held.snapshot)
    tied.signatures.clear()
    tied.signed.version = 9
    Repository(authority.repository).write("snapshot", authority.signed(tied, by=online[0]))
    meta = held.timestamp.signed.snapshot_meta
    meta.version = 9
    forge(authority, "timestamp", online[1], snapshot_meta=meta, version=9)
    await refused(agent, Reason.OLDER, held=2)


async def test_freeze(authority: ListAuthority, agent: Agent) -> None:
    at = int(time.time())
    authority.publish(now=at - 3 * DAY)
    frozen = (authority.repository / "metadata" / "timestamp.json").read_bytes()
    authority.publish("bad.example", "new.example")
    (authority.repository / "metadata" / "timestamp.json").write_bytes(frozen)
    await refused(agent, Reason.EXPIRED, Reason.OLDER)
    assert agent.expires_at > at


async def test_mix_and_match(authority: ListAuthority, agent: Agent) -> None:
    authority.publish("bad.example", "second.example")
    authority.publish("bad.example", "third.example")
    metadata = authority.repository / "metadata"
    # The newest snapshot with the list before it.
    shutil.copy(metadata / "2.list.json", metadata / "3.list.json")
    await refused(agent, Reason.OLDER)


async def test_mixed_records(authority: ListAuthority, agent: Agent) -> None:
    old = authority.records.read_bytes()
    authority.publish("bad.example", "new.example")
    authority.records.write_bytes(old)
    for path in (authority.repository / "targets" / "list").glob("*.delta"):
        path.unlink()
    await refused(agent, Reason.TAMPERED, Reason.OVERSIZED, Reason.TRUNCATED)


async def test_fast_forward_is_survived_by_new_keys(authority: ListAuthority, agent: Agent) -> None:
    held = opened(authority)
    assert held.timestamp is not None
    assert held.snapshot is not None
    stolen = {role: authority.keys.of_role[role] for role in ("snapshot", "timestamp")}
    shutil.copytree(authority.repository / "metadata", authority.folder / "own copy")
    far = copy.deepcopy(held.snapshot)
    far.signatures.clear()
    far.signed.version = FAR
    Repository(authority.repository).write("snapshot", authority.signed(far, by=stolen["snapshot"]))
    meta = held.timestamp.signed.snapshot_meta
    meta.version = FAR
    forge(authority, "timestamp", stolen["timestamp"], snapshot_meta=meta, version=FAR)
    assert await serial(agent) == 1
    # The authority, from its own copy: both keys are new, and versions begin where they were.
    shutil.rmtree(authority.repository / "metadata")
    (authority.folder / "own copy").rename(authority.repository / "metadata")
    contents = opened(authority)
    changed = {}
    for role in stolen:
        authority.keys.of_role[role] = [person(f"{role}-new", 1)]
        changed[role] = authority.keys.holders(role)
    root = next_root(contents.root.signed, changed, contents.root.signed.expires)
    authority.documents = Documents(root=authority.signed(root, "root"))
    authority.publish("bad.example", "new.example")
    assert await serial(agent) == 2


async def test_endless_data(authority: ListAuthority, server: Server, agent: Agent) -> None:
    def endless(handler: Handler) -> bool:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(bytes(1 << 16))
        except OSError:
            return True

    authority.publish("bad.example", "new.example")
    for part in ("timestamp.json", "snapshot.json", "list.json", "root.json"):
        server.faults = {part: endless}
        await refused(agent, Reason.OVERSIZED)
        # A refusal that is new is counted: each file has its own limit.
        agent._refusal = None
    server.faults = {"manifest": endless, "records.bin": endless}
    await refused(agent, Reason.OVERSIZED)
    server.faults = {}
    agent.refused = dict.fromkeys(Reason, 0)
    assert await serial(agent) == 2


@pytest.mark.parametrize("role", ["timestamp", "snapshot"])
async def test_a_wrong_key(authority: ListAuthority, agent: Agent, role: str) -> None:
    authority.publish("bad.example", "new.example")
    document: Metadata[Any] = copy.deepcopy(getattr(opened(authority), role))
    document.signatures.clear()
    Repository(authority.repository).write(role, authority.signed(document, by=[person("stranger")]))
    await refused(agent, Reason.TAMPERED)


async def test_the_same_signature_twice_is_one(authority: ListAuthority, agent: Agent) -> None:
    authority.build("bad.example", "evil.example")
    document = authority.release.document()
    (one,) = authority.keys.of_role["list"][:1]
    signature = one.sign(document.signed_bytes)
    document.signatures[signature.keyid] = signature
    double = person("first")
    double.public_key.keyid = "ab" * 32
    document.signatures["ab" * 32] = copy.copy(signature)
    document.signatures["ab" * 32].keyid = "ab" * 32
    authority.release.store_document(document)
    with pytest.raises(CentralError, match="list: 1 of 2 signatures"):
        authority.publish(sign=False)
    assert await serial(agent) == 1


async def test_below_the_threshold_of_the_root(authority: ListAuthority, agent: Agent) -> None:
    evil = person("evil")
    root = copy.deepcopy(opened(authority).root)
    assert isinstance(root.signed, Root)
    root.signatures.clear()
    root.signed.version += 1
    root.signed.add_key(evil.public_key, "timestamp")
    Repository(authority.repository).write("root", authority.signed(root, by=[authority.keys.of_role["root"][0], evil]))
    await refused(agent, Reason.TAMPERED)


# --- attacks on the road before the signature ------------------------------------------------------------------


def test_a_registry_that_invents_an_approver(authority: ListAuthority) -> None:
    invented = Member("invented", ("approver",))
    book = LogBook()
    book.steps = list(approvals.read(authority.log.steps_path))
    book.admit(invented, invented)
    approvals.write(authority.log.steps_path, book.steps)
    with pytest.raises(CentralError, match="step 6"):
        authority.build()
    # Nor does a witness help whose key is no approver's.
    book = founded()
    book.admit(invented, EDITOR)
    approvals.write(authority.log.steps_path, book.steps)
    with pytest.raises(CentralError, match="no delegated approver's key"):
        authority.build()


def test_a_server_that_writes_its_own_candidate(authority: ListAuthority) -> None:
    # The registry's server holds no approver's key: it puts a name into the changes that nobody approved.
    authority.decide(("new.example", GAMBLING, True))
    authority.build()
    data = text(("new.example", GAMBLING, True), ("shop.example", GAMBLING, True))
    digest = hashlib.sha256(text(("new.example", GAMBLING, True))).hexdigest()
    authority.log.changes_path(digest).write_bytes(data)
    with pytest.raises(CentralError, match="the changes of step 6: changes_sha256"):
        authority.examine()
    authority.release.state.path.unlink()
    with pytest.raises(CentralError, match="the changes of step 6: changes_sha256"):
        authority.build()


def test_a_header_that_was_approved_for_something_else(authority: ListAuthority) -> None:
    data = text(("shop.example", GAMBLING, True))
    asked = proposal(data, number=77)
    other = proposal(text(("new.example", GAMBLING, True)), number=78)
    authority.log.changes_path(asked.changes_sha256).write_bytes(data)
    book = LogBook()
    book.steps = list(approvals.read(authority.log.steps_path))
    book.decide(asked, EDITOR, approval(other, Member("first", ("approver", "editor"))))
    approvals.write(authority.log.steps_path, book.steps)
    with pytest.raises(CentralError, match="not first's under this header"):
        authority.build()


async def test_what_two_of_three_signed_apart_is_never_two_releases(authority: ListAuthority) -> None:
    # A builder shows one candidate to one pair of approvers and another to the next, under one serial.
    authority.build("bad.example", "one.example")
    first, second, third = authority.keys.of_role["list"]
    authority.sign([first, second])
    kept = authority.release.document()
    authority.release.document_path.unlink()
    authority.build("bad.example", "two.example")
    assert authority.release.document().signed.targets[RECORDS_TARGET].custom["serial"] == 2
    authority.sign([third])
    with pytest.raises(CentralError, match="signed something else as serial 2"):
        authority.sign([first])
    with pytest.raises(CentralError, match="list: 1 of 2"):
        authority.publish(sign=False)
    assert (
        kept.signed.targets[RECORDS_TARGET].hashes != authority.release.document().signed.targets[RECORDS_TARGET].hashes
    )
