"""`lachan-blocklist serve`: what the list authority keeps running."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from blocklist_sync.central.registry.schema import DATABASE
from blocklist_sync.central.serving import server
from blocklist_sync.central.serving.settings import ListSettings
from lachan import config, log, postgres, terminal


def serve(
    configuration: Annotated[Path, typer.Option("--config", help="deploy/examples/list.yaml shows one.")],
    as_json: Annotated[bool, typer.Option("--json", help="As it is anyway: the ports, as one JSON document.")] = True,
) -> None:
    """Serves the repository over HTTPS, announces releases to edges and gives samples to compliance, until SIGTERM."""
    del as_json
    settings = config.load(configuration, ListSettings)
    log.configure("blocklist", settings.log.form, settings.log.level)

    def started(ports: Mapping[str, int | None]) -> None:
        terminal.document(dict(ports))
        sys.stdout.flush()

    with ExitStack() as stack:
        # An embedded server, where one is asked for, is to be started before the loop.
        registry = settings.registry
        database = stack.enter_context(postgres.database(registry.database, DATABASE)) if registry else None
        asyncio.run(server.serve(settings, database, started))
