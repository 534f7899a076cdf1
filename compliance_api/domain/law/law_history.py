"""The law in both times: since when a text is in force, and since when it is known here.

Holds always: what was known is never changed, a changed or withdrawn text is a new version beside the old; a moment is
judged by the law in force then, as it was known then. So a text that is made to reach back changes nothing that
happened before anybody could know it, and shows as backdated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from compliance_api.domain.law.law import Law, LawBook, LawError
from compliance_api.domain.law.law_text import form
from compliance_api.domain.law.timeline import Span, Timeline


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
    """A text as data, in one form."""
    return form(law)


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

    def timeline(self, jurisdiction: str) -> Timeline:
        """The laws of a place, each from when it was in force and known; none while several contradict each other."""
        changes = {one.known_from for one in self.versions}
        for one in self.versions:
            if one.law is not None:
                changes |= {one.law.effective_from, one.law.effective_until or one.law.effective_from}
        spans: list[Span] = []
        moments = sorted(changes)
        for start, end in zip(moments, [*moments[1:], None], strict=True):
            try:
                _, law = self.in_force(jurisdiction, start, start)
            except LawError:
                continue
            if spans and spans[-1].law is law and spans[-1].until == start:
                spans[-1] = replace(spans[-1], until=end)
            else:
                spans.append(Span(start, end, law))
        return Timeline(tuple(spans))

    def until(self, known_at: datetime | None) -> LawHistory:
        """As it was known at a moment; None for as it is known now."""
        if known_at is None:
            return self
        return LawHistory(tuple(one for one in self.versions if one.known_from <= known_at))

    def version_of(self, law: Law) -> LawVersion:
        """The version that a text of this history is.

        Raises:
            LawError: It is none of them.
        """
        found = next((one for one in self.versions if one.law is law), None)
        if found is None:
            raise LawError(f"{law.id} is no text of this history")
        return found

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
