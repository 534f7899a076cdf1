"""`lachan-compliance observations`: what probes saw, for whoever works with it elsewhere."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.verbs.database import Config, on_database

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


async def _export(engine: AsyncEngine, since: datetime, until: datetime, operator: str | None, country: str) -> int:
    from compliance_api.storage.observations import Observations
    from compliance_api.usecases.ooni import measurement

    left_out = 0
    async for seen in Observations(engine).export(since, until, operator):
        one = measurement(seen, country)
        if one is None:
            left_out += 1
            continue
        sys.stdout.write(json.dumps(one, ensure_ascii=False, separators=(",", ":")) + "\n")
    return left_out
