"""What several verbs have in common: options, and where artifact errors become this command's."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError
from securesystemslib.signer import Key, Signer

from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.central.entries import order_number
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import keys
from blocklist_sync.central.log.verifier import Delegated
from blocklist_sync.central.registry import delegated
from blocklist_sync.central.release import holder
from lachan import config

Json = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")]
Duration = Annotated[str, typer.Option(metavar="DURATION")]
Release = Annotated[Path, typer.Option(help="The release folder.")]
RepositoryFolder = Annotated[Path, typer.Option("--repository", help="The folder of static files.")]
KeySource = Annotated[str, typer.Option("--key", help="A PEM file, or a signer's URI (hsm:…, awskms:…).")]
PublicFile = Annotated[Path | None, typer.Option("--public", help="The public key, where --key is a URI.")]
PassphraseFile = Annotated[
    Path | None, typer.Option(help="Its first line is the passphrase; asked for on the terminal if not given.")
]

ApproversRepository = Annotated[
    Path | None, typer.Option("--repository", help="A repository whose top-level targets name the approvers.")
]
ApproverKeys = Annotated[list[Path] | None, typer.Option("--approver", help="An approver's public key (.pub.json).")]


def approvers_of(repository: Path | None, approvers: Collection[Path]) -> Delegated:
    """Whose keys a log is verified by.

    Raises:
        CentralError: Nobody is named: that is not for the log to say.
    """
    named = frozenset(keys.raw(holder.public(path)) for path in approvers)
    held = delegated.of(repository)() if repository is not None else delegated.NOBODY
    found = Delegated(held.now | named, held.until)
    if not found.now:
        raise CentralError("give --repository or --approver: whose keys approvers may have is not for the log to say")
    return found


@contextmanager
def artifact_errors() -> Iterator[None]:
    """The one place where what the artifact raises becomes this command's error."""
    try:
        yield
    except ArtifactError as error:
        raise CentralError(str(error)) from error


def seconds(text: str, option: str) -> float:
    """A duration on the command line.

    Raises:
        CentralError: It is none.
    """
    try:
        return TypeAdapter(config.Duration).validate_python(text)
    except ValidationError as error:
        raise CentralError(f"{option}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error


def given_order(text: str) -> str:
    """An order's number on the command line.

    Raises:
        CentralError: It is none.
    """
    with artifact_errors():
        return order_number(text)


def open_signer(key: str, public: Path | None, passphrase_file: Path | None) -> Signer:
    """The signer that the options name.

    Raises:
        CentralError: It cannot be opened.
    """
    return holder.signer(key, holder.passphrase_from(passphrase_file, f"passphrase of {key}"), public)


def open_signers(sources: Sequence[str], public: Sequence[Path], passphrase_file: Path | None) -> list[Signer]:
    """Several signers, with the public key of each one that is named by a URI, in their order.

    Raises:
        CentralError: One cannot be opened, or there is a public key too many or too few.
    """
    devices = [source for source in sources if holder.is_uri(source)]
    if len(devices) != len(public):
        raise CentralError(f"--public: {len(devices)} keys are named by a URI, and {len(public)} public keys are given")
    halves = iter(public)
    return [open_signer(one, next(halves) if one in devices else None, passphrase_file) for one in sources]


def public_keys(files: Sequence[Path]) -> list[Key]:
    """The public keys in files.

    Raises:
        CentralError: One is none.
    """
    return [holder.public(path) for path in files]
