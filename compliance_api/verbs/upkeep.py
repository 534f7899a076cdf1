"""`lachan-compliance maintain` and `hold`: what is kept, for how long, and who said that something must be."""

from __future__ import annotations

import asyncio
import json as documents
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from compliance_api.errors import ComplianceError
from compliance_api.verbs.database import Config, Json, on_database, using
from lachan import terminal

By = Annotated[str, typer.Option("--by", help="The person who says so.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in words.")]

hold = typer.Typer(no_args_is_help=True, help="Legal holds: what must be kept although its time is over.")


def maintain(config_file: Config, json: Json = False) -> None:
    """Make partitions ahead, sum what was reported, and drop what is due; once."""
    from compliance_api.storage.upkeep.upkeep import Upkeep

    now = datetime.now(UTC)
    with using(config_file, "maintain") as place:
        done = asyncio.run(place.run(lambda engine: Upkeep(engine, place.settings.retention).run(now)))
    if json:
        terminal.document(asdict(done))
        return
    if not done.ran:
        terminal.line("another process is at it")
        return
    terminal.table(
        "Upkeep",
        ["what", "how much"],
        [
            ["partitions made", str(len(done.spans_made))],
            ["reports summed", str(done.reports_summed)],
            ["partitions dropped", str(len(done.spans_dropped))],
            ["rows kept of those", str(done.rows_kept)],
            ["other rows deleted", str(done.rows_deleted)],
        ],
    )


def _moment(value: str, option: str) -> datetime:
    try:
        found = datetime.fromisoformat(value)
    except ValueError as error:
        raise ComplianceError(f"{option}: {value!r} is no ISO 8601 time") from error
    if found.tzinfo is None:
        raise ComplianceError(f"{option}: {value!r} does not say its zone")
    return found


@hold.command("place")
def place(
    config_file: Config,
    operator: Annotated[str, typer.Option("--operator", help="Whose reports and observations.")],
    reason: Reason,
    by: By,
    finding: Annotated[str, typer.Option("--finding", help="Hex id of a finding: what it cites is kept.")] = "",
    since: Annotated[str, typer.Option("--from", help="ISO 8601: everything from then on is kept,")] = "",
    until: Annotated[str, typer.Option("--until", help="up to then.")] = "",
) -> None:
    """Let nothing of a finding, or of a period, be dropped."""
    from compliance_api.storage.upkeep.holds import Holds

    period = (_moment(since, "--from"), _moment(until, "--until")) if since or until else None
    if bool(finding) == (period is not None):
        raise ComplianceError("give either --finding, or --from and --until")
    now = datetime.now(UTC)
    made = on_database(
        config_file,
        "hold",
        lambda engine: Holds(engine).place(operator, reason, by, now, finding=finding, period=period),
    )
    terminal.line(made.hold_id)


@hold.command("release")
def release(
    config_file: Config,
    hold_id: Annotated[str, typer.Argument(help="As `place` printed it.")],
    reason: Reason,
    by: By,
) -> None:
    """Let what is due be dropped again; the hold stays in the register."""
    from compliance_api.storage.upkeep.holds import Holds

    now = datetime.now(UTC)
    ended = on_database(config_file, "hold", lambda engine: Holds(engine).release(hold_id, reason, by, now))
    terminal.line(f"{ended.hold_id} ended")


@hold.command("list")
def show(config_file: Config, json: Json = False) -> None:
    """Print every hold there ever was."""
    from compliance_api.storage.upkeep.holds import Holds

    holds = on_database(config_file, "hold", lambda engine: Holds(engine).all())
    if json:
        terminal.line(documents.dumps([asdict(one) for one in holds], default=str, ensure_ascii=False))
        return
    terminal.table(
        "Legal holds",
        ["hold", "operator", "keeps", "placed", "ended"],
        [
            [
                one.hold_id,
                one.operator,
                f"finding {one.finding}" if one.finding else f"{one.period_start} to {one.period_end}",
                f"{one.placed_by}, {one.placed_at:%Y-%m-%d}: {one.reason}",
                f"{one.released_by}, {one.released_at:%Y-%m-%d}: {one.release_reason}" if one.released_at else "",
            ]
            for one in holds
        ],
    )
