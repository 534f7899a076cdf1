"""What must not pass unnoticed: rails as data with a reason each, and what they say.

Holds always: every finding says its rail, why, how many names and the first of them; a rail refuses, asks for a second
approver, or only shows names to those who decide.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import Field

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.rails import topsites
from blocklist_sync.central.rails.neverblock import NeverBlock, Protected, Severity
from blocklist_sync.central.rails.topsites import TopSites
from lachan import config
from lachan.config import ConfigPath, Settings

SHOWN = 10
MAX_DETAIL_CHARACTERS = 1000

Percent = Annotated[float, Field(gt=0, le=100)]


@dataclass(frozen=True)
class Finding:
    """What one rail found in a set of changes."""

    rail: str
    severity: Severity
    why: str
    count: int
    names: tuple[str, ...] = ()
    """The first ones."""

    @property
    def detail(self) -> str:
        """The finding in one line, as a proposal's header carries it."""
        shown = ", ".join(self.names)
        more = f" and {self.count - len(self.names)} more" if self.count > len(self.names) > 0 else ""
        text = f"{self.why}{f': {shown}{more}' if shown else ''}"
        return text if len(text) <= MAX_DETAIL_CHARACTERS else text[: MAX_DETAIL_CHARACTERS - 1] + "…"


class RailError(CentralError):
    """Rails stand against a set of changes; `findings` are those that do."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__(
            "\n".join(f"{finding.rail} ({finding.severity}): {finding.detail}" for finding in self.findings)
        )


class Rail(Settings):
    """A rail, and what its findings ask for."""

    severity: Severity = Severity.SECOND_APPROVER
    enabled: bool = True


class ShareRail(Rail):
    """How much may change at once, in percent."""

    percent: Percent = 10
    at_least: Annotated[int, Field(ge=1)] = 200
    """Fewer entries are no finding, however short the list is."""


# What a file leaves out of a rail is that rail's own default, so each has a class.
class RemovalRail(ShareRail):
    """How much may go at once, in percent."""

    percent: Percent = 5


class HalvedRail(ShareRail):
    """How much an order may lose at once, in percent."""

    percent: Percent = 50
    at_least: Annotated[int, Field(ge=1)] = 10


class SuffixRail(Rail):
    """Names under which everybody may have one."""

    severity: Severity = Severity.REFUSE


class ConfusableRail(Rail):
    """Names that are spelled to be taken for others."""

    severity: Severity = Severity.REVIEW


class ParentRail(Rail):
    """A name above many listed ones: a provider of space or names for others, as a rule."""

    listed_below: Annotated[int, Field(ge=1)] = 50


class TopSitesRail(Rail):
    """Names that many people use."""

    file: ConfigPath | None = None
    """A rank and a name a line, or a name a line, best first."""
    names: Annotated[int, Field(ge=1, le=topsites.MAX_NAMES)] = 100_000
    """How many of the file's names count."""
    listed_below: Annotated[int, Field(ge=1)] = 5
    """A name with so many names of the file below it is too broad."""


class RailSettings(Settings):
    """Every rail, as a file has it."""

    public_suffix: SuffixRail = SuffixRail()
    change: ShareRail = ShareRail()
    """Of the entries in force, those that come and go."""
    removal: RemovalRail = RemovalRail()
    """Of the entries in force, those that go."""
    emptied: Rail = Rail()
    """An order's last entry goes."""
    halved: HalvedRail = HalvedRail()
    """Of an order's entries in force, those that go."""
    parent: ParentRail = ParentRail()
    confusable: ConfusableRail = ConfusableRail()
    top_sites: TopSitesRail = TopSitesRail()
    shipped_names: bool = True
    """Keep the names that must never be blocked as they are shipped, beside these."""
    never_block: Annotated[tuple[NeverBlock, ...], Field(max_length=100)] = ()


class ShippedNames(Settings):
    """The file of names that is shipped."""

    never_block: tuple[NeverBlock, ...]


@dataclass(frozen=True)
class Rails:
    """Rails made ready: settings, and what names are held against."""

    settings: RailSettings = field(default_factory=RailSettings)
    protected: Protected = field(default_factory=lambda: Protected(()))
    popular: TopSites = field(default_factory=TopSites)


def shipped_names() -> tuple[str, ...]:
    """The protected names that are shipped: the same on every machine of one version."""
    return tuple(sorted({name for one in _shipped() for name in (*one.trees, *one.names)}))


def _shipped() -> tuple[NeverBlock, ...]:
    file = resources.files("blocklist_sync.central.rails") / "neverblock.yaml"
    return config.parse(file.read_text("utf-8"), ShippedNames, file.name).never_block


def prepare(settings: RailSettings) -> Rails:
    """Reads what rails need besides their settings.

    Raises:
        CentralError: The list of top sites cannot be read.
    """
    top = settings.top_sites
    return Rails(
        settings,
        Protected([*settings.never_block, *(_shipped() if settings.shipped_names else ())]),
        topsites.load(top.file, top.names) if top.file is not None and top.enabled else TopSites(),
    )


def load(path: Path | None) -> Rails:
    """The rails in a file; the shipped ones without a file.

    Raises:
        ConfigError: The file cannot be used.
        CentralError: The list of top sites cannot be read.
    """
    return prepare(RailSettings() if path is None else config.load(path, RailSettings))


def screen(rails: Rails, name: str, subtree: bool) -> str | None:
    """Why a block of a name, and of what is below it if `subtree`, would be refused whoever approved it."""
    hurt = rails.protected.set_of(name, subtree)
    return hurt.why if hurt is not None and hurt.severity is Severity.REFUSE else None


def merged(*findings: Iterable[Finding]) -> list[Finding]:
    """Several sets of findings as one, each finding once, those that refuse first."""
    ranks = list(Severity)
    return sorted(
        {finding for some in findings for finding in some},
        key=lambda finding: (ranks.index(finding.severity), finding.rail, finding.why),
    )


def refused(findings: Iterable[Finding]) -> list[Finding]:
    """Those that nobody can override."""
    return [finding for finding in findings if finding.severity is Severity.REFUSE]


def overridable(findings: Iterable[Finding]) -> list[Finding]:
    """Those that a second approver can override."""
    return [finding for finding in findings if finding.severity is Severity.SECOND_APPROVER]
