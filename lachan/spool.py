"""A durable, bounded outbox in one SQLite file: what is promised to somebody stays here until they prove they have it.

Holds always:

- an item enters in one transaction with the state its caller keeps about it (the head of a chain, say), and leaves in
  one transaction with the proof that it arrived: after a crash at any point both happened or neither;
- items are read oldest first, each is there once, and the bounds on count and bytes are never passed;
- one process owns the file at a time;
- a file that is damaged is moved aside and kept, a fresh one takes its place, and `lost` says so until the caller has
  told the loss in an item.

A disk that is full or failing raises `SpoolUnavailableError` and changes nothing.
"""

from __future__ import annotations

import enum
import hashlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lachan.errors import LachanError
from lachan.sqlitefile import Format, NewerFormatError, OwnedFile, is_corruption, primary_code

_RECEIPT = """CREATE TABLE IF NOT EXISTS receipt (
      position INTEGER PRIMARY KEY,
      stored_at REAL NOT NULL,
      receipt BLOB NOT NULL
    ) STRICT"""
# The payload stands last, so that reading the columns before it never touches its pages.
_FORMAT = Format(
    schema="""
    CREATE TABLE item (
      position INTEGER PRIMARY KEY AUTOINCREMENT,
      digest BLOB NOT NULL UNIQUE,
      appended_at REAL NOT NULL,
      held_at REAL,
      held_reason TEXT,
      payload BLOB NOT NULL
    ) STRICT;
    CREATE INDEX held ON item (held_at, position) WHERE held_at IS NOT NULL;
    CREATE TABLE proof (
      position INTEGER PRIMARY KEY,
      digest BLOB NOT NULL UNIQUE,
      stored_at REAL NOT NULL,
      proof BLOB NOT NULL
    ) STRICT;
    CREATE TABLE state (key TEXT PRIMARY KEY, digest BLOB NOT NULL, value BLOB NOT NULL) STRICT;
    """
    + _RECEIPT,
    application_id=0x4C435350,  # "LCSP"
    version=1,
)

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_ITEM = "SELECT position, digest, payload, appended_at FROM item"
_WAITING = "NOT EXISTS (SELECT 1 FROM receipt WHERE receipt.position = item.position)"


class SpoolError(LachanError):
    """The spool did not do what it was asked to; nothing in it has changed."""


class SpoolFullError(SpoolError):
    """An item would pass the spool's bounds, and the policy is to refuse it."""


class SpoolUnavailableError(SpoolError):
    """The disk is full or failing, or another process owns the file: worth another try later."""


class SpoolCorruptError(SpoolError):
    """The file was found damaged and a fresh one stands in its place; what was read before means nothing now."""


class Overflow(enum.Enum):
    """What gives way when the spool is full."""

    REFUSE = "refuse"
    """The new item: for a chain, whose links cannot be dropped."""
    DROP_OLDEST = "drop_oldest"
    """The oldest items: where the newest tell the most."""


@dataclass(frozen=True)
class Limits:
    """The bounds of a spool."""

    items: int = 100_000
    bytes: int = 256 << 20
    item_bytes: int = 1 << 20
    proofs: int = 10_000
    overflow: Overflow = Overflow.REFUSE


@dataclass(frozen=True)
class Item:
    """One thing waiting to be delivered; `digest` is the SHA-256 of `payload`, `position` grows and is never reused."""

    position: int
    digest: bytes
    payload: bytes
    appended_at: float


@dataclass(frozen=True)
class Proof:
    """The proof that an item arrived, kept after the item has left."""

    position: int
    digest: bytes
    proof: bytes
    stored_at: float


@dataclass(frozen=True)
class Stats:
    """How full the spool is."""

    items: int
    bytes: int
    held: int
    dropped: int
    oldest_at: float | None
    acknowledged: int = 0


