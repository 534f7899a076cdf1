from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release.ceremony import next_root, next_targets
from blocklist_sync.central.release.publish import Documents, Lifetimes, WaitingError, read_documents
from blocklist_sync.central.release.repository import Repository
from tests.support.list_authority import Keys, ListAuthority, person

DAY = 86_400


@pytest.fixture
def authority(tmp_path: Path) -> ListAuthority:
    return ListAuthority(tmp_path / "authority")


def versions(authority: ListAuthority) -> dict[str, int]:
    found: dict[str, int] = {}
    for path in (authority.repository / "metadata").glob("*.json"):
        signed = json.loads(path.read_bytes())["signed"]
        role = "list" if path.name.endswith(".list.json") else signed["_type"]
        found[role] = max(found.get(role, 0), signed["version"])
    return found


def files(authority: ListAuthority) -> dict[str, bytes]:
    """Everything in the repository."""
    found = (path for path in authority.repository.rglob("*") if path.is_file())
    return {str(path.relative_to(authority.repository)): path.read_bytes() for path in found}


def test_a_release_is_signed_by_every_role(authority: ListAuthority) -> None:
    outcome = authority.publish("a.example")
    assert (outcome.new, outcome.release.serial, outcome.release.entries) == (True, 1, 1)
    assert versions(authority) == {"root": 1, "targets": 1, "list": 1, "snapshot": 1, "timestamp": 1}
    listed = json.loads((authority.repository / "metadata" / "1.list.json").read_bytes())
    assert len([one for one in listed["signatures"] if one["sig"]]) == 2
    target = listed["signed"]["targets"]["list/records.bin"]
    assert target["hashes"]["sha256"] == authority.release.release().digest.hex()
    assert target["custom"]["log_length"] == 5
    contents = Repository(authority.repository).opened()
    assert contents is not None
    assert contents.published_at == outcome.release.published_at
    assert outcome.root.exists()


def test_publishing_again_renews_only_what_ages(authority: ListAuthority) -> None:
    at = authority.publish("a.example").release.published_at
    again = authority.publish(now=at + 60)
    assert (again.new, again.release.published_at) == (False, at)
    assert versions(authority) == {"root": 1, "targets": 1, "list": 1, "snapshot": 1, "timestamp": 2}
    later = authority.publish(now=at + 5 * DAY)
    assert later.release.published_at == at
    assert versions(authority) == {"root": 1, "targets": 1, "list": 1, "snapshot": 2, "timestamp": 3}
    # What people have signed, no machine renews.
    with pytest.raises(CentralError, match="list: expired at"):
        authority.publish(now=at + 31 * DAY)
    assert len(authority.release.history()) == 1


def test_below_the_threshold_nothing_is_published_and_who_is_missing_is_said(authority: ListAuthority) -> None:
    authority.publish("a.example")
    before = files(authority)
    authority.build("b.example")
    with pytest.raises(WaitingError, match="list: 0 of 2 signatures; 2 more from: first, second, third"):
        authority.publish(sign=False)
    authority.sign(authority.keys.of_role["list"][:1])
    with pytest.raises(WaitingError, match="list: 1 of 2 signatures; 1 more from: second, third"):
        authority.publish(sign=False)
    # Metadata, targets, and what the public is told: every file as it was.
    assert files(authority) == before
    authority.sign(authority.keys.of_role["list"][2:])
    assert authority.publish(sign=False).release.serial == 2


def test_copies_that_were_signed_apart_come_together(authority: ListAuthority, tmp_path: Path) -> None:
    authority.build("a.example")
    root, targets = authority.documents.root, authority.documents.targets
    assert root is not None
    assert targets is not None
    paths = []
    for number in range(2):
        for role, document in (("root", root), ("targets", targets), ("list", authority.release.document())):
            one = copy.deepcopy(document)
            one.signatures.clear()
            authority.signed(one, by=authority.keys.of_role[role][number : number + 1])
            paths.append(tmp_path / f"{role}-{number}.json")
            paths[-1].write_bytes(one.to_bytes())
    authority.documents = read_documents(paths)
    assert authority.documents.listed is not None
    assert len(authority.documents.listed.signatures) == 2
    authority.release.store_document(authority.documents.listed)
    assert authority.publish(sign=False).new
    paths[2].write_bytes((authority.repository / "metadata" / "1.root.json").read_bytes())
    changed = json.loads(paths[3].read_bytes())
    changed["signed"]["version"] = 9
    paths[3].write_text(json.dumps(changed))
    with pytest.raises(CentralError, match="root: not copies"):
        read_documents(paths)
    with pytest.raises(CentralError, match="signed online"):
        read_documents([authority.repository / "metadata" / "timestamp.json"])


