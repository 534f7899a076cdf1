from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from lachan import durable


def test_a_file_has_its_mode_and_its_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.write(path, [b"one", bytearray(b"two"), memoryview(b"three")])
    assert path.read_bytes() == b"onetwothree"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    durable.write(path, [b"public"], durable.PUBLIC)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    def torn() -> Iterator[bytes]:
        yield b"half"
        raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    durable.write(path, [b"whole"])
    with pytest.raises(durable.FileError, match="No space left"):
        durable.write(path, torn())
    assert path.read_bytes() == b"whole"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    with pytest.raises(durable.FileError, match="No such file"):
        durable.write(tmp_path / "none" / "file", [b""])


def test_a_part_left_behind_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / ".file.part").write_bytes(b"torn")
    durable.write(tmp_path / "file", [b"whole"])
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_link_is_a_second_name_that_can_be_moved(tmp_path: Path) -> None:
    durable.write(tmp_path / "a", [b"one"])
    durable.link(tmp_path / "a", tmp_path / "b")
    durable.link(tmp_path / "a", tmp_path / "b")
    durable.write(tmp_path / "a", [b"two"])
    assert (tmp_path / "b").read_bytes() == b"one"
    durable.link(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"two"
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(durable.FileError):
        durable.link(tmp_path / "none", tmp_path / "b")


def test_reading_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert durable.read(tmp_path / "file", 5) == b"12345"
    with pytest.raises(durable.FileError, match="larger than 4"):
        durable.read(tmp_path / "file", 4)
    with pytest.raises(durable.FileError, match="No such file"):
        durable.read(tmp_path / "none", 4)


def test_a_folder_is_held_by_one(tmp_path: Path) -> None:
    with durable.lock(tmp_path), pytest.raises(durable.FileError, match="another process"), durable.lock(tmp_path):
        pass
    with durable.lock(tmp_path):
        pass
    with pytest.raises(durable.FileError), durable.lock(tmp_path / "none"):
        pass


def test_many_files_are_made_durable_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[set[str]] = []
    monkeypatch.setattr(os, "sync", lambda: told.append({one.name for one in tmp_path.iterdir()}))
    (tmp_path / "b").write_text("longer than what comes")
    durable.write_many([(tmp_path / "a", b"1"), (tmp_path / "b", b"2")], 0o644)
    assert told == [{"a", "b"}]
    assert ((tmp_path / "b").read_bytes(), (tmp_path / "a").stat().st_mode & 0o777) == (b"2", 0o644)
    with pytest.raises(durable.FileError, match="none"):
        durable.write_many([(tmp_path / "none" / "c", b"")])


def test_folders_are_made_with_their_parents(tmp_path: Path) -> None:
    durable.make_folder(tmp_path / "a" / "b", 0o700)
    durable.make_folder(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(durable.FileError):
        durable.make_folder(tmp_path / "file" / "a")
