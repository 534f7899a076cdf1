"""`lachan-blocklist root`, `targets` and `rotate`: documents passed from holder to holder until they are complete.

Holds always: a document is shown, beside what it replaces, by the command that signs it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, Root, Targets

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release import ceremony, founding, repository
from blocklist_sync.central.release import publish as publishing
from blocklist_sync.central.release.build import custom_of
from blocklist_sync.central.release.ceremony import ROLES, ROOT_ROLES, Holders, describe, expiry, lacking_root
from blocklist_sync.central.release.repository import LIST_ROLE, MAX_METADATA_BYTES, Repository, missing
from blocklist_sync.central.verbs.common import (
    Duration,
    Json,
    KeySource,
    PassphraseFile,
    PublicFile,
    RepositoryFolder,
    open_signer,
    public_keys,
    seconds,
)
from lachan import durable, terminal
from lachan.ledger import policy

root_app = typer.Typer(help="The root: which keys count for what.", no_args_is_help=True, add_completion=False)
targets_app = typer.Typer(
    help="The top-level targets: who the approvers are.", no_args_is_help=True, add_completion=False
)

Out = Annotated[Path, typer.Option(help="The folder for the document, unsigned: N.root.json or N.targets.json.")]
RENEWED = (Root.type, Targets.type)
"""Documents that end although nothing changes."""
Keys = list[Path]
Threshold = Annotated[int, typer.Option(min=1, help="How many of them must sign.")]
LedgerPolicy = Annotated[
    Path | None, typer.Option(help="A C2SP tlog-policy that every edge holds the authority's ledger to.")
]
Against = Annotated[Path | None, typer.Option("--root", help="The root that is trusted now.")]
Before = Annotated[Path | None, typer.Option(help="The targets that these replace, shown beside them.")]


def _write(out: Path, document: Metadata[Any], before: Root | Targets | None, *, as_json: bool) -> None:
    path = out / f"{document.signed.version}.{document.signed.type}.json"
    if path.exists():
        raise CentralError(f"{path}: there is a document already")
    durable.make_folder(out)
    durable.write(path, [document.to_bytes()], durable.PUBLIC)
    _show(path, document, before, as_json=as_json)


def _show(path: Path, document: Metadata[Any], before: Root | Targets | None, *, as_json: bool) -> None:
    if as_json:
        terminal.document(_told(path, document, before))
    else:
        terminal.table(str(path), ("", "before", "now"), describe(document, before))


def _told(path: Path, document: Metadata[Any], before: Root | Targets | None) -> dict[str, Any]:
    rows = describe(document, before)
    return {"file": str(path), "says": [dict(zip(("what", "before", "now"), r, strict=True)) for r in rows]}


def _lacking(document: Metadata[Any], root: Any) -> list[str]:
    """What a document lacks, by the root that is trusted now."""
    if isinstance(document.signed, Root):
        return lacking_root(document, root)
    return [lacks] if (lacks := missing(root, Targets.type, document)) else []


@root_app.command("init")
def root_init(
    out: Out,
    root_key: Annotated[Keys, typer.Option(help="A .pub.json of each holder of the root.")],
    targets_key: Annotated[Keys, typer.Option(help="… of the top-level targets.")],
    snapshot_key: Annotated[Keys, typer.Option(help="… of the server's snapshots.")],
    timestamp_key: Annotated[Keys, typer.Option(help="… of the server's timestamps.")],
    root_threshold: Threshold = 2,
    targets_threshold: Threshold = 2,
    lifetime: Duration = "365d",
    as_json: Json = False,
) -> None:
    """Writes the first root, which edges are enrolled with, for its holders to sign."""
    holders = {
        "root": Holders(public_keys(root_key), root_threshold),
        "targets": Holders(public_keys(targets_key), targets_threshold),
        "snapshot": Holders(public_keys(snapshot_key), 1),
        "timestamp": Holders(public_keys(timestamp_key), 1),
    }
    expires = expiry(int(time.time()), seconds(lifetime, "--lifetime"))
    _write(out, ceremony.first_root(holders, expires), None, as_json=as_json)


@targets_app.command("init")
def targets_init(
    out: Out,
    list_key: Annotated[Keys, typer.Option(help="A .pub.json of each approver.")],
    list_threshold: Threshold = 2,
    ledger_policy: LedgerPolicy = None,
    lifetime: Duration = "365d",
    as_json: Json = False,
) -> None:
    """Writes the first top-level targets, which delegate the list to its approvers, for their holders to sign."""
    expires = expiry(int(time.time()), seconds(lifetime, "--lifetime"))
    holders = Holders(public_keys(list_key), list_threshold)
    _write(out, ceremony.first_targets(holders, expires, _policy(ledger_policy)), None, as_json=as_json)


def _policy(path: Path | None) -> bytes:
    return durable.read(path, policy.MAX_PINNED_BYTES) if path is not None else b""


@targets_app.command("ledger")
def targets_ledger(
    folder: RepositoryFolder,
    root: Annotated[Path, typer.Option("--root", help="The root that is trusted.")],
    as_json: Json = False,
) -> None:
    """Prints whom the signed targets pin for the ledger: for the compliance service, and who verifies packs."""
    targets = Repository(folder).verified(durable.read(root, MAX_METADATA_BYTES)).targets
    text = ceremony.ledger_policy(targets.signed) if targets is not None else b""
    if targets is None or not text:
        raise CentralError(f"{folder}: its targets pin no ledger policy")
    if as_json:
        terminal.document({"version": targets.signed.version, "policy": text.decode()})
    else:
        terminal.line(text.decode().rstrip("\n"))


def _replaced(document: Metadata[Any], file: Path | None, kind: type[Any], option: str) -> Any:
    """What a document replaces; None where it is the first one.

    Raises:
        CentralError: It is not named, or another.
    """
    version = document.signed.version
    if version == 1:
        return None
    if file is None:
        raise CentralError(f"{kind.type}: name what version {version} replaces: {option} FILE")
    held = repository.read(file, kind).signed
    if held.version != version - 1:
        raise CentralError(f"{option} {file}: version {held.version}; version {version} replaces {version - 1}")
    return held


def _sign(
    file: Path,
    document: Metadata[Any],
    before: Root | Targets | None,
    delegators: Sequence[Root | Targets],
    signer: Callable[[], Signer],
    *,
    as_json: bool,
) -> None:
    """Shows a document beside what it replaces, adds a signature, and says what it still lacks."""
    role = document.signed.type
    if not as_json:
        _show(file, document, before, as_json=False)
    ceremony.sign(document, signer(), role, delegators)
    durable.write(file, [document.to_bytes()], durable.PUBLIC)
    root = next((one for one in delegators if one is not document.signed), None)
    lacks = _lacking(document, root)
    if as_json:
        terminal.document(_told(file, document, before) | {"complete": not lacks, "missing": lacks})
    else:
        terminal.line("complete" if not lacks else "still missing:\n  " + "\n  ".join(lacks))


@root_app.command("sign")
def root_sign(
    file: Annotated[Path, typer.Argument(help="The document.")],
    key: KeySource,
    against: Against = None,
    public: PublicFile = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Shows a root beside the one before, and adds one holder's signature."""
    document = repository.read(file, Root)
    before = _replaced(document, against, Root, "--root")
    delegators = [document.signed, *([before] if before is not None else [])]
    _sign(file, document, before, delegators, lambda: open_signer(key, public, passphrase_file), as_json=as_json)


