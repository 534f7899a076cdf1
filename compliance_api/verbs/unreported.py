"""`lachan-compliance unreported`: which probes were asked and did not answer for it."""

from __future__ import annotations

from typing import Annotated

import typer

from compliance_api.verbs.database import Config, Json, on_database
from lachan import terminal


def unreported(
    config_file: Config,
    days: Annotated[int, typer.Option("--days", min=1, max=90, help="Assignments that ended within so many days.")] = 7,
    json: Json = False,
) -> None:
    """Count the questions given to each probe about each operator that no observation came for."""
    from dataclasses import asdict
    from datetime import UTC, datetime, timedelta

    from compliance_api.storage.probing.assignments import Assignments

    now = datetime.now(UTC)
    found = on_database(
        config_file, "unreported", lambda engine: Assignments(engine).unreported(now - timedelta(days=days), now)
    )
    if json:
        terminal.document({"probes": [asdict(one) for one in found]})
        return
    rows = [(one.operator, one.probe, one.assignments, one.silent, one.questions, one.unreported) for one in found]
    terminal.table("Unreported", ("operator", "probe", "assignments", "silent", "questions", "unreported"), rows)