class Spool:
    """An open spool; every method may be called from any thread, and blocks for as long as the disk takes to sync."""

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        """Opens the spool at `path`, making it where there is none.

        Raises:
            SpoolUnavailableError: The file cannot be opened, or another process owns it.
            SpoolError: It was written by a later version.
        """
        self.path = path
        self.limits = limits or Limits()
        self._lock = threading.RLock()
        self._file = OwnedFile(path, _FORMAT)
        self._items = self._bytes = self._dropped = 0
        self._waiting = "1"
        self._db: sqlite3.Connection | None = None
        self._closed = False
        try:
            self._file.take()
        except BlockingIOError as error:
            raise SpoolUnavailableError(f"{path}: another process is using it") from error
        except OSError as error:
            raise self._unavailable(error) from error
        try:
            self._attach(self._file.connect())
        except (NewerFormatError, sqlite3.Error, OSError) as error:
            self._file.close()
            if isinstance(error, NewerFormatError):
                raise SpoolError(f"{path}: {error}") from error
            raise self._unavailable(error) from error

    def _attach(self, db: sqlite3.Connection) -> sqlite3.Connection:
        self._db = db
        # A file of an earlier release has no place for receipts; on a full disk it gets one later.
        with suppress(sqlite3.OperationalError):
            db.execute(_RECEIPT)
        there = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'receipt'").fetchone()
        self._waiting = _WAITING if there else "1"
        self._items, self._bytes = db.execute("SELECT count(*), coalesce(sum(length(payload)), 0) FROM item").fetchone()
        return db

    def _damaged(self, reason: str) -> SpoolError:
        """Replaces the file, and gives what to raise."""
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None
        try:
            self._attach(self._file.replace(reason))
        except (sqlite3.Error, OSError) as error:
            return SpoolUnavailableError(f"{self.path}: damaged ({reason}), and cannot be replaced: {error}")
        return SpoolCorruptError(f"{self.path}: damaged ({reason}); moved aside, begun anew")

    def _unavailable(self, error: sqlite3.Error | OSError) -> SpoolError:
        if isinstance(error, sqlite3.Error) and primary_code(error) in _BUSY:
            return SpoolUnavailableError(f"{self.path}: another process is using it")
        reason = error.strerror if isinstance(error, OSError) else error
        return SpoolUnavailableError(f"{self.path}: {reason}")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._closed:
                raise SpoolUnavailableError(f"{self.path}: closed")
            try:
                # There is no connection where a damaged file could not be replaced, on a full disk say.
                yield self._db or self._attach(self._file.connect())
            except sqlite3.Error as error:
                fault = self._damaged(str(error)) if is_corruption(error) else self._unavailable(error)
                raise fault from error
            except OSError as error:
                raise self._unavailable(error) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as db:
            counts = self._items, self._bytes, self._dropped
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except BaseException:
                self._items, self._bytes, self._dropped = counts
                if db.in_transaction:
                    with suppress(sqlite3.Error):
                        db.execute("ROLLBACK")
                raise

    @property
    def lost(self) -> str | None:
        """Why earlier content is gone, until an item has told it; None where nothing was lost."""
        with self._reading() as db:
            row = db.execute("SELECT reason FROM loss LIMIT 1").fetchone()
            return None if row is None else str(row[0])

    def append(
        self, payload: bytes, now: float, state: Mapping[str, bytes] | None = None, *, tells_loss: bool = False
    ) -> Item:
        """Adds an item and sets the caller's state, both or neither, synced to disk when this returns.

        Args:
            payload: The item.
            now: Seconds since 1970-01-01 UTC.
            state: Values to set together with the item.
            tells_loss: The item declares `lost`, which therefore ends with it.

        Raises:
            SpoolFullError: No room; or the item is larger than `Limits.item_bytes`.
            SpoolError: The same payload is waiting, or was delivered not long ago.
            SpoolUnavailableError: The disk.
        """
        if len(payload) > min(self.limits.item_bytes, self.limits.bytes):
            raise SpoolFullError(f"{self.path}: an item of {len(payload)} bytes is larger than an item may be")
        digest = hashlib.sha256(payload).digest()
        with self._writing() as db:
            known = db.execute(
                "SELECT 1 FROM item WHERE digest = ?1 UNION ALL SELECT 1 FROM proof WHERE digest = ?1", (digest,)
            )
            if known.fetchone():
                raise SpoolError(f"{self.path}: item {digest.hex()} is known already")
            self._make_room(db, len(payload))
            cursor = db.execute(
                "INSERT INTO item (digest, payload, appended_at) VALUES (?, ?, ?)", (digest, payload, now)
            )
            position = cursor.lastrowid
            if position is None:  # pragma: no cover - the table has an integer key
                raise SpoolError(f"{self.path}: the item got no position")
            self._items += 1
            self._bytes += len(payload)
            for key, value in (state or {}).items():
                db.execute(
                    "INSERT INTO state (key, value, digest) VALUES (?, ?, ?) "
                    "ON CONFLICT (key) DO UPDATE SET value = excluded.value, digest = excluded.digest",
                    (key, value, hashlib.sha256(value).digest()),
                )
            if tells_loss:
                db.execute("DELETE FROM loss")
            return Item(position, digest, payload, now)

    def _make_room(self, db: sqlite3.Connection, size: int) -> None:
        while self._items + 1 > self.limits.items or self._bytes + size > self.limits.bytes:
            if self.limits.overflow is Overflow.REFUSE:
                raise SpoolFullError(f"{self.path}: full with {self._items} items of {self._bytes} bytes")
            position, length = db.execute(
                "SELECT position, length(payload) FROM item ORDER BY position LIMIT 1"
            ).fetchone()
            db.execute("DELETE FROM item WHERE position = ?", (position,))
            self._forget(db, position)
            self._items -= 1
            self._bytes -= length
            self._dropped += 1

    def state(self, key: str) -> bytes | None:
        """The value last set under `key`, None where there is none."""
        with self._reading() as db:
            row = db.execute("SELECT value, digest FROM state WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            if hashlib.sha256(row[0]).digest() != row[1]:
                raise self._damaged(f"state {key!r} does not match its digest")
            return bytes(row[0])

    def _take(self, rows: sqlite3.Cursor, max_bytes: int) -> list[Item]:
        items: list[Item] = []
        size = 0
        for position, digest, payload, appended_at in rows:
            if hashlib.sha256(payload).digest() != digest:
                rows.close()
                raise self._damaged(f"item {position} does not match its digest")
            size += len(payload)
            if items and size > max_bytes:
                break
            items.append(Item(position, digest, payload, appended_at))
        rows.close()
        return items

    @property
    def _next(self) -> str:
        return f"{_ITEM} WHERE held_at IS NULL AND {self._waiting}"

    def batch(self, max_items: int, max_bytes: int) -> list[Item]:
        """The oldest items neither held nor acknowledged; the first one always, further ones while they fit."""
        with self._reading() as db:
            rows = db.execute(f"{self._next} ORDER BY position LIMIT ?", (max_items,))
            return self._take(rows, max_bytes)

    def later(self, offset: int) -> list[Item]:
        """Of those that `batch` goes through, the one `offset` places after the oldest, or the newest, if any."""
        with self._reading() as db:
            rows = db.execute(f"{self._next} ORDER BY position LIMIT 1 OFFSET ?", (offset,))
            items = self._take(rows, self.limits.item_bytes)
            if items:
                return items
            rows = db.execute(f"{self._next} ORDER BY position DESC LIMIT 1")
            return self._take(rows, self.limits.item_bytes)

    def settle(self, proofs: Mapping[int, bytes], now: float) -> int:
        """Replaces items, by position, by the proofs that they arrived; how many of them were still here.

        Raises:
            SpoolUnavailableError: The disk.
        """
        settled = 0
        with self._writing() as db:
            for position, proof in proofs.items():
                self._forget(db, position)
                row = db.execute(
                    "DELETE FROM item WHERE position = ? RETURNING digest, length(payload)", (position,)
                ).fetchone()
                if row is None:
                    continue
                db.execute("INSERT INTO proof VALUES (?, ?, ?, ?)", (position, row[0], now, proof))
                settled += 1
                self._items -= 1
                self._bytes -= row[1]
            db.execute(
                "DELETE FROM proof WHERE position IN "
                "(SELECT position FROM proof ORDER BY position DESC LIMIT -1 OFFSET ?)",
                (self.limits.proofs,),
            )
        return settled

    def _forget(self, db: sqlite3.Connection, position: int) -> None:
        if self._waiting is _WAITING:
            db.execute("DELETE FROM receipt WHERE position = ?", (position,))

    def acknowledge(self, receipts: Mapping[int, bytes], now: float) -> None:
        """Stores receipts for items, by position, which stay until they are settled; `batch` passes them by.

        Raises:
            SpoolUnavailableError: The disk.
        """
        with self._writing() as db:
            db.execute(_RECEIPT)
            for position, receipt in receipts.items():
                db.execute(
                    "INSERT OR REPLACE INTO receipt (position, stored_at, receipt) "
                    "SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM item WHERE position = ?1)",
                    (position, now, receipt),
                )
                db.execute("UPDATE item SET held_at = NULL, held_reason = NULL WHERE position = ?", (position,))
        self._waiting = _WAITING

    def acknowledged(self, limit: int) -> list[tuple[Item, bytes]]:
        """The oldest items that have a receipt and are not settled, each with it."""
        if self._waiting is not _WAITING:
            return []
        with self._reading() as db:
            rows = db.execute("SELECT position, receipt FROM receipt ORDER BY position LIMIT ?", (limit,)).fetchall()
            receipts = dict(rows)
            marks = ", ".join("?" * len(receipts))
            found = db.execute(f"{_ITEM} WHERE position IN ({marks}) ORDER BY position", tuple(receipts))
            return [(item, receipts[item.position]) for item in self._take(found, self.limits.bytes)]

    def hold(self, position: int, reason: str, now: float) -> None:
        """Sets an item apart, so that `batch` passes it by; it stays in the spool and within its bounds."""
        with self._writing() as db:
            db.execute("UPDATE item SET held_at = ?, held_reason = ? WHERE position = ?", (now, reason, position))

    def held(self, before: float) -> Item | None:
        """The item held the longest, if that was before `before`."""
        with self._reading() as db:
            rows = db.execute(f"{_ITEM} WHERE held_at < ? ORDER BY held_at, position LIMIT 1", (before,))
            return next(iter(self._take(rows, self.limits.item_bytes)), None)

    def proofs(self, limit: int) -> list[Proof]:
        """The newest proofs, newest first."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT position, digest, proof, stored_at FROM proof ORDER BY position DESC LIMIT ?", (limit,)
            )
            return [Proof(*row) for row in rows.fetchall()]

    def stats(self) -> Stats:
        """How full the spool is."""
        with self._reading() as db:
            held = db.execute("SELECT count(*) FROM item WHERE held_at IS NOT NULL").fetchone()[0]
            oldest = db.execute("SELECT appended_at FROM item ORDER BY position LIMIT 1").fetchone()
            proven = "SELECT count(*) FROM receipt" if self._waiting is _WAITING else "SELECT 0"
            acknowledged = db.execute(proven).fetchone()[0]
            return Stats(self._items, self._bytes, held, self._dropped, oldest[0] if oldest else None, acknowledged)

    def close(self) -> None:
        """Closes the file; a second time does nothing."""
        with self._lock:
            self._closed = True
            if self._db is not None:
                db, self._db = self._db, None
                with suppress(sqlite3.Error):
                    # A full disk can keep the log from being folded in; it is folded in by the next opening.
                    db.close()
            self._file.close()
