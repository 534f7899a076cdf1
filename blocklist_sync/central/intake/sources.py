"""Lists that others publish, taken again and again: what is asked of each, and what is made of what it brings.

Holds always: what a source brings is weighed before it is used: a page, an empty or a shrunk list, one with too many
lines that cannot be taken over, are refused, and the last good copy stands; nothing here reads a clock or a network.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from blocklist_sync.artifact.categories import ALWAYS_MANDATED, CATEGORY_OF_LABEL
from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import order_number
from blocklist_sync.central.intake.download import Body, Failure, Limits, SourceError
from blocklist_sync.central.intake.formats import Format
from blocklist_sync.central.intake.imports import Counts, Terms
from blocklist_sync.central.log.proposals import IDENTIFIER
from lachan.config import ConfigPath, Duration, Settings

MAX_SOURCES = 1000
MAX_URL_CHARACTERS = 2000
RETRY_SECONDS = 900.0
"""After a failure, doubled with each in a row, up to the interval."""

# How pages, documents and archives begin, where a list was promised.
_PAGES = (b"<!doctype", b"<html", b"<head", b"<body", b"<script", b"<?xml", b"<!--")
_ARCHIVES = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"\x28\xb5\x2f\xfd")


def _https(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.username is not None or parts.fragment:
        raise ValueError("https://HOST/… is expected, without a user and a fragment")
    return url


def _category(label: str) -> str:
    if label not in CATEGORY_OF_LABEL:
        raise ValueError(f"one of {', '.join(CATEGORY_OF_LABEL)}")
    return label


def _order(text: str) -> str:
    try:
        return order_number(text)
    except ArtifactError as error:
        raise ValueError(str(error)) from error


class SourceSettings(Settings):
    """One source."""

    name: Annotated[str, Field(pattern=f"^{IDENTIFIER.pattern}$")]
    url: Annotated[str, Field(max_length=MAX_URL_CHARACTERS), AfterValidator(_https)] | None = None
    file: ConfigPath | None = None
    ca: ConfigPath | None = None
    """The authority that must vouch for the server, instead of the system's."""
    format: Format | None = None
    """None: told from what it brings."""
    category: Annotated[str, AfterValidator(_category)] | None = None
    order: Annotated[str, AfterValidator(_order)] | None = None
    mandated: bool | None = None
    exact: bool = False
    mode: Literal["replace", "add"] = "replace"
    interval: Annotated[Duration, Field(ge=60, le=366 * 86_400)] = 86_400.0
    max_bytes: Annotated[int, Field(ge=1024, le=4 << 30)] = 256 << 20
    timeout: Annotated[Duration, Field(gt=0, le=86_400)] = 600.0
    idle_timeout: Annotated[Duration, Field(gt=0, le=3600)] = 30.0
    max_shrink_percent: Annotated[float, Field(ge=0, le=100)] = 20.0
    """Names that may be gone since the last good copy."""
    max_refused_percent: Annotated[float, Field(ge=0, le=100)] = 5.0
    """Lines that may be refused."""
    forbidden_names: Literal["leave-out", "refuse"] = "leave-out"
    """What becomes of names that must never be blocked: their lines are refused, or all of what was brought is."""

    @model_validator(mode="after")
    def _whole(self) -> SourceSettings:
        if (self.url is None) == (self.file is None):
            raise ValueError("either url or file")
        if self.format is not Format.CSV and (self.category is None or self.order is None):
            raise ValueError("category and order, which only a list in CSV can say itself")
        if self.mandated is False and self.category is not None and CATEGORY_OF_LABEL[self.category] in ALWAYS_MANDATED:
            raise ValueError(f"{self.category} is mandated for everybody")
        return self

    @property
    def place(self) -> str:
        """Where it is published."""
        return self.url if self.url is not None else str(self.file)

    @property
    def terms(self) -> Terms:
        """How its names are listed."""
        category = CATEGORY_OF_LABEL[self.category] if self.category is not None else None
        scope = Scope.EXACT if self.exact else Scope.SUBTREE
        return Terms(category, self.order, self.mandated, scope, self.format)

    @property
    def limits(self) -> Limits:
        """What a download may take."""
        return Limits(self.max_bytes, self.timeout, self.idle_timeout)


class SourcesSettings(Settings):
    """Every source, and where what they bring is kept."""

    folder: ConfigPath
    """Last good copies and drafts; for the list authority alone to read."""
    release: ConfigPath
    """The release folder, whose list is in force."""
    rails: ConfigPath | None = None
    sources: Annotated[tuple[SourceSettings, ...], Field(min_length=1, max_length=MAX_SOURCES)]

    @model_validator(mode="after")
    def _names(self) -> SourcesSettings:
        names = [source.name for source in self.sources]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"sources: {', '.join(sorted(twice))}: a name given twice")
        return self


def due_at(interval: float, checked_at: int, failures: int) -> float:
    """When a source is to be asked again; at once if it never was.

    Args:
        interval: Seconds between two looks.
        checked_at: The last look, in seconds since 1970 UTC; 0 for none.
        failures: How many looks in a row failed.
    """
    if not checked_at:
        return 0.0
    # Sooner than usual after a failure, but never at the rate of a loop.
    wait = interval if not failures else min(interval, RETRY_SECONDS * 2 ** min(failures - 1, 20))
    return checked_at + wait


def check_body(body: Body) -> None:
    """Refuses what begins as no list does.

    Raises:
        SourceError: It is a page, an archive, or nothing.
    """
    start = body.head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise SourceError(Failure.EMPTY, "nothing in it")
    kind = body.content_type.partition(";")[0].strip().lower()
    if start.lower().startswith(_PAGES) or kind in {"text/html", "application/xhtml+xml"}:
        raise SourceError(Failure.PAGE, "a page, not a list")
    if start.startswith(_ARCHIVES):
        raise SourceError(Failure.COMPRESSED, "an archive, not a list")


def weigh(lines: Counts, before: int, source: SourceSettings) -> None:
    """Refuses a list that lost too much, or is not understood.

    Args:
        lines: What became of its lines.
        before: Names in the last good copy; 0 where there is none.
        source: How much is too much.

    Raises:
        SourceError: It is.
    """
    if not lines.names:
        raise SourceError(Failure.EMPTY, f"no name in it, {lines.refused} lines refused")
    if lines.refused * 100 > source.max_refused_percent * (lines.refused + lines.names):
        most = max(lines.reasons, key=lambda reason: lines.reasons[reason])
        share = f"more than {source.max_refused_percent:g} %"
        raise SourceError(Failure.REFUSED_LINES, f"{lines.refused} lines refused, {share}: {most}")
    if (before - lines.names) * 100 > source.max_shrink_percent * before:
        share = f"more than {source.max_shrink_percent:g} % less"
        raise SourceError(Failure.SHRUNK, f"{lines.names} names, {share} than the {before} before")