@targets_app.command("sign")
def targets_sign(
    file: Annotated[Path, typer.Argument(help="The document.")],
    key: KeySource,
    against: Against = None,
    before: Before = None,
    public: PublicFile = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Shows top-level targets beside the ones before, and adds one holder's signature."""
    if against is None:
        raise CentralError("the root that names the holders must be named: --root FILE")
    document, root = repository.read(file, Targets), repository.read(against, Root).signed
    held = _replaced(document, before, Targets, "--before")
    _sign(file, document, held, [root], lambda: open_signer(key, public, passphrase_file), as_json=as_json)


def _published(folder: Path) -> tuple[Root, Targets, int]:
    """The root and the top-level targets that are published, and the log's length that the list was signed with."""
    contents = Repository(folder).opened()
    if contents is None or contents.targets is None or contents.listed is None:
        raise CentralError(f"{folder}: nothing is published here yet")
    return contents.root.signed, contents.targets.signed, custom_of(contents.listed)["log_length"]


def found(
    files: Annotated[list[Path], typer.Argument(help="The signed root and top-level targets; copies are merged.")],
    folder: RepositoryFolder,
    as_json: Json = False,
) -> None:
    """Founds a repository: puts the first root and targets where registry, builders and signers find them."""
    founding.found(folder, publishing.read_documents(files), int(time.time()))
    root = Repository(folder).path(Root.type, 1)
    if as_json:
        terminal.document({"root": str(root)})
    else:
        terminal.line(f"founded: edges are enrolled with {root}")


def rotate(
    role: Annotated[str, typer.Argument(help=f"One of {', '.join(ROLES)}.")],
    folder: RepositoryFolder,
    out: Out,
    add: Annotated[list[Path] | None, typer.Option(help="A .pub.json that comes.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="A person, or a key id, that goes.")] = None,
    threshold: Annotated[int, typer.Option(min=0, help="How many must sign from now on; 0: as before.")] = 0,
    until_step: Annotated[
        int, typer.Option(min=0, help="For list: the log's last step that a leaving key counts for; 0: as published.")
    ] = 0,
    ledger_policy: LedgerPolicy = None,
    lifetime: Duration = "365d",
    as_json: Json = False,
) -> None:
    """Writes the next root, the next top-level targets, or both, unsigned: other holders for a role, or a later end.

    The root names the holders of root, targets, snapshot and timestamp, the targets those of the list. Where holders of
    the targets change, those are written anew too, for the old and the new holders to sign.
    """
    if role not in ROLES:
        raise CentralError(f"{role!r} is no role; there are {', '.join(ROLES)}")
    if ledger_policy is not None and role not in {LIST_ROLE, Targets.type}:
        raise CentralError("a ledger policy is pinned by the targets: rotate targets, or list")
    root, targets, log_length = _published(folder)
    expires = expiry(int(time.time()), seconds(lifetime, "--lifetime"))
    held = targets if role == LIST_ROLE else root
    holders = None
    if add or remove or threshold:
        holders = ceremony.replace(held, role, public_keys(add or []), remove or [], threshold)
    elif role not in RENEWED:
        raise CentralError(f"{role}: name a key that comes or goes; what it signs is renewed by build or publish")
    if role in ROOT_ROLES and (holders is not None or role == Root.type):
        changed = {role: holders} if holders is not None else {}
        _write(out, ceremony.next_root(root, changed, expires), root, as_json=as_json)
    if role in {LIST_ROLE, Targets.type}:
        approvers = holders if role == LIST_ROLE else None
        document = ceremony.next_targets(targets, approvers, until_step or log_length, expires, _policy(ledger_policy))
        _write(out, document, targets, as_json=as_json)
