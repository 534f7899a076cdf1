"""Releases that an operator suspends for some hours: while one is suspended, the release before it is in force.

Holds always: a suspension is a term of `lachan.terms`, with an end; it is of one release, by digest, and never of
whatever comes after.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from blocklist_sync.edge.errors import SyncError
from lachan.terms import KEPT_SECONDS, Form, Term, Terms

FILE = "suspensions.json"
KEPT_MAX = 16

_CODE = re.compile(r"[a-z_]{1,32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class SuspensionError(SyncError):
    """A suspension that cannot be."""


@dataclass(frozen=True)
class Suspension(Term):
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


FORM = Form("a suspension", SuspensionError, KEPT_MAX, of_document)


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
    raw = {"serial": serial, "records_digest": records_digest.hex(), "code": code}
    return of_document(raw | FORM.span(reason, hours, now))


class Suspensions(Terms[Suspension]):
    """All that are kept."""

    def passed_over(self, now: float) -> frozenset[bytes]:
        """Digests of the records that are not to be in force."""
        return frozenset(one.records_digest for one in self.live(now))

    def adding(self, suspension: Suspension, now: float) -> Suspensions:
        """With another; one of the same release ends where this begins.

        Raises:
            SuspensionError: There are too many.
        """
        kept = self.ended(lambda one: one.records_digest == suspension.records_digest, now).kept
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
        return self.ended(lambda _: True, now)
