"""`lachan-compliance verdict`: the verdict on a legal day or a month, recomputed from what is stored."""

from __future__ import annotations

import json as documents
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from compliance_api.errors import ComplianceError
from compliance_api.verbs.database import Config, Json, on_database
from lachan import terminal

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from compliance_api.domain.verdicts.period_verdict import PeriodVerdict

Operator = Annotated[str, typer.Argument(help="The operator's id.")]
Jurisdiction = Annotated[str, typer.Argument(help="Where.")]
Period = Annotated[str, typer.Argument(help="A legal day (2026-11-21) or a month (2026-11).")]
KnownAt = Annotated[str | None, typer.Option("--known-at", help="With what was known by this moment (ISO 8601) alone.")]


def verdict(
    config_file: Config,
    operator: Operator,
    jurisdiction: Jurisdiction,
    period: Period,
    known_at: KnownAt = None,
    json: Json = False,
) -> None:
    """Recompute the verdict on a period; with --json, the same bytes from the same evidence."""
    from compliance_api.wiring.judging import place_of, recompute

    try:
        at = datetime.fromisoformat(known_at) if known_at else None
    except ValueError as error:
        raise ComplianceError(f"--known-at: {error}") from error
    if at is not None and at.tzinfo is None:
        raise ComplianceError("--known-at: a moment with its zone is expected, such as 2026-11-21T00:00:00+07:00")

    async def reach(engine: AsyncEngine) -> PeriodVerdict:
        return await recompute(
            engine, await place_of(engine, operator, jurisdiction, at), period, at, datetime.now(UTC)
        )

    reached = on_database(config_file, "verdict", reach)
    if json:
        sys.stdout.buffer.write(reached.document + b"\n")
        sys.stdout.buffer.flush()
        return
    told = documents.loads(reached.document)
    terminal.line(f"{operator}/{jurisdiction} {told['period']['name']}: {told['outcome']}")
    rows = [
        (one["kind"], one["node"], ", ".join(f"{k} {v}" for k, v in one["counts"].items())) for one in told["findings"]
    ]
    terminal.table("Findings", ("kind", "node", "counts"), rows)
    for name, one in told["rates"].items():
        low, high = one["low_millionths"] / 10_000, one["high_millionths"] / 10_000
        terminal.line(f"{name}: {one['hits']} of {one['asked']}, 95 % interval {low:.4f} % to {high:.4f} %")
