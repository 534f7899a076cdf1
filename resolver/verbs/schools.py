"""`lachan-resolver schools`: what schools asked on a day, as far as it may be said."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from lachan.terminal import document, table
from resolver.errors import ResolverError
from resolver.verbs.common import DEFAULT, Config, Json


def schools(
    config: Config = DEFAULT,
    day: Annotated[str, typer.Option("--day", help="YYYY-MM-DD; the newest that is kept, if not given.")] = "",
    name: Annotated[str, typer.Option("--school", help="This one alone.")] = "",
    as_json: Json = False,
) -> None:
    """Say what schools asked on a day that is over: sums, and of few clients not even those."""
    from resolver import settings
    from resolver.schools import FOLDER, read

    try:
        wanted = date.fromisoformat(day) if day else None
    except ValueError as error:
        raise ResolverError(f"--day: {day!r} is not YYYY-MM-DD") from error
    told = read(settings.read(config).file.state_dir / FOLDER, wanted)
    shown = {school: sums for school, sums in told["schools"].items() if name in ("", school)}
    if name and not shown:
        raise ResolverError(f"--school: {name} is not counted")
    if as_json:
        document({"day": told["day"], "schools": shown})
        return
    table(
        told["day"],
        ("school", "clients", "queries", "blocked"),
        [
            (
                school,
                sums["clients"],
                sums.get("queries", ""),
                ", ".join(f"{category} {count}" for category, count in sums.get("blocked", {}).items() if count),
            )
            for school, sums in shown.items()
        ],
    )
