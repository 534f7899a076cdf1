"""`lachan-compliance ledger …`: what whoever keeps the ledger needs beside the service."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from compliance_api.verbs.database import Config, on_database
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
def checkpoint(config_file: Config) -> None:
    """Print the last head that enough witnesses cosigned, for whoever keeps one."""
    from compliance_api.errors import ComplianceError
    from compliance_api.storage.packs.proofs import Proofs

    head = on_database(config_file, "ledger", lambda engine: Proofs(engine).checkpoint(), migrated=False)
    if head is None:
        raise ComplianceError("there is no head yet that enough witnesses cosigned")
    sys.stdout.buffer.write(head)
    sys.stdout.flush()
