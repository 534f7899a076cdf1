"""A SQLite file that one process owns, written durably, and replaced by a fresh one when it is damaged.

Holds always: under its name stands a complete file or none; a damaged file is moved aside whole (with its log) and
kept; a fresh file that stands in for lost content says so in its own `loss` table, from its first moment and after a
crash at any point of the replacement.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

MAX_ASIDE = 8

_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\0"
_LOSS = "CREATE TABLE loss (reason TEXT NOT NULL) STRICT;"


class NewerFormatError(Exception):
    """The file was written by a later version of this software; it is left as it is."""


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code, 0 where the error carries none."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def is_corruption(error: sqlite3.Error) -> bool:
    """Whether the error says that the file is damaged."""
    return primary_code(error) in _CORRUPT


def _connect(path: Path) -> sqlite3.Connection:
    # Transactions are spelled out by the user, whose lock makes one connection fit for several threads.
    db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        # Exclusive before the first access: the write-ahead index stays in this process's memory, so that a full disk
        # cannot turn a mapped file into SIGBUS.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        # Pages: a log that is folded in early leaves little to find room for when the disk fills up.
        db.execute("PRAGMA wal_autocheckpoint = 128")
        db.execute("PRAGMA trusted_schema = OFF")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _sync(path: Path, flags: int = os.O_RDONLY) -> None:
    fd = os.open(path, flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@dataclass(frozen=True)
class Format:
    """What a healthy file holds."""

    schema: str
    application_id: int
    version: int


class OwnedFile:
    """The file at `path`; what its methods raise is OSError, sqlite3.Error and `NewerFormatError`."""

    def __init__(self, path: Path, form: Format) -> None:
        self.path = path
        self._form = form
        self._fresh = path.with_name(f"{path.name}.fresh")
        self._owner: int | None = None

    def take(self) -> None:
        """Makes this process the file's owner.

        Raises:
            BlockingIOError: Another process is.
        """
        # A lock of its own, since SQLite's follows the inode, and the name changes inodes when a file is replaced.
        owner = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(owner)
            raise
        self._owner = owner

    def connect(self) -> sqlite3.Connection:
        """Opens the file this process owns, making or replacing it where needed."""
        if not self.path.exists():
            self._begin()
        elif not self._healthy(self.path):
            self._replace("damaged")
        return _connect(self.path)

    def replace(self, reason: str) -> sqlite3.Connection:
        """Puts a fresh file in the place of this one, which the caller has closed and found damaged."""
        self._replace(reason)
        return _connect(self.path)

    def close(self) -> None:
        """Gives the file up; the caller has closed its connection."""
        if self._owner is not None:
            os.close(self._owner)
            self._owner = None

    def _log_of(self, path: Path) -> Path:
        return path.with_name(f"{path.name}-wal")

    def _begin(self) -> None:
        log = self._log_of(self.path)
        orphan = log.exists()
        if orphan:
            # Left by an unfinished replacement or by somebody's hand: replayed into another file it would destroy it.
            log.replace(self._log_of(self._free_name()))
        if not (self._fresh.exists() and self._healthy(self._fresh)):
            self._make_fresh("the file was gone and its log was left" if orphan else None)
        self._fresh.replace(self.path)
        _sync(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)

    def _replace(self, reason: str) -> None:
        aside = self._free_name()
        self._make_fresh(f"{reason}; kept as {aside.name}")
        # The file before its log: a file that kept its name but lost its log would look whole and be out of date.
        self.path.replace(aside)
        log = self._log_of(self.path)
        if log.exists():
            log.replace(self._log_of(aside))
        self._fresh.replace(self.path)
        _sync(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)

    def _free_name(self) -> Path:
        """A name for a damaged file; the oldest gives way, so that copies never fill the disk."""
        names = [self.path.with_name(f"{self.path.name}.corrupt-{number}") for number in range(1, MAX_ASIDE + 1)]
        for name in names:
            if not name.exists() and not self._log_of(name).exists():
                return name
        return min(names, key=lambda name: name.stat().st_mtime if name.exists() else 0.0)

    def _make_fresh(self, loss: str | None) -> None:
        """Writes an empty file beside the place, complete and synced before it gets the name."""
        for leftover in (self._fresh, self._log_of(self._fresh)):
            leftover.unlink(missing_ok=True)
        os.close(os.open(self._fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(_connect(self._fresh)) as db:
            db.execute("BEGIN IMMEDIATE")
            for statement in f"{_LOSS}{self._form.schema}".split(";"):
                db.execute(statement)
            if loss is not None:
                db.execute("INSERT INTO loss VALUES (?)", (loss,))
            # Last, and in the same transaction: a file with this number is complete.
            db.execute(f"PRAGMA user_version = {self._form.version}")
            db.execute(f"PRAGMA application_id = {self._form.application_id}")
            db.execute("COMMIT")
        _sync(self._fresh)

    def _healthy(self, path: Path) -> bool:
        # Looked at before SQLite opens it, which would write into a file that is empty or somebody else's.
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
        if header[:16] != _MAGIC or header[68:72] != self._form.application_id.to_bytes(4, "big"):
            return False
        try:
            with closing(_connect(path)) as db:
                version = db.execute("PRAGMA user_version").fetchone()[0]
                if version > self._form.version:
                    raise NewerFormatError(f"written by a later version of this software (format {version})")
                return bool(db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
        except sqlite3.DatabaseError as error:
            if is_corruption(error):
                return False
            raise
