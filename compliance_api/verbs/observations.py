"""`lachan-compliance observations`: what probes saw, for whoever works with it elsewhere."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import URL

from compliance_api.errors import ComplianceError
from compliance_api.settings import ServiceSettings
from lachan import config, postgres

DATABASE = "compliance"

app = typer.Typer(no_args_is_help=True, help="What probes saw.")

Config = Annotated[Path, typer.Option("--config", help="compliance.yaml")]
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
    settings = config.load(config_file, ServiceSettings)
    with postgres.database(settings.database, DATABASE) as url:
        left_out = asyncio.run(_export(url, since, until, operator, country))
    if left_out:
        sys.stderr.write(f"{left_out} observations are not for publication\n")


async def _export(url: URL, since: datetime, until: datetime, operator: str | None, country: str) -> int:
    from compliance_api.storage.migrate import is_current
    from compliance_api.storage.observations import Observations
    from compliance_api.usecases.ooni import measurement

    engine = postgres.engine(url, 1, "lachan-compliance export")
    left_out = 0
    try:
        if not await is_current(engine):
            raise ComplianceError("the database is not migrated: run lachan-compliance migrate")
        found = Observations(engine).export(since.replace(tzinfo=UTC), until.replace(tzinfo=UTC), operator)
        async for seen in found:
            one = measurement(seen, country)
            if one is None:
                left_out += 1
                continue
            sys.stdout.write(json.dumps(one, ensure_ascii=False, separators=(",", ":")) + "\n")
    except postgres.FAILURES as error:
        raise ComplianceError(f"the database cannot be used: {error}") from error
    finally:
        await engine.dispose()
    return left_out
