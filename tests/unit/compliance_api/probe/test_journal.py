from __future__ import annotations

from pathlib import Path

import pytest

from compliance_api.probe.errors import JournalError
from compliance_api.probe.journal import Entry, Journal

ONE, TWO = bytes(16), bytes([1]) * 16


def test_what_is_done_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state" / "journal.sqlite"
    journal = Journal(path)
    assert journal.add(TWO, b"two", 200)
    assert journal.add(ONE, b"one", 100)
    assert not journal.add(ONE, b"one again", 100)
    journal.mark(ONE, 7)
    journal.mark(ONE, 7)
    journal.mark(ONE, 9)
    journal.mark(bytes([9]) * 16, 1)
    journal.close()

    journal = Journal(path)
    assert journal.entries() == [Entry(b"one", frozenset({7, 9})), Entry(b"two", frozenset())]
    assert journal.forget(150) == 1
    assert journal.entries() == [Entry(b"two", frozenset())]
    # Forgotten with everything that hung on it.
    assert journal.add(ONE, b"one", 300)
    assert journal.entries()[1] == Entry(b"one", frozenset())
    journal.close()


def test_a_file_that_is_something_else_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"not a database, but longer than a header would be" * 40)
    with pytest.raises(JournalError, match=r"journal\.sqlite"):
        Journal(path)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError):
        Journal(tmp_path / "file" / "journal.sqlite")
