"""`lachan-blocklist keys`: one person's key at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from securesystemslib.signer import Key

from blocklist_sync.central.release import holder
from blocklist_sync.central.verbs.common import Json, PassphraseFile
from lachan import terminal

app = typer.Typer(help="One person's signing key.", no_args_is_help=True, add_completion=False)


def _show(key: Key, *, as_json: bool) -> None:
    document = {
        "person": holder.person_of(key),
        "keyid": key.keyid,
        "type": key.keytype,
        "public": key.keyval["public"],
    }
    if as_json:
        terminal.document(document)
    else:
        terminal.table("Key", ("", ""), document.items())


@app.command("new")
def new(
    out: Annotated[Path, typer.Option(help="The private key's file; NAME.pub.json is written beside it.")],
    person: Annotated[str, typer.Option(help="Whose key it is.")],
    passphrase_file: PassphraseFile = None,
    in_the_clear: Annotated[
        bool, typer.Option(help="No passphrase: for a machine's own key (snapshot, timestamp), and for trials.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Draws a key, encrypted under a passphrase."""
    asked = holder.passphrase_from(passphrase_file, f"new passphrase for {out}", twice=True)
    _show(holder.create(out, person, None if in_the_clear else asked), as_json=as_json)


@app.command("show")
def show(
    file: Annotated[Path, typer.Argument(help="A .pub.json.")],
    as_json: Json = False,
) -> None:
    """Shows a public key, to be compared over another channel before it enters a ceremony."""
    _show(holder.public(file), as_json=as_json)


@app.command("adopt")
def adopt(
    uri: Annotated[str, typer.Option(help="Where the private key is: hsm:…, awskms:…, gcpkms:…")],
    out: Annotated[Path, typer.Option(help="The .pub.json to write.")],
    person: Annotated[str, typer.Option(help="Whose key it is.")],
    public: Annotated[
        Path | None,
        typer.Option(help="Its public key as PEM (SubjectPublicKeyInfo); a PKCS 11 token (hsm:…) is asked for it."),
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Takes in the public half of a key that a device or a service keeps."""
    pin = holder.passphrase_from(passphrase_file, f"PIN of {uri}")
    key = holder.public_pem(public) if public is not None else holder.device_key(uri, pin)
    _show(holder.adopt(uri, key, out, person), as_json=as_json)
