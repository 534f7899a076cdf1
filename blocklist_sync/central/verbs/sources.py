"""`lachan-blocklist source`: lists that others publish, taken on a schedule.

Holds always: a look drafts proposals and changes nothing of the list; one source's failure keeps no other from its
look, and ends the command with status 1 once all were looked at.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from blocklist_sync.central import inforce
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.intake import sources
from blocklist_sync.central.intake.collector import Against, Collector, Result
from blocklist_sync.central.intake.copies import Copies, Look
from blocklist_sync.central.intake.sources import SourceSettings, SourcesSettings
from blocklist_sync.central.rails import rails
from blocklist_sync.central.release.candidate import ReleaseFolder
from blocklist_sync.central.verbs import imports
from blocklist_sync.central.verbs.common import Json
from blocklist_sync.central.verbs.progress import Bar
from blocklist_sync.central.verbs.refusals import Refusals
from lachan import config, terminal

app = typer.Typer(help="Lists that others publish, taken on a schedule.", no_args_is_help=True, add_completion=False)

Config = Annotated[Path, typer.Option("--config", help="deploy/examples/sources.yaml shows one.")]
Names = Annotated[list[str] | None, typer.Argument(help="Sources by their names; all if none is given.")]
MaxRefused = Annotated[int, typer.Option(min=0, help="Refused lines printed, of each source.")]

SHOWN = 10


def _chosen(settings: SourcesSettings, names: Sequence[str]) -> list[SourceSettings]:
    known = {source.name: source for source in settings.sources}
    if unknown := [name for name in names if name not in known]:
        raise CentralError(f"{', '.join(unknown)}: no such source; there are {', '.join(known)}")
    return [known[name] for name in names] if names else list(settings.sources)


def _against(settings: SourcesSettings) -> Against:
    return Against(
        partial(inforce.from_entries, ReleaseFolder(settings.release).entries_path), rails.load(settings.rails)
    )


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC") if seconds else "never"


def _document(result: Result, refusals: Refusals) -> dict[str, Any]:
    look = result.look
    told = imports.document(result.outcome, refusals) if result.outcome is not None else {"drafts": []}
    return {
        "source": result.source.name,
        "outcome": look.outcome,
        "detail": look.detail,
        "failures": look.failures,
        "good_copy_of": look.good.fetched_at if look.good is not None else None,
        **told,
    }


def _look(configuration: Path, names: Sequence[str], max_refused: int, as_json: bool, due: bool, keep: bool) -> None:
    settings = config.load(configuration, SourcesSettings)
    against, now = _against(settings), int(time.time())
    documents, results = [], []
    for source in _chosen(settings, names):
        folder = settings.folder / source.name
        last = Copies(folder).last()
        if due and now < sources.due_at(source.interval, last.checked_at, last.failures):
            continue
        refusals = Refusals(max_refused)
        with Bar() as bar:
            collector = Collector(source, folder, against, refusals, bar)
            result = collector.look(now) if keep else collector.check(now)
        refusals.close()
        results.append(result)
        documents.append(_document(result, refusals))
        if not as_json and result.outcome is not None:
            terminal.line(source.name)
            imports.show(result.outcome)
    if as_json:
        terminal.document({"sources": documents})
    else:
        terminal.table("Sources", ("source", "outcome", "names", "drafts", "why"), map(_row, results))
    if any(result.look.failures for result in results):
        raise typer.Exit(terminal.EXIT_ERROR)


def _row(result: Result) -> tuple[object, ...]:
    drafts = len(result.outcome.drafts) if result.outcome is not None else 0
    names = result.outcome.lines.names if result.outcome is not None else ""
    return result.source.name, result.look.outcome, names, drafts, result.look.detail


@app.command("run")
def run(
    configuration: Config,
    names: Names = None,
    due: Annotated[bool, typer.Option(help="Only those whose interval is over.")] = False,
    max_refused: MaxRefused = SHOWN,
    as_json: Json = False,
) -> None:
    """Takes what sources bring, where it is good, and drafts what it would change; the last good copy otherwise."""
    _look(configuration, names or [], max_refused, as_json, due, keep=True)


@app.command("check")
def check(configuration: Config, names: Names = None, max_refused: MaxRefused = SHOWN, as_json: Json = False) -> None:
    """Looks at sources as `run` does, and keeps nothing."""
    _look(configuration, names or [], max_refused, as_json, due=False, keep=False)


@app.command("list")
def list_(configuration: Config, as_json: Json = False) -> None:
    """Shows each source, how its last look went, and when the next is due."""
    settings = config.load(configuration, SourcesSettings)
    rows: list[tuple[SourceSettings, Look, float]] = []
    for source in settings.sources:
        last = Copies(settings.folder / source.name).last()
        rows.append((source, last, sources.due_at(source.interval, last.checked_at, last.failures)))
    if as_json:
        terminal.document({"sources": [_listed(*row) for row in rows]})
        return
    terminal.table(
        "Sources",
        ("source", "order", "category", "looked at", "outcome", "names", "copy of", "due", "place"),
        [
            (
                source.name,
                source.order or "",
                source.category or "",
                _moment(look.checked_at),
                f"{look.outcome}{f' ({look.detail})' if look.detail else ''}",
                look.good.names if look.good is not None else "",
                _moment(look.good.fetched_at) if look.good is not None else "",
                _moment(due) if due else "now",
                source.place,
            )
            for source, look, due in rows
        ],
    )


def _listed(source: SourceSettings, look: Look, due: float) -> dict[str, Any]:
    good = look.good
    return {
        "source": source.name,
        "place": source.place,
        "order": source.order,
        "category": source.category,
        "checked_at": look.checked_at,
        "outcome": look.outcome,
        "detail": look.detail,
        "failures": look.failures,
        "names": good.names if good is not None else 0,
        "good_copy_of": good.fetched_at if good is not None else None,
        "due_at": int(due),
    }
