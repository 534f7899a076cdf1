from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from blocklist_sync.central import keys
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.publish import Lifetimes
from tests.support.list_authority import ListAuthority

NOW = 1_800_000_000
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


def test_a_release_is_signed_by_every_role(authority: ListAuthority) -> None:
    outcome = authority.publish("a.example", now=NOW)
    assert (outcome.new, outcome.release.serial, outcome.release.published_at) == (True, 1, NOW)
    assert versions(authority) == {"root": 1, "targets": 1, "list": 1, "snapshot": 1, "timestamp": 1}
    listed = json.loads((authority.repository / "metadata" / "1.list.json").read_bytes())
    assert len(listed["signatures"]) == keys.THRESHOLD == 2
    target = listed["signed"]["targets"]["list/records.bin"]
    assert target["custom"] == {"serial": 1, "names": 1, "records": 1, "published_at": NOW, "urgent": False}
    assert target["hashes"]["sha256"] == authority.release.release().digest.hex()
    assert outcome.root.exists()
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in authority.keys_folder.iterdir())


def test_publishing_again_renews_only_what_ages(authority: ListAuthority) -> None:
    authority.publish("a.example", now=NOW)
    again = authority.publish(now=NOW + 60)
    assert (again.new, again.release.published_at) == (False, NOW)
    assert versions(authority) == {"root": 1, "targets": 1, "list": 1, "snapshot": 1, "timestamp": 2}
    authority.publish(now=NOW + 5 * DAY)
    assert versions(authority) == {"root": 1, "targets": 1, "list": 1, "snapshot": 2, "timestamp": 3}
    authority.publish(now=NOW + 20 * DAY)
    assert versions(authority)["list"] == 2
    authority.publish(now=NOW + 200 * DAY)
    assert versions(authority) == {"root": 2, "targets": 2, "list": 3, "snapshot": 4, "timestamp": 5}
    assert len(authority.release.history()) == 1


def test_a_serial_that_was_published_keeps_its_bytes(authority: ListAuthority, tmp_path: Path) -> None:
    authority.publish("a.example", now=NOW)
    authority.publish("b.example", now=NOW)
    impostor = ListAuthority(tmp_path / "impostor")
    impostor.repository, impostor.keys = authority.repository, authority.keys
    with pytest.raises(CentralError, match="not newer than the published serial 2"):
        impostor.publish("c.example", now=NOW)
    assert impostor.release.history() == []


def test_another_authoritys_keys_do_not_fit(authority: ListAuthority, tmp_path: Path) -> None:
    authority.publish("a.example", now=NOW)
    impostor = ListAuthority(tmp_path / "impostor")
    impostor.repository = authority.repository
    with pytest.raises(CentralError, match="other keys"):
        impostor.publish("c.example", now=NOW)


def test_lifetimes_are_what_is_asked(authority: ListAuthority) -> None:
    authority.publish("a.example", now=NOW, lifetimes=Lifetimes(timestamp=60))
    stamp = json.loads((authority.repository / "metadata" / "timestamp.json").read_bytes())["signed"]
    assert stamp["expires"] == "2027-01-15T08:01:00Z"


def test_damaged_metadata_is_named(authority: ListAuthority) -> None:
    authority.publish("a.example", now=NOW)
    path = authority.repository / "metadata" / "1.list.json"
    path.write_text("{}")
    with pytest.raises(CentralError, match=r"1\.list\.json"):
        authority.publish(now=NOW)
    path.write_bytes((authority.repository / "metadata" / "1.snapshot.json").read_bytes())
    with pytest.raises(CentralError, match="not metadata of list"):
        authority.publish(now=NOW)


def test_keys_are_never_replaced(authority: ListAuthority) -> None:
    with pytest.raises(CentralError, match="never replaced"):
        keys.init(authority.keys_folder)
    (authority.keys_folder / "root.pem").write_text("no key")
    with pytest.raises(CentralError, match=r"root\.pem: not a private key"):
        keys.load(authority.keys_folder)
