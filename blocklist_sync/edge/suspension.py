"""Releases that an operator suspends for some hours: while one is suspended, the release before it is in force.

Holds always: a suspension has a reason and an end at most `HOURS_MAX` away, whatever the clock does; it is kept as long
after its end as a report on it may still be due; it is of one release, by digest, and never of whatever comes after.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from blocklist_sync.edge.errors import SyncError
from lachan import durable

FILE = "suspensions.json"
HOURS_MAX = 72
SECONDS_MIN = 60
KEPT_MAX = 16
KEPT_SECONDS = 72 * 3600
"""After the end: longer than a window waits to be told."""
REASON_MAX = 200
FILE_MAX_BYTES = 1 << 16
FORM = 1

_CODE = re.compile(r"[a-z_]{1,32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class SuspensionError(SyncError):
    """A suspension that cannot be."""


@dataclass(frozen=True)
class Suspension:
    """One of them; times in seconds since 1970-01-01 UTC."""

    serial: int
    records_digest: bytes
    code: str
    """Why, in a word of the reports' contract."""
    reason: str
    """Why, in words, which stay on this machine."""
    created_at: int
    ends_at: int
    """When it runs out, or was taken back."""

    def live(self, now: float) -> bool:
        """Whether it is in force; a clock that was set back makes none longer than it may be."""
        return 0 < self.ends_at - now <= HOURS_MAX * 3600 + SECONDS_MIN

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"records_digest": self.records_digest.hex()}


def of_document(raw: Mapping[str, Any]) -> Suspension:
    """From what `document` gave.

    Raises:
        SuspensionError: It is something else.
    """
    try:
        made = Suspension(
            serial=int(raw["serial"]),
            records_digest=bytes.fromhex(raw["records_digest"]),
            code=str(raw["code"]),
            reason=str(raw["reason"]),
            created_at=int(raw["created_at"]),
            ends_at=int(raw["ends_at"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise SuspensionError(f"no suspension: {error!r}") from error
    if made.serial < 1 or not _DIGEST.fullmatch(made.records_digest.hex()) or not _CODE.fullmatch(made.code):
        raise SuspensionError(f"no suspension: of serial {made.serial}, {made.code[:40]!r}")
    return made


def make(serial: int, records_digest: bytes, *, code: str, reason: str, hours: float, now: float) -> Suspension:
    """A suspension that begins now.

    Args:
        serial: Of the release.
        records_digest: SHA-256 of its records.
        code: Why, in a word of the reports' contract.
        reason: Why, in words.
        hours: How long.
        now: Seconds since 1970-01-01 UTC.

    Raises:
        SuspensionError: It has no reason, or lasts too long.
    """
    reason = " ".join(reason.split())
    if len(reason) < 3:
        raise SuspensionError("a suspension needs a reason, in words")
    if len(reason) > REASON_MAX or not reason.isprintable():
        raise SuspensionError(f"a reason is at most {REASON_MAX} printable characters")
    if not SECONDS_MIN <= hours * 3600 <= HOURS_MAX * 3600:
        raise SuspensionError(f"a suspension lasts a minute to {HOURS_MAX} hours")
    begin = int(now)
    raw = {"serial": serial, "records_digest": records_digest.hex(), "code": code, "reason": reason}
    return of_document(raw | {"created_at": begin, "ends_at": begin + int(hours * 3600)})


@dataclass(frozen=True)
class Suspensions:
    """All that are kept, as a value: in force, and ended but perhaps not told yet."""

    kept: tuple[Suspension, ...] = ()

    def live(self, now: float) -> tuple[Suspension, ...]:
        """Those in force."""
        return tuple(one for one in self.kept if one.live(now))

    def passed_over(self, now: float) -> frozenset[bytes]:
        """Digests of the records that are not to be in force."""
        return frozenset(one.records_digest for one in self.live(now))

    def within(self, start: int, end: int) -> tuple[Suspension, ...]:
        """Those in force at some moment of a window."""
        return tuple(one for one in self.kept if one.created_at < end and one.ends_at > start)

    def adding(self, suspension: Suspension, now: float) -> Suspensions:
        """With another; one of the same release ends where this begins.

        Raises:
            SuspensionError: There are too many.
        """
        kept = self._ended(suspension.records_digest, now).pruned(now).kept
        if len(kept) >= KEPT_MAX:
            raise SuspensionError(f"{KEPT_MAX} suspensions within {KEPT_SECONDS // 3600} hours are the most")
        return Suspensions((*kept, suspension))

    def ending(self, now: float) -> Suspensions:
        """With all of them ended now.

        Raises:
            SuspensionError: None is in force.
        """
        if not self.live(now):
            raise SuspensionError("no release is suspended")
        return self._ended(None, now).pruned(now)

    def _ended(self, digest: bytes | None, now: float) -> Suspensions:
        return Suspensions(
            tuple(
                replace(one, ends_at=max(one.created_at, int(now)))
                if one.live(now) and digest in {None, one.records_digest}
                else one
                for one in self.kept
            )
        )

    def pruned(self, now: float) -> Suspensions:
        """Without those that nobody will ask about any more."""
        return Suspensions(tuple(one for one in self.kept if one.live(now) or one.ends_at > now - KEPT_SECONDS))


def read(path: Path) -> Suspensions:
    """What was kept; nothing where there never was any.

    Raises:
        SuspensionError: The file is damaged or cannot be read.
    """
    if not path.exists():
        return Suspensions()
    try:
        return _of_file(json.loads(durable.read(path, FILE_MAX_BYTES)))
    except (SuspensionError, durable.FileError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SuspensionError(f"{path}: {error}") from error


def _of_file(document: object) -> Suspensions:
    if not isinstance(document, dict) or document.get("form") != FORM or not isinstance(document["kept"], list):
        raise SuspensionError("of another form")
    return Suspensions(tuple(map(of_document, document["kept"][:KEPT_MAX])))


def write(path: Path, suspensions: Suspensions) -> None:
    """Keeps them durably.

    Raises:
        lachan.durable.FileError: It cannot be written; what was kept before still is.
    """
    document = {"form": FORM, "kept": [one.document() for one in suspensions.kept]}
    durable.make_folder(path.parent)
    durable.write(path, [json.dumps(document, indent=1).encode()])
