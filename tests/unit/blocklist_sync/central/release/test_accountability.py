from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from blocklist_sync.central.entries import Kind, kind_rank
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.public import inspection
from blocklist_sync.central.release import accountability
from blocklist_sync.central.release.accountability import COMMITMENT_BYTES, commitment, line_of, salt, secret
from tests.support.clear_list import write_lines
from tests.support.registry import GAMBLING

EXCEPT = GAMBLING._replace(exception=True)
KEY = bytes(32)


def write(path: Path, *entries: tuple[str, Kind]) -> Path:
    kinds = sorted({kind for _, kind in entries}, key=kind_rank)
    write_lines(path, kinds, sorted((name, kinds.index(kind), 1) for name, kind in entries))
    return path


def test_everybody_sees_how_many_and_nobody_which(tmp_path: Path) -> None:
    names = [f"n{number}.example" for number in range(200)]
    entries = write(tmp_path / "entries", *((name, GAMBLING) for name in names), ("ok.example", EXCEPT))
    told = accountability.state(entries, tmp_path / "public", 7, KEY)
    document = json.loads(told.document)
    assert (document["serial"], document["entries"]) == (7, 201)
    assert [(one["category"], one["exceptions"], one["entries"]) for one in document["counts"]] == [
        ("gambling", False, 200),
        ("gambling", True, 1),
    ]
    data = told.commitments.read_bytes()
    assert document["commitments_sha256"] == hashlib.sha256(data).hexdigest()
    found = [data[at : at + COMMITMENT_BYTES] for at in range(0, len(data), COMMITMENT_BYTES)]
    assert (len(found), found) == (201, sorted(found))
    # Whoever is given a salt finds the entry; the line alone says nothing.
    line = line_of("n7.example", GAMBLING)
    assert commitment(salt(KEY, line), line) in found
    assert hashlib.sha256(line).digest() not in found


def test_an_entry_keeps_its_commitment_and_another_authority_has_another(tmp_path: Path) -> None:
    first = accountability.state(write(tmp_path / "a", ("a.example", GAMBLING)), tmp_path / "one", 1, KEY)
    both = write(tmp_path / "b", ("a.example", GAMBLING), ("b.example", GAMBLING))
    second = accountability.state(both, tmp_path / "one", 2, KEY)
    other = accountability.state(both, tmp_path / "two", 2, bytes([1]) * 32)
    assert first.commitments.read_bytes() in second.commitments.read_bytes()
    assert first.commitments.read_bytes() not in other.commitments.read_bytes()


def test_many_are_committed_to_as_one_is() -> None:
    lines = [line_of(f"n{number}.example", GAMBLING) for number in range(50)]
    assert accountability.commit(KEY, lines) == [commitment(salt(KEY, line), line) for line in lines]


def test_a_secret_is_drawn_once(tmp_path: Path) -> None:
    drawn = secret(tmp_path)
    assert (len(drawn), secret(tmp_path)) == (32, drawn)
    (tmp_path / "commitments.secret").write_bytes(b"x")
    with pytest.raises(CentralError, match="not 32 bytes"):
        secret(tmp_path)


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CentralError, match="none: No such file"):
        accountability.state(tmp_path / "none", tmp_path, 1, KEY)
    with pytest.raises(CentralError, match="none: No such file"):
        list(inspection.lines(tmp_path / "none", KEY))
