"""`lachan-blocklist export` and `inspect`: the clear list for an independent inspector, and what they do with it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.public import inspection
from blocklist_sync.central.release import accountability
from blocklist_sync.central.release.candidate import ReleaseFolder
from blocklist_sync.central.release.holder import passphrase_from
from blocklist_sync.central.verbs.common import Json, PassphraseFile, Release
from lachan import durable, terminal

Out = Annotated[Path, typer.Option(help="The file to write.")]


def export(
    release: Release,
    out: Out,
    person: Annotated[str, typer.Option(help="Who exports it.")],
    purpose: Annotated[str, typer.Option(help="Why, and for whom.")],
    recipient: Annotated[
        Path | None, typer.Option(help="The inspector's X25519 public key (PEM): encrypts it.")
    ] = None,
    in_the_clear: Annotated[bool, typer.Option(help="Without encryption: it never leaves this machine.")] = False,
    as_json: Json = False,
) -> None:
    """Writes the published list in the clear with what opens its commitments; the export is noted in access.jsonl."""
    if (recipient is None) != in_the_clear:
        raise CentralError("give --recipient, or say --in-the-clear")
    folder = ReleaseFolder(release)
    with folder.locked():
        published = folder.published()
        if not published:
            raise CentralError(f"{release}: nothing was published here yet")
        serial = published[-1].serial
        key = inspection.recipient(recipient) if recipient is not None else None
        entry: dict[str, object] = {
            "at": int(time.time()),
            "person": person,
            "purpose": purpose,
            "serial": serial,
            "recipient": key.public_bytes_raw().hex() if key is not None else "",
            "file": out.name,
        }
        inspection.note(folder.folder, entry)
        text = inspection.lines(folder.published_entries_path, accountability.secret(folder.folder))
        durable.write(out, inspection.encrypt(text, key) if key is not None else text)
    if as_json:
        terminal.document(entry)
    else:
        terminal.table("Exported", ("", ""), entry.items())


def inspect(
    file: Annotated[Path, typer.Argument(help="An encrypted export.")],
    key: Annotated[Path, typer.Option(help="The inspector's X25519 private key (PEM).")],
    commitments: Annotated[Path, typer.Option(help="SERIAL.commitments, as it was published.")],
    out: Annotated[Path | None, typer.Option(help="Where to write the clear list.")] = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Decrypts an export and holds every entry against the commitments of its release."""
    pem = durable.read(key, inspection.MAX_KEY_FILE_BYTES)
    try:
        try:
            private = serialization.load_pem_private_key(pem, None)
        except TypeError:
            private = serialization.load_pem_private_key(pem, passphrase_from(passphrase_file)())
    except (ValueError, TypeError) as error:
        raise CentralError(f"{key}: not a private key in PEM form, or another passphrase") from error
    if not isinstance(private, X25519PrivateKey):
        raise CentralError(f"{key}: not an X25519 key")
    entries, left = inspection.check(inspection.decrypt(file, private), commitments)
    if left:
        raise CentralError(f"{left} commitments of the release have no entry in this list")
    if out is not None:
        durable.write(out, inspection.decrypt(file, private))
    document = {"entries": entries, "commitments": str(commitments)}
    if as_json:
        terminal.document(document)
    else:
        terminal.table("Every entry is committed to", ("", ""), document.items())
