"""From source files to drafts of proposals: what would change, what the rails say of it, and the changes as a file.

    DIGEST.changes     the changes, as they would be approved
    DIGEST.json        the draft of a header: order, digests, counts, what rails found, what was read

Holds always: nothing here changes the list; a set of changes that a rail refuses is not written; each order has its own
draft, since a proposal carries out one order; the same files on the same list give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from blocklist_sync.artifact.orders import Order
from blocklist_sync.central import diff
from blocklist_sync.central.diff import Change, Held, Spool
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.intake import imports
from blocklist_sync.central.intake.formats import Refusal
from blocklist_sync.central.intake.imports import Terms, Wanted
from blocklist_sync.central.log import changes
from blocklist_sync.central.log.changes import Summary
from blocklist_sync.central.rails import rails, screening
from blocklist_sync.central.rails.rails import Finding, RailError, Rails
from blocklist_sync.central.rails.survey import State, Survey
from blocklist_sync.central.runs import Runs
from lachan import durable

FORMAT = "lachan-draft 1"
DIGEST_CHARACTERS = 32
_READ_BYTES = 1 << 20
# Of an import as a whole, whatever part of it one order has.
_OF_THE_WHOLE = {"change", "removal"}


class Progress(Protocol):
    """Is told how far a stage has come."""

    def stage(self, name: str, total: int | None) -> Callable[[int], None]:
        """Begins a stage of so many units; what it returns is told of each that is done."""


class Quiet:
    """Shows nothing."""

    def stage(self, name: str, total: int | None) -> Callable[[int], None]:  # noqa: ARG002  as the protocol has it
        """A stage that nobody watches."""
        return _nothing


def _nothing(_: int) -> None:
    pass


@dataclass(frozen=True)
class Request:
    """What to import, and how."""

    files: Sequence[Path]
    terms: Terms
    replace: bool = False
    """Remove what is in force of the source and no longer in it; otherwise only add."""
    leave_out: bool = False
    """Refuse lines whose names must never be blocked, instead of the whole import."""


@dataclass(frozen=True)
class Draft:
    """A written draft."""

    order: Order
    path: Path
    changes: Path
    summary: Summary
    findings: Sequence[Finding]


@dataclass(frozen=True)
class Outcome:
    """What an import came to."""

    lines: imports.Counts
    diff: diff.Counts
    findings: Sequence[Finding]
    state: State
    drafts: Sequence[Draft]


@dataclass(frozen=True)
class _Read:
    file: str
    sha256: str
    size: int


class _Sets:
    """The changes of each order, to be read again."""

    def __init__(self, orders: Sequence[Order], files: ExitStack) -> None:
        self._files = files
        self._target = {order.text: order for order in reversed(orders)}
        self._exact = set(orders)
        self.of: dict[Order, Spool] = {}

    def add(self, change: Change) -> None:
        order = change.kind.order
        if not change.added and order not in self._exact:
            # What goes because its order mandates otherwise now goes with what comes.
            order = self._target.get(order.text, order)
        if order not in self.of:
            self.of[order] = self._files.enter_context(Spool())
        self.of[order].add(change)

    def __iter__(self) -> Iterator[Change]:
        for spool in self.of.values():
            yield from spool

    def __len__(self) -> int:
        return sum(spool.changes for spool in self.of.values())


def draw_up(
    request: Request,
    held: Callable[[Runs], Iterable[Held]],
    guard: Rails,
    refuse: Callable[[Refusal], None],
    out: Path | None = None,
    progress: Progress | None = None,
    weigh: Callable[[imports.Counts], None] | None = None,
) -> Outcome:
    """Compares source files with the list in force, holds the difference against the rails, and writes it down.

    Args:
        request: What to import.
        held: The list in force, sorted by name; given runs to sort with if it needs them.
        guard: The rails.
        refuse: Told of every line that is not taken over.
        out: The folder for drafts; None to compare alone.
        progress: Told how far it has come.
        weigh: Shown what became of the lines once all are read; what it raises ends the import.

    Raises:
        CentralError: A file cannot be read, or none of its names was accepted.
        RailError: Rails refuse the changes, and drafts were asked for.
        FileError: A draft cannot be written.
    """
    progress = progress or Quiet()
    screen = partial(rails.screen, guard) if request.leave_out else None
    with ExitStack() as files:
        wanted = Wanted(request.terms, refuse, files.enter_context(Runs()), screen)
        _read(request.files, wanted, progress)
        if weigh is not None:
            weigh(wanted.counts)
        if not wanted.counts.names:
            raise CentralError("no name was accepted: an empty source is never taken for an empty list")
        counts, survey = diff.Counts(), Survey()
        sets = _Sets(wanted.orders, files)
        belongs = wanted.belongs if request.replace else None
        before = survey.watch(held(files.enter_context(Runs())))
        passed = progress.stage("comparing", wanted.counts.names)
        for change in diff.compare(before, _counted(wanted, passed), belongs, counts):
            sets.add(change)
        state = survey.state()
        whole = screening.check(sets, state, guard, progress.stage("rails", len(sets)))
        drafts = []
        if out is not None and len(sets):
            if found := rails.refused(whole):
                raise RailError(found)
            sources = [_digest(path) for path in request.files]
            write = progress.stage("writing", len(sets))
            for order, spool in sorted(sets.of.items()):
                findings = whole
                if len(sets.of) > 1:
                    shared = [finding for finding in whole if finding.rail in _OF_THE_WHOLE]
                    findings = rails.merged(shared, screening.check(spool, state, guard))
                drafts.append(_write(out, order, _told(spool, write), findings, sources, wanted.counts))
    return Outcome(wanted.counts, counts, whole, state, drafts)


def _read(files: Sequence[Path], wanted: Wanted, progress: Progress) -> None:
    try:
        total = sum(path.stat().st_size for path in files)
    except OSError as error:
        raise CentralError(f"{error.filename}: {error.strerror}") from error
    passed = progress.stage("reading", total)
    for path in files:
        wanted.read(path, passed)


def _counted(entries: Iterable[Held], passed: Callable[[int], None]) -> Iterator[Held]:
    for entry in entries:
        passed(1)
        yield entry


def _told(spool: Spool, passed: Callable[[int], None]) -> Iterator[Change]:
    for change in spool:
        passed(1)
        yield change


def _digest(path: Path) -> _Read:
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while data := file.read(_READ_BYTES):
                digest.update(data)
                size += len(data)
    except OSError as error:
        raise CentralError(f"{path}: {error.strerror}") from error
    return _Read(path.name, digest.hexdigest(), size)


def _write(
    out: Path,
    order: Order,
    entries: Iterable[Change],
    findings: Sequence[Finding],
    sources: Sequence[_Read],
    lines: imports.Counts,
) -> Draft:
    durable.make_folder(out)
    aside = out / ".changes"
    try:
        summary = changes.write(aside, entries)
        text = out / f"{summary.digest.hex()[:DIGEST_CHARACTERS]}.changes"
        aside.replace(text)
    except OSError as error:
        raise CentralError(f"{out}: {error.strerror}") from error
    finally:
        aside.unlink(missing_ok=True)
    head = text.with_suffix(".json")
    document = {
        "format": FORMAT,
        "order": {"number": order.text, "mandated": int(order.mandated)},
        "changes": text.name,
        "changes_sha256": summary.digest.hex(),
        "added": summary.added,
        "removed": summary.removed,
        "rails": [{"rail": finding.rail, "detail": finding.detail} for finding in rails.overridable(findings)],
        "findings": [told(finding) for finding in findings],
        "sources": [{"file": one.file, "sha256": one.sha256, "bytes": one.size} for one in sources],
        "refused_lines": lines.refused,
    }
    durable.write(head, [json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"])
    return Draft(order, head, text, summary, findings)


def told(finding: Finding) -> dict[str, Any]:
    """A finding as JSON has it."""
    return {
        "rail": finding.rail,
        "severity": finding.severity.value,
        "why": finding.why,
        "count": finding.count,
        "names": list(finding.names),
    }
