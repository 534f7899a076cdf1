"""`lachan-resolver receipts`: what this node reported, with the authority's receipts and the ledger's proofs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from lachan.terminal import document, line
from resolver.errors import ResolverError
from resolver.verbs.common import DEFAULT, Config, Json

receipts = typer.Typer(help="What this node reported, proven without the authority.", no_args_is_help=True)

SPOOL = "reports.spool"
SECONDS = 60.0


@receipts.command("export")
def export(
    out: Annotated[Path, typer.Option("--out", help="A file; it must not be there yet.")],
    config: Config = DEFAULT,
    last: Annotated[int, typer.Option("--last", min=1, max=100_000, help="So many of the newest, at most.")] = 10_000,
    as_json: Json = False,
) -> None:
    """Write the newest reports that are proven, each with its proof, into a file; the edge may be running or not."""
    from lachan.spool import Spool
    from resolver import proofs, settings
    from resolver.control import call

    edge = settings.read(config)
    try:
        fd = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ResolverError(f"{out}: {error.strerror}") from error
    try:
        if edge.control_socket.exists():
            told, _ = call(edge.control_socket, {"command": "receipts", "last": last}, [fd], SECONDS)
        else:
            spool = Spool(edge.file.state_dir / SPOOL)
            try:
                told, _ = proofs.handler(spool, {"last": last}, [fd])
            finally:
                spool.close()
        os.fsync(fd)
    except BaseException:
        out.unlink()
        raise
    finally:
        os.close(fd)
    if as_json:
        document({"file": str(out), "proofs": told["proofs"]})
    else:
        line(f"{out}: {told['proofs']} reports")


@receipts.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="What `export` wrote.")],
    policy: Annotated[Path, typer.Option("--policy", help="Whom to believe about the ledger (C2SP tlog-policy).")],
    receipt_key: Annotated[list[Path], typer.Option("--receipt-key", help="The authority's public key of receipts.")],
    as_json: Json = False,
) -> None:
    """Say of each report in a file whether it is proven; nobody is asked."""
    from resolver import proofs
    from resolver.receipts import pinned
    from resolver.trust import Trust

    believers, keys = Trust(policy, None), pinned(receipt_key)
    try:
        with file.open("rb") as opened:
            found = list(
                proofs.verify(
                    iter(lambda: opened.readline(proofs.MAX_LINE_BYTES + 1), b""), keys, believers, int(time.time())
                )
            )
    except OSError as error:
        raise ResolverError(f"{file}: {error.strerror}") from error
    wrong = [one for one in found if one.wrong]
    if as_json:
        document({"reports": [vars(one) for one in found], "proven": len(found) - len(wrong)})
    else:
        for one in found:
            line(f"{one.digest} {one.node} {one.sequence} {one.window_start}: {one.wrong or f'leaf {one.index}'}")
        line(f"{len(found) - len(wrong)} of {len(found)} reports are proven")
    if wrong or not found:
        raise typer.Exit(1)
