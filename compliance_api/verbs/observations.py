"""`lachan-compliance observations`: what probes saw, for whoever works with it elsewhere."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.verbs.database import Config, on_database, using
from lachan import terminal

app = typer.Typer(no_args_is_help=True, help="What probes saw.")

FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


@app.command()
def export(
    config_file: Config,
    since: Annotated[datetime, typer.Option(formats=FORMATS, help="UTC.")],
    until: Annotated[datetime, typer.Option(formats=FORMATS, help="UTC; not itself among them.")],
    operator: Annotated[str | None, typer.Option(help="One operator's resolvers alone.")] = None,
    country: Annotated[str, typer.Option(help="Where the probes are, by ISO 3166.")] = "VN",
) -> None:
    """Print observations as OONI's measurements, one a line, without names of csam and sexual_exploitation."""
    left_out = on_database(
        config_file,
        "observations export",
        lambda engine: _export(engine, since.replace(tzinfo=UTC), until.replace(tzinfo=UTC), operator, country),
    )
    if left_out:
        sys.stderr.write(f"{left_out} observations are not for publication\n")


@app.command()
def pages(
    config_file: Config,
    days: Annotated[int, typer.Option("--days", min=1, max=90, help="Looked back.")] = 7,
    json_: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Show addresses that listed names share and no reference gave: a block page, or a way around the list."""
    from compliance_api.settings.texts import load_shapes
    from compliance_api.storage.probing.observations import Observations

    now = datetime.now(UTC)
    with using(config_file, "observations pages") as place:
        rule = load_shapes(place.settings.shapes).unknown_pages
        seen = asyncio.run(
            place.run(lambda engine: Observations(engine).strange(now - timedelta(days=days), now)),
        )
    found = [one for one in seen if one.names >= rule.names and one.lines >= rule.lines]
    if json_:
        terminal.document({"pages": [vars(one) for one in found]})
        return
    rows = [(one.operator, one.address, one.names, one.lines, one.unlisted) for one in found]
    terminal.table("Unknown pages", ("operator", "address", "listed names", "lines", "names never listed"), rows)
    if found:
        terminal.line("Whoever knows that one is a block page adds to `pages` of a new text in the file of shapes:")
    for one in found:
        terminal.line(f"  {one.proposal()}")


@app.command()
def lines(
    config_file: Config,
    json_: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Show what lines let their users do beside their own resolver, by the newest check of each."""
    from compliance_api.storage.probing.linechecks import StoredLineChecks

    found = on_database(config_file, "observations lines", lambda engine: StoredLineChecks(engine).newest())
    if json_:
        told = [
            {**vars(one), "began_at": one.began_at.isoformat(), "received_at": one.received_at.isoformat()}
            for one in found
        ]
        terminal.document({"lines": told})
        return
    rows = [
        (
            f"{one.organisation}/{one.probe}",
            one.vantage_point,
            f"{one.received_at:%Y-%m-%d %H:%M}Z",
            "open" if one.open else "closed" if "unknown" not in one.states.values() else "unknown",
            ", ".join(f"{subject} {state}" for subject, state in sorted(one.states.items())),
        )
        for one in found
    ]
    terminal.table("Lines", ("probe", "line", "checked", "ways round the filter", "in detail"), rows)


async def _export(engine: AsyncEngine, since: datetime, until: datetime, operator: str | None, country: str) -> int:
    from compliance_api.storage.probing.observations import Observations
    from compliance_api.usecases.probing.ooni import measurement

    left_out = 0
    async for seen in Observations(engine).export(since, until, operator):
        one = measurement(seen, country)
        if one is None:
            left_out += 1
            continue
        sys.stdout.write(json.dumps(one, ensure_ascii=False, separators=(",", ":")) + "\n")
    return left_out
