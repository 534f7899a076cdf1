from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import approvals
from blocklist_sync.central.release import accountability
from blocklist_sync.central.release.check import Checked, check
from blocklist_sync.central.release.repository import Repository
from lachan.durable import FileError
from tests.support.list_authority import ListAuthority
from tests.support.registry import GAMBLING


@pytest.fixture
def authority(tmp_path: Path) -> ListAuthority:
    authority = ListAuthority(tmp_path / "authority")
    authority.publish("a.example")
    authority.publish("a.example", "b.example")
    return authority


def checked(authority: ListAuthority, at: int = 0) -> Checked:
    now = at or int(time.time())
    return check(
        Repository(authority.repository),
        authority.sources().root,
        authority.log,
        authority.folder / "work",
        now,
        authority.repository / "public",
    )


def test_what_is_published_is_what_the_log_says(authority: ListAuthority) -> None:
    found = checked(authority)
    assert (found.offer.serial, found.log_length, found.releases, found.targets, found.expired) == (2, 6, 2, 3, ())
    assert found.rebuilt.state.entries == 2
    # The log may have gone on since.
    authority.decide(("c.example", GAMBLING, True))
    assert checked(authority).log_length == 7
    assert checked(authority, int(time.time()) + 2 * 86_400).expired == ("timestamp",)


def test_a_roll_back_holds_too(authority: ListAuthority) -> None:
    authority.build(rollback=1)
    authority.publish()
    assert (checked(authority).offer.serial, checked(authority).rebuilt.state.entries) == (3, 1)


def test_what_the_public_is_told_is_counted_again(authority: ListAuthority) -> None:
    assert checked(authority).told
    statement, commitments = (authority.repository / "public" / f"2.{name}" for name in ("json", "commitments"))
    told, held = statement.read_bytes(), commitments.read_bytes()
    for data in (held[:32], held + bytes(32), held[32:] + held[:32], held[:40]):
        commitments.write_bytes(data)
        with pytest.raises(CentralError, match=r"2\.commitments: (not the|commitments are not sorted)"):
            checked(authority)
    commitments.unlink()
    with pytest.raises(CentralError, match="No such file"):
        checked(authority)
    commitments.write_bytes(held)
    statement.write_bytes(told.replace(b'"entries": 2', b'"entries": 1'))
    with pytest.raises(CentralError, match="not what was signed of serial 2"):
        checked(authority)
    statement.unlink()
    with pytest.raises(FileError):
        checked(authority)


def test_a_statement_that_was_signed_and_says_otherwise_is_seen(authority: ListAuthority, tmp_path: Path) -> None:
    """Whoever holds the online keys cannot tell the public another story than the log."""
    counts = {0: 2}
    statement = tmp_path / "2.json"
    for name in ("2.json", "2.commitments"):
        (tmp_path / name).write_bytes((authority.repository / "public" / name).read_bytes())
    document = json.loads(statement.read_bytes())

    def holds() -> None:
        signed = hashlib.sha256(statement.read_bytes()).hexdigest()
        accountability.hold(tmp_path, 2, signed, [GAMBLING], counts)

    holds()
    one = document["counts"][0]
    for field, value in (
        ("entries", 3),
        ("serial", 1),
        ("format", "x"),
        ("counts", [one | {"order": "99"}]),
        ("counts", []),
    ):
        statement.write_text(json.dumps(document | {field: value}))
        with pytest.raises(CentralError, match=f"says otherwise than the list: {field}"):
            holds()
    statement.write_text("[]")
    with pytest.raises(CentralError, match="malformed"):
        holds()
    few = (tmp_path / "2.commitments").read_bytes()[:32]
    (tmp_path / "2.commitments").write_bytes(few)
    statement.write_text(json.dumps(document | {"commitments_sha256": hashlib.sha256(few).hexdigest()}))
    with pytest.raises(CentralError, match="1 commitments, where the list has 2 entries"):
        holds()


def test_a_damaged_target_is_named(authority: ListAuthority) -> None:
    authority.records.write_bytes(authority.records.read_bytes() + b"x")
    with pytest.raises(CentralError, match=r"records\.bin: not what was signed"):
        checked(authority)


def test_every_delta_is_the_one_that_is_signed(authority: ListAuthority) -> None:
    authority.publish("a.example", "b.example", "c.example")
    assert checked(authority).deltas == 2
    first, second = sorted((authority.repository / "targets" / "list").glob("*.delta"))
    held = first.read_bytes()
    for data in (held[:-1], held[:-1] + b"x", held + b"x", second.read_bytes()):
        first.write_bytes(data)
        with pytest.raises(CentralError, match="delta"):
            checked(authority)
    first.unlink()
    with pytest.raises(CentralError, match=r"delta [12] of 2: "):
        checked(authority)
    first.write_bytes(held)
    assert checked(authority).deltas == 2


def test_another_log_is_seen(authority: ListAuthority) -> None:
    steps = list(approvals.read(authority.log.steps_path))
    approvals.write(authority.log.steps_path, steps[:-1])
    with pytest.raises(CentralError, match="5 steps, where 6 are needed"):
        checked(authority)
    approvals.write(authority.log.steps_path, steps[:-2])
    authority.decide(("z.example", GAMBLING, True))
    authority.decide(("b.example", GAMBLING, True))
    with pytest.raises(CentralError, match="rewritten"):
        checked(authority)


def test_changes_that_are_missing_are_named(authority: ListAuthority) -> None:
    next((authority.log.folder / "changes").iterdir()).unlink()
    with pytest.raises(CentralError, match=r"\.changes: No such file"):
        checked(authority)


def test_nothing_published_is_nothing_to_check(tmp_path: Path) -> None:
    authority = ListAuthority(tmp_path / "authority")
    assert authority.documents.root is not None
    root = authority.documents.root.to_bytes()
    with pytest.raises(CentralError, match="nothing is published"):
        check(Repository(authority.repository), root, authority.log, tmp_path, int(time.time()))