def test_nothing_comes_of_nothing(authority: ListAuthority) -> None:
    authority.build("a.example")
    authority.sign()
    authority.documents = Documents()
    with pytest.raises(CentralError, match="root: nothing is published yet"):
        authority.publish(sign=False)


def test_versions_follow_one_another(authority: ListAuthority) -> None:
    authority.publish("a.example")
    contents = Repository(authority.repository).opened()
    assert contents is not None
    skipping = next_root(contents.root.signed, {}, contents.root.signed.expires)
    skipping.signed.version = 3
    authority.documents = Documents(root=authority.signed(skipping, "root"))
    with pytest.raises(CentralError, match="root: version 3 is offered, and 1 is published"):
        authority.publish()


def test_a_serial_never_falls_and_stands_for_one_release(authority: ListAuthority) -> None:
    authority.publish("a.example")
    authority.publish("b.example")
    listed = Repository(authority.repository).opened()
    assert listed is not None
    assert listed.listed is not None
    for custom, message in (({"serial": 1}, "serial 1 with other records"), ({"log_length": 1}, "a log of 1 steps")):
        document = copy.deepcopy(listed.listed)
        document.signatures.clear()
        document.signed.version += 1
        document.signed.targets["list/records.bin"].custom.update(custom)
        authority.release.store_document(authority.signed(document, "list"))
        with pytest.raises(CentralError, match=message):
            authority.publish(sign=False)


def test_other_bytes_than_were_signed_are_not_published(authority: ListAuthority) -> None:
    authority.publish("a.example")
    authority.build("b.example")
    authority.sign()
    authority.release.policy_path.write_bytes(authority.release.policy_path.read_bytes() + b" ")
    authority.release.records_path.write_bytes(b"x")
    with pytest.raises(CentralError, match="not the bytes that were signed"):
        authority.publish(sign=False)


def test_online_keys_that_do_not_fit_are_refused(authority: ListAuthority) -> None:
    authority.build("a.example")
    authority.keys.of_role["timestamp"] = [person("timestamp", 7)]
    with pytest.raises(CentralError, match="timestamp: 0 of 1 signatures; 1 more from: timestamp"):
        authority.publish()
    assert not authority.published


def rotated(authority: ListAuthority, role: str, turn: int = 1) -> Documents:
    """The documents of a rotation of one key of a role, signed as they must be; the authority holds the new keys."""
    contents = Repository(authority.repository).opened()
    assert contents is not None
    assert contents.targets is not None
    old = Keys({name: list(signers) for name, signers in authority.keys.of_role.items()})
    authority.keys.of_role[role][0] = person(f"{role}-new", turn)
    changed = {role: authority.keys.holders(role)}
    root = next_root(contents.root.signed, changed, contents.root.signed.expires)
    signers = {id(one): one for one in (*old.of_role["root"], *authority.keys.of_role["root"])}
    documents = Documents(root=authority.signed(root, by=list(signers.values())))
    if role == "targets":
        again = next_targets(contents.targets.signed, None, 0, contents.targets.signed.expires)
        both = {id(one): one for one in (*old.of_role["targets"], *authority.keys.of_role["targets"])}
        documents = replace(documents, targets=authority.signed(again, by=list(both.values())))
    return documents


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_a_rotation_leaves_a_repository_that_verifies(authority: ListAuthority, role: str) -> None:
    authority.publish("a.example")
    first = authority.sources().root
    authority.documents = rotated(authority, role)
    authority.publish()
    assert versions(authority)["root"] == 2
    assert Repository(authority.repository).verified(first).root.signed.version == 2
    # From then on without the old key.
    authority.publish("b.example")
    assert Repository(authority.repository).verified(first).published_at


def test_a_root_needs_the_holders_before_it_too(authority: ListAuthority) -> None:
    authority.publish("a.example")
    documents = rotated(authority, "root")
    assert documents.root is not None
    for signer in list(documents.root.signatures)[1:3]:
        del documents.root.signatures[signer]
    authority.documents = documents
    with pytest.raises(CentralError, match=r"root: 1 of 2 signatures.*\(holders of version 1\)"):
        authority.publish()


def test_lifetimes_are_what_is_asked(authority: ListAuthority) -> None:
    at = authority.publish("a.example", lifetimes=Lifetimes(timestamp=60)).release.published_at
    contents = Repository(authority.repository).opened()
    assert contents is not None
    assert contents.timestamp is not None
    assert contents.timestamp.signed.expires.timestamp() == at + 60
