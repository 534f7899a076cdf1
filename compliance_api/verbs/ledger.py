"""`lachan-compliance ledger …`: what whoever keeps the ledger needs beside the service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
