from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from tuf.api.metadata import Snapshot, Targets

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release import repository
from blocklist_sync.central.release.repository import RETIRED, Repository
from lachan.durable import FileError
from tests.support.list_authority import ListAuthority


@pytest.fixture
def authority(tmp_path: Path) -> ListAuthority:
    authority = ListAuthority(tmp_path / "authority")
    authority.publish("a.example")
    return authority


def test_an_empty_folder_has_nothing(tmp_path: Path) -> None:
    assert Repository(tmp_path).opened() is None
    assert not Repository(tmp_path).exists()


def test_everything_is_verified_from_the_root_that_is_trusted(authority: ListAuthority) -> None:
    held = Repository(authority.repository).verified(authority.sources().root)
    assert held.listed is not None
    assert held.published_at == authority.release.history()[-1].published_at
    # Before the first release there is a root and nothing else.
    (authority.repository / "metadata" / "timestamp.json").unlink()
    assert Repository(authority.repository).verified(authority.sources().root).listed is None


@pytest.mark.parametrize("role", ["timestamp", "1.snapshot", "1.targets", "1.list"])
def test_a_signature_that_is_missing_is_named(authority: ListAuthority, role: str) -> None:
    path = authority.repository / "metadata" / f"{role}.json"
    document = json.loads(path.read_bytes())
    document["signatures"] = []
    path.write_text(json.dumps(document))
    with pytest.raises(CentralError, match=rf"{path.name}: {role.rpartition('.')[2]}: 0 of"):
        Repository(authority.repository).verified(authority.sources().root)
    # Who publishes repairs it: what is there is read, and verified once it is whole.
    assert Repository(authority.repository).opened() is not None


def test_a_root_that_its_predecessor_did_not_sign_ends_the_chain(authority: ListAuthority, tmp_path: Path) -> None:
    folder = Repository(authority.repository)
    other = ListAuthority(tmp_path / "other", turn=1)
    assert other.documents.root is not None
    forged = copy.deepcopy(other.documents.root)
    forged.signed.version = 2
    forged.signatures.clear()
    folder.write("root", other.signed(forged, "root"))
    with pytest.raises(CentralError, match=r"2\.root\.json: root: 0 of 2"):
        folder.opened()
    forged.signatures.clear()
    with pytest.raises(CentralError, match="the trusted root: root: 0 of 2"):
        folder.verified(forged.to_bytes())


def test_damaged_metadata_is_named(authority: ListAuthority) -> None:
    folder = Repository(authority.repository)
    path = folder.path("list", 1)
    good = path.read_bytes()
    path.write_text("{}")
    with pytest.raises(CentralError, match=r"1\.list\.json"):
        folder.opened()
    path.write_bytes(folder.path("snapshot", 1).read_bytes())
    with pytest.raises(CentralError, match="metadata of snapshot, not of targets"):
        folder.opened()
    path.write_bytes(good.replace(b'"version":1', b'"version":3'))
    with pytest.raises(CentralError, match="holds version 3"):
        folder.opened()
    path.unlink()
    with pytest.raises(FileError, match=r"1\.list\.json"):
        folder.opened()
    snapshot = folder.held("snapshot", 1)
    assert isinstance(snapshot.signed, Snapshot)
    del snapshot.signed.meta["list.json"]
    folder.write("snapshot", snapshot)
    with pytest.raises(CentralError, match=r"list\.json.* is missing"):
        folder.opened()


def test_a_target_is_written_once_under_its_digest(tmp_path: Path) -> None:
    folder = Repository(tmp_path)
    folder.target("list/records.bin", b"data", "ab" * 32)
    path = tmp_path / "targets" / "list" / f"{'ab' * 32}.records.bin"
    before = path.stat()
    folder.target("list/records.bin", b"data", "ab" * 32)
    assert path.stat().st_ino == before.st_ino


def test_retired_keys_that_cannot_be_read_are_an_error(authority: ListAuthority) -> None:
    targets = Repository(authority.repository).held("targets", 1).signed
    assert isinstance(targets, Targets)
    for held in ([], {"ab": 1}, {"ab": {"until": 1}}, {"ab": {"key": {}, "until": 1}}):
        targets.unrecognized_fields[RETIRED] = held
        with pytest.raises(CentralError, match="x-lachan-retired"):
            repository.retired(targets)


def test_the_offline_roles_documents_are_told_apart(authority: ListAuthority) -> None:
    folder = Repository(authority.repository)
    for role in ("root", "targets", "list"):
        assert repository.parse_offline(folder.path(role, 1).read_bytes(), role)[0] == role
    with pytest.raises(CentralError, match="signed online"):
        repository.parse_offline(folder.path("snapshot", 1).read_bytes(), "file")
    with pytest.raises(CentralError, match="file: "):
        repository.parse_offline(b"{", "file")
