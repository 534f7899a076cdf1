"""The law in both times: since when a text is in force, and since when it is known here.

Holds always: what was known is never changed, a changed or withdrawn text is a new version beside the old; a moment is
judged by the law in force then, as it was known at the end of what is judged. So a text that is made to reach back
changes nothing that happened before anybody could know it, and shows as backdated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from compliance_api.domain.law import Law, LawBook, LawError


@dataclass(frozen=True)
class LawVersion:
    """One text as it was known from a moment on; without a law where it was taken back."""

    name: str
    version: int
    known_from: datetime
    content: str | None
    law: Law | None

    @property
    def digest(self) -> str:
        """SHA-256 of the text as data, in hex; empty where it was taken back."""
        return hashlib.sha256(self.content.encode()).hexdigest() if self.content is not None else ""

    @property
    def backdated(self) -> bool:
        """Whether it claims to have been in force before it was known here."""
        return self.law is not None and self.law.effective_from < self.known_from


def content(law: Law) -> str:
    """A text as data, in one form: sorted keys, no blanks, rates in the fewest digits that read back as the same."""
    return json.dumps(law.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True)
class LawHistory:
    """Every version of every text, in the order in which they became known."""

    versions: tuple[LawVersion, ...] = ()

    def known(self, at: datetime) -> list[LawVersion]:
        """The texts as they were known at a moment: the newest version of each, but those taken back."""
        newest: dict[str, LawVersion] = {}
        for one in self.versions:
            if one.known_from <= at:
                newest[one.name] = one
        return [one for one in newest.values() if one.law is not None]

    def in_force(self, jurisdiction: str, at: datetime, known_at: datetime) -> tuple[LawVersion, Law]:
        """The law of a place at a moment, as it was known at another.

        Raises:
            LawError: There is none, or a backdated text overlaps another.
        """
        found = [
            (one, one.law) for one in self.known(known_at) if one.law is not None and one.law.holds(jurisdiction, at)
        ]
        if not found:
            raise LawError(f"no law known at {known_at.isoformat()} is in force in {jurisdiction} at {at.isoformat()}")
        if len(found) > 1:
            names = ", ".join(one.name for one, _ in found)
            raise LawError(f"{names} are in force in {jurisdiction} at the same time, {at.isoformat()}")
        return found[0]

    def version(self, name: str, number: int) -> LawVersion:
        """One version of one text.

        Raises:
            LawError: There is no such version.
        """
        found = next((one for one in self.versions if (one.name, one.version) == (name, number)), None)
        if found is None:
            raise LawError(f"there is no version {number} of the law {name}")
        return found


def read(name: str, version: int, known_from: datetime, text: str | None) -> LawVersion:
    """A stored version."""
    return LawVersion(name, version, known_from, text, Law.model_validate_json(text) if text is not None else None)


def changes(history: LawHistory, book: LawBook, now: datetime) -> Sequence[LawVersion]:
    """What has to become known so that the history ends with this book: new, changed and withdrawn texts."""
    newest: dict[str, LawVersion] = {one.name: one for one in history.versions}
    wanted = {law.id: content(law) for law in book.laws}
    found = [
        read(name, (newest[name].version if name in newest else 0) + 1, now, text)
        for name, text in wanted.items()
        if name not in newest or newest[name].content != text
    ]
    gone: Iterable[LawVersion] = (one for name, one in newest.items() if name not in wanted and one.law is not None)
    return [*found, *(read(one.name, one.version + 1, now, None) for one in gone)]
