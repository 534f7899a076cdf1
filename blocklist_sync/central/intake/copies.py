"""What is kept of a source: its last good copy, what is known of it, and how the last look went.

    state.json       how the last look went, and which copy is good
    SHA256.copy      the last good copy

Holds always: `state.json` names a copy that is whole, or none; it is written after the copy and before an older one is
removed, so that whatever interrupts a look, one good copy is there.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.intake.download import Body, Validators
from lachan import durable

MAX_STATE_BYTES = 1 << 16
MAX_DETAIL_CHARACTERS = 500


@dataclass(frozen=True)
class Good:
    """The last good copy."""

    sha256: str
    size: int
    names: int
    refused: int
    fetched_at: int
    place: str
    etag: str = ""
    last_modified: str = ""

    @property
    def validators(self) -> Validators:
        """By what its server knows it."""
        return Validators(self.etag, self.last_modified)


@dataclass(frozen=True)
class Look:
    """How the last look went."""

    checked_at: int = 0
    """Seconds since 1970 UTC; 0 before the first."""
    outcome: str = ""
    """`new`, `unchanged`, or the failure's kind."""
    detail: str = ""
    failures: int = 0
    """How many in a row, this one included."""
    good: Good | None = None

    def failed(self, now: int, outcome: str, detail: str) -> Look:
        """This look's failure; the copy stays."""
        return Look(now, outcome, detail[:MAX_DETAIL_CHARACTERS], self.failures + 1, self.good)

    def more(self, detail: str) -> Look:
        """The same look, with more to say of it."""
        return replace(self, detail=f"{self.detail}; {detail}"[:MAX_DETAIL_CHARACTERS])

    def went(self, now: int, outcome: str, good: Good) -> Look:
        """This look's success."""
        return Look(now, outcome, "", 0, good)


class Copies:
    """One source's folder, which the caller holds locked to write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.incoming = folder / "incoming"
        self.drafts = folder / "drafts"
        self._state = folder / "state.json"

    def last(self) -> Look:
        """How the last look went; a copy that is gone is none.

        Raises:
            CentralError: The file is malformed.
        """
        if not self._state.exists():
            return Look()
        try:
            held: dict[str, Any] = json.loads(durable.read(self._state, MAX_STATE_BYTES))
            good = Good(**held.pop("good")) if held.get("good") else held.pop("good", None)
            look = Look(**held, good=good)
        except (ValueError, TypeError, AttributeError) as error:
            raise CentralError(f"{self._state}: {error}") from error
        if look.good is not None and not self.path(look.good).exists():
            return replace(look, good=None)
        return look

    def path(self, good: Good) -> Path:
        """Where a copy is."""
        return self.folder / f"{good.sha256}.copy"

    def keep(self, body: Body, names: int, refused: int, now: int, place: str) -> Good:
        """Makes what came in the copy that is kept; `note` makes it the good one."""
        good = Good(
            body.sha256, body.size, names, refused, now, place, body.validators.etag, body.validators.last_modified
        )
        try:
            self.incoming.replace(self.path(good))
            durable.sync_directory(self.folder)
        except OSError as error:
            raise CentralError(f"{self.path(good)}: {error.strerror}") from error
        return good

    def note(self, look: Look) -> None:
        """Writes how a look went, then removes what it leaves behind.

        Raises:
            FileError: It cannot be written.
        """
        durable.write(self._state, [json.dumps(asdict(look), ensure_ascii=False, indent=1).encode() + b"\n"])
        kept = self.path(look.good) if look.good is not None else None
        for path in self.folder.glob("*.copy"):
            if path != kept:
                path.unlink(missing_ok=True)
        self.incoming.unlink(missing_ok=True)
