"""`lachan-compliance ledger …`: what whoever keeps the ledger needs beside the service."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from compliance_api.verbs.database import Config, Json, on_database, using
from lachan import terminal

app = typer.Typer(no_args_is_help=True, help="The ledger.")


@app.command()
def key(
    origin: Annotated[str, typer.Option("--origin", help="The log's name, as in log.example/ledger.")],
    file: Annotated[Path, typer.Option("--key", help="Its private key, as `lachan-compliance key` made it.")],
) -> None:
    """Print the log's verifier key: the line that policies and witnesses name it by."""
    from lachan.ledger.note import NoteKey, SignatureKind
    from lachan.signing import SigningKey

    terminal.line(str(NoteKey(origin, SignatureKind.ED25519, SigningKey.load(file).public)))


@app.command()
def redraw(
    config_file: Config,
    operator: Annotated[str, typer.Argument(help="Whose rounds.")],
    day: Annotated[str, typer.Option("--day", help="YYYY-MM-DD, UTC.")],
    json: Json = False,
) -> None:
    """Draw a day's rounds again from its seed, and hold the questions and assignments against the ledger's leaves."""
    from compliance_api.app import round_plan
    from compliance_api.errors import ComplianceError
    from compliance_api.storage.probing.redraw import redraw as again

    try:
        wanted = date.fromisoformat(day)
    except ValueError as error:
        raise ComplianceError(f"--day: {day!a} is not YYYY-MM-DD") from error
    with using(config_file, "redraw") as place:
        plan = round_plan(place.settings.assignments)
        found = asyncio.run(place.run(lambda engine: again(engine, plan, operator, wanted)))
    if json:
        terminal.document({"rounds": [asdict(one) for one in found]})
    else:
        rows = [
            (one.node, one.endpoint, one.number, one.questions, one.assignments, "; ".join(one.wrong) or "agrees")
            for one in found
        ]
        columns = ("node", "resolver", "number", "questions", "assignments", "drawn again")
        terminal.table(f"{operator}, {day}", columns, rows)
    if not found or any(one.wrong for one in found):
        raise typer.Exit(1)


@app.command()
def checkpoint(config_file: Config) -> None:
    """Print the last head that enough witnesses cosigned, for whoever keeps one."""
    from compliance_api.errors import ComplianceError
    from compliance_api.storage.packs.proofs import Proofs

    head = on_database(config_file, "ledger", lambda engine: Proofs(engine).checkpoint(), migrated=False)
    if head is None:
        raise ComplianceError("there is no head yet that enough witnesses cosigned")
    sys.stdout.buffer.write(head)
    sys.stdout.flush()
