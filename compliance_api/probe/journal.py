"""What the probe has taken on and how far it has come, in a SQLite file.

Holds always: an assignment is in the journal before its first question is asked, and stays until it expires, so that
neither a restart nor the service offering it again makes a question be asked twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from compliance_api.probe.errors import JournalError

_SCHEMA = """
create table if not exists assignment (
  id blob primary key, message blob not null, expires_at integer not null
) without rowid;
create table if not exists done (
  assignment_id blob not null references assignment (id) on delete cascade,
  question_index integer not null,
  primary key (assignment_id, question_index)
) without rowid;
"""


@dataclass(frozen=True)
class Entry:
    """An assignment taken, as it was received, and the indexes already observed."""

    message: bytes
    done: frozenset[int]


class Journal:
    """Opened by one process at a time."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file.

        Raises:
            JournalError: It cannot be opened, or is something else.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"{path}: {error}") from error
        with self._wrapped():
            self._database.execute("pragma journal_mode = wal")
            self._database.execute("pragma synchronous = full")
            self._database.execute("pragma foreign_keys = on")
            self._database.executescript(_SCHEMA)

    @contextmanager
    def _wrapped(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise JournalError(f"{self._path}: {error}") from error

    def add(self, assignment_id: bytes, message: bytes, expires_at: int) -> bool:
        """Remembers an assignment; False where it is known already."""
        with self._wrapped():
            cursor = self._database.execute(
                "insert or ignore into assignment values (?, ?, ?)", (assignment_id, message, expires_at)
            )
            return cursor.rowcount == 1

    def mark(self, assignment_id: bytes, index: int) -> None:
        """Remembers that a question is observed; an assignment that is not known changes nothing."""
        with self._wrapped():
            self._database.execute(
                "insert or ignore into done select id, ? from assignment where id = ?", (index, assignment_id)
            )

    def entries(self) -> list[Entry]:
        """Every assignment remembered, the one that expires first at the front."""
        with self._wrapped():
            rows = self._database.execute("select id, message from assignment order by expires_at, id").fetchall()
            return [
                Entry(
                    message,
                    frozenset(
                        index
                        for (index,) in self._database.execute(
                            "select question_index from done where assignment_id = ?", (assignment_id,)
                        )
                    ),
                )
                for assignment_id, message in rows
            ]

    def forget(self, expired_before: int) -> int:
        """Drops what expired before that time (seconds since 1970-01-01 UTC); how many assignments."""
        with self._wrapped():
            return self._database.execute("delete from assignment where expires_at < ?", (expired_before,)).rowcount

    def close(self) -> None:
        """Ends the use of the file."""
        self._database.close()
