from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release import statement
from blocklist_sync.central.release.publish import WaitingError
from blocklist_sync.central.release.repository import Repository
from lachan.durable import FileError
from tests.support.list_authority import ListAuthority


@pytest.fixture
def authority(tmp_path: Path) -> ListAuthority:
    authority = ListAuthority(tmp_path / "authority")
    authority.publish("a.example")
    return authority


def said(authority: ListAuthority, serial: int) -> tuple[bytes, str]:
    """What the public is told of a serial, and the digest that the snapshot signs now."""
    held = Repository(authority.repository).opened()
    assert held is not None
    return (authority.repository / "public" / f"{serial}.json").read_bytes(), statement.signed(held.snapshot)


def test_what_was_published_is_what_was_signed_however_often_it_was_built(authority: ListAuthority) -> None:
    authority.build("a.example", "b.example")
    with pytest.raises(WaitingError):
        authority.publish(sign=False)
    # Nobody has signed, so the next candidate takes the same serial.
    authority.build("a.example", "b.example", "c.example")
    assert authority.publish().release.serial == 2
    document, digest = said(authority, 2)
    assert json.loads(document)["entries"] == 3
    assert hashlib.sha256(document).hexdigest() == digest
    commitments = (authority.repository / "public" / "2.commitments").read_bytes()
    assert len(commitments) == 3 * 32


def test_what_stands_there_without_having_been_published_is_nobodys_word(authority: ListAuthority) -> None:
    authority.build("a.example", "b.example")
    (authority.repository / "public" / "2.json").write_text("{}")
    authority.publish()
    document, digest = said(authority, 2)
    assert hashlib.sha256(document).hexdigest() == digest


def test_of_a_serial_that_was_taken_nothing_else_is_said(authority: ListAuthority) -> None:
    authority.build("b.example")
    authority.sign()
    listed = authority.release.document()
    with authority.release.locked():
        told = statement.read(Repository(authority.repository), authority.release, listed)
        [row] = authority.release.history()
        authority.release.reserve(type(row)(**{**row.__dict__, "serial": 2}))
        statement.bring(Repository(authority.repository), told)
        assert statement.read(Repository(authority.repository), authority.release, listed) == told
    (authority.repository / "public" / "2.json").write_text("{}")
    with pytest.raises(CentralError, match="something else was said of serial 2"):
        authority.publish(sign=False)


def test_a_renewal_carries_on_what_was_signed(authority: ListAuthority) -> None:
    document, digest = said(authority, 1)
    path = authority.repository / "public" / "1.json"
    path.write_bytes(document.replace(b'"entries": 1', b'"entries": 2'))
    at = authority.release.history()[0].published_at
    authority.publish(now=at + 5 * 86_400)
    assert said(authority, 1)[1] == digest


def test_another_lists_statement_is_refused(authority: ListAuthority) -> None:
    authority.build("b.example")
    path = authority.release.public / "2.json"
    document = json.loads(path.read_bytes())
    for field, value, message in (
        ("entries", 7, "the statement is of another list"),
        ("commitments_sha256", "00" * 32, "the commitments are not those"),
        ("entries", None, "the statement is of another list"),
    ):
        path.write_text(json.dumps(document | {field: value}))
        with pytest.raises(CentralError, match=message):
            authority.publish()
    path.write_text("[]")
    with pytest.raises(CentralError, match="malformed"):
        authority.publish()
    path.write_text(json.dumps(document))
    path.with_suffix(".commitments").unlink()
    with pytest.raises(FileError):
        authority.publish()
