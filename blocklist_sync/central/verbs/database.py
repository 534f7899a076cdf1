"""`lachan-blocklist database`: the registry's tables, brought up to date by their owner."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import URL

from blocklist_sync.central.registry import ownership
from blocklist_sync.central.registry.ownership import OwnerSettings
from blocklist_sync.central.registry.schema import DATABASE
from blocklist_sync.central.verbs.common import Json
from lachan import config, postgres, terminal


def database(
    configuration: Annotated[Path, typer.Option("--config", help="deploy/examples/registry-owner.yaml shows one.")],
    grant: Annotated[str, typer.Option(metavar="ROLE", help="The service's role: it may read and add, no more.")] = "",
    as_json: Json = False,
) -> None:
    """Migrates the registry's database as its owner, so that the service's own role need not be able to."""
    settings = config.load(configuration, OwnerSettings)

    async def work(url: URL) -> None:
        engine = postgres.engine(url, settings.database.connections, "lachan-blocklist database")
        try:
            await ownership.migrate(engine, grant)
        finally:
            await engine.dispose()

    with postgres.database(settings.database, DATABASE) as url:
        asyncio.run(work(url))
    if as_json:
        terminal.document({"current": True, "granted": grant})
        return
    terminal.line("the tables are up to date" + (f"; {grant} may read and add" if grant else ""))
