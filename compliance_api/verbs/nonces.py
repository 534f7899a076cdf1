"""`lachan-compliance nonce-zone`: the name server of nonces."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lachan import terminal


def nonce_zone(config_file: Annotated[Path, typer.Option("--config", help="compliance.yaml")]) -> None:
    """Answer for the authority's zone of nonces, and note which address asked for which (nonces in the settings)."""
    import asyncio

    from sqlalchemy import URL

    from compliance_api.errors import ComplianceError
    from compliance_api.nonces import server
    from compliance_api.settings import ServiceSettings
    from compliance_api.storage.migrate import is_current
    from compliance_api.storage.paths import Paths
    from lachan import config, log, postgres

    settings = config.load(config_file, ServiceSettings)
    nonces = settings.nonces
    if nonces is None:
        raise ComplianceError(f"{config_file}: nonces: there is no zone to answer for")
    log.configure("nonce-zone", settings.log.form, settings.log.level)

    def ready(port: int) -> None:
        terminal.line(f"ready dns={nonces.listen.rpartition(':')[0]}:{port}")
        sys.stdout.flush()

    async def run(database: URL) -> None:
        engine = postgres.engine(database, 2, "lachan-compliance nonce-zone")
        try:
            if not await is_current(engine):
                raise ComplianceError("the database is not migrated: run lachan-compliance migrate")
            await server.serve(nonces, Paths(engine), ready)
        except postgres.FAILURES as error:
            raise ComplianceError(f"the database does not answer: {error}") from error
        finally:
            await engine.dispose()

    with postgres.database(settings.database, "compliance") as url:
        asyncio.run(run(url))
