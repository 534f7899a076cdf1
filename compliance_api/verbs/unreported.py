"""`lachan-compliance unreported`: which probes were asked and did not answer for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lachan import terminal


def unreported(
    config_file: Annotated[Path, typer.Option("--config", help="compliance.yaml")],
    days: Annotated[int, typer.Option("--days", min=1, max=90, help="Assignments that ended within so many days.")] = 7,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Count the questions given to each probe about each operator that no observation came for."""
    import asyncio
    from dataclasses import asdict
    from datetime import UTC, datetime, timedelta

    from sqlalchemy import URL

    from compliance_api.domain.unreported import Unreported
    from compliance_api.errors import ComplianceError
    from compliance_api.settings import ServiceSettings
    from compliance_api.storage.assignments import Assignments
    from compliance_api.storage.migrate import is_current
    from lachan import config, postgres

    settings = config.load(config_file, ServiceSettings)
    now = datetime.now(UTC)

    async def run(database: URL) -> list[Unreported]:
        engine = postgres.engine(database, 2, "lachan-compliance unreported")
        try:
            if not await is_current(engine):
                raise ComplianceError("the database is not migrated: run lachan-compliance migrate")
            return await Assignments(engine).unreported(now - timedelta(days=days), now)
        except postgres.FAILURES as error:
            raise ComplianceError(f"the assignments cannot be read: {error}") from error
        finally:
            await engine.dispose()

    with postgres.database(settings.database, "compliance") as url:
        found = asyncio.run(run(url))
    if json:
        terminal.document({"probes": [asdict(one) for one in found]})
        return
    rows = [(one.operator, one.probe, one.assignments, one.silent, one.questions, one.unreported) for one in found]
    terminal.table("Unreported", ("operator", "probe", "assignments", "silent", "questions", "unreported"), rows)
