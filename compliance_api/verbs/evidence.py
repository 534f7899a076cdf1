"""`lachan-compliance evidence FINDING`: what a finding rests on, in a folder that anybody can verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compliance_api.verbs.database import Config, on_database
from lachan import terminal


def evidence(
    finding: Annotated[str, typer.Argument(help="The finding's id, in hexadecimal.")],
    config_file: Config,
    out: Annotated[Path, typer.Option("--out", help="Folder to make; it must not be there yet.")],
    pinned: Annotated[
        Path | None, typer.Option("--pinned", help="A checkpoint that somebody kept, to lead the pack through.")
    ] = None,
    as_of: Annotated[
        int | None, typer.Option("--as-of", min=1, help="The pack as of so many leaves, as evidence.json of one says.")
    ] = None,
    redacted: Annotated[
        bool, typer.Option("--redacted", help="For the operator: no probe, no name that is asked.")
    ] = False,
) -> None:
    """Write a pack of evidence for a finding, with the proofs that it stands in the ledger."""
    from compliance_api.errors import ComplianceError
    from compliance_api.ledger import pack
    from compliance_api.storage.packs import packs
    from lachan import durable
    from lachan.ledger import checkpoint, note

    try:
        finding_id = bytes.fromhex(finding)
    except ValueError as error:
        raise ComplianceError(f"{finding}: not a finding's id") from error
    if out.exists():
        raise ComplianceError(f"{out}: is there already")
    through = None
    if pinned is not None:
        through = checkpoint.parse(note.parse(durable.read(pinned, note.MAX_NOTE_BYTES)).text).size
    made = on_database(
        config_file,
        "evidence",
        lambda engine: packs.files(engine, finding_id, redacted=redacted, through=through, as_of=as_of),
        migrated=False,
    )
    pack.write(out, sorted(made.items()))
    terminal.line(str(out))
