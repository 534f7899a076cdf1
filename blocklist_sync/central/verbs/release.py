"""`lachan-blocklist build`, `sign`, `publish`, `rollback` and `verify`: the road of a release."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from tuf.api.metadata import Targets

from blocklist_sync.artifact import policy as policy_bundle
from blocklist_sync.artifact.policy import PolicyBundle
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.intake import drafts
from blocklist_sync.central.log.difference import Difference
from blocklist_sync.central.log.folder import LogFolder
from blocklist_sync.central.rails import guard, rails
from blocklist_sync.central.rails.rails import Rails
from blocklist_sync.central.release import check as checking
from blocklist_sync.central.release import repository as repositories
from blocklist_sync.central.release.build import Built, Wish
from blocklist_sync.central.release.build import build as build_release
from blocklist_sync.central.release.candidate import ReleaseFolder
from blocklist_sync.central.release.publish import Documents, Lifetimes, read_documents
from blocklist_sync.central.release.publish import publish as publish_release
from blocklist_sync.central.release.repository import MAX_METADATA_BYTES, Repository
from blocklist_sync.central.release.sign import Examination, Examined, Memory, Sources
from blocklist_sync.central.release.sign import sign as sign_release
from blocklist_sync.central.verbs.common import (
    Duration,
    Json,
    KeySource,
    PassphraseFile,
    PublicFile,
    Release,
    RepositoryFolder,
    artifact_errors,
    open_signer,
    seconds,
)
from blocklist_sync.central.verbs.imports import RailsOption, show_findings
from lachan import durable, terminal

LogOption = Annotated[Path, typer.Option("--log", help="The folder of the approvals log.")]
TargetsFile = Annotated[
    Path | None, typer.Option("--targets", help="Top-level targets that will be published with this release.")
]
ListLifetime = Annotated[str, typer.Option("--lifetime", metavar="DURATION", help="Of the approvers' signatures.")]


def _pending(path: Path | None) -> Any:
    return repositories.read(path, Targets) if path is not None else None


def _policy(path: Path | None) -> PolicyBundle | None:
    if path is None:
        return None
    with artifact_errors():
        return policy_bundle.parse(durable.read(path, policy_bundle.MAX_BYTES))


def _built(
    release: Path,
    log: Path,
    repository: Path,
    targets: Path | None,
    wish: Wish,
    now: int,
    *,
    as_json: bool,
    guarding: Rails | None = None,
) -> None:
    folder = ReleaseFolder(release)
    pending = _pending(targets)
    with folder.locked():
        built = build_release(
            folder,
            LogFolder(log),
            Repository(repository),
            wish,
            now=now,
            delegations=pending.signed if pending is not None else None,
            weigh=partial(guard.weigh, guarding) if guarding is not None else None,
        )
    _show_built(built, folder, as_json=as_json)


def _show_built(built: Built, folder: ReleaseFolder, *, as_json: bool) -> None:
    summary = asdict(built.candidate) | {
        "entries": built.entries,
        "unchanged": built.unchanged,
        "to_sign": str(folder.document_path) if built.to_sign else "",
    }
    if as_json:
        found = [drafts.told(finding) for finding in built.findings]
        terminal.document(summary | {"difference": built.difference.document(), "findings": found})
        return
    terminal.table("Candidate", ("", ""), summary.items())
    _show_difference(built.difference)
    show_findings(built.findings)


def _show_difference(told: Difference) -> None:
    document: dict[str, Any] = told.document()
    counts = [(name, document[name]) for name in ("added", "removed", "changed", "kept")]
    terminal.table("Against the published list", ("", ""), counts)
    if document["kinds"]:
        columns = ("change", "category", "scope", "effect", "mandated", "order", "entries")
        rows = [tuple(kind[column] for column in columns) for kind in document["kinds"]]
        terminal.table("Entries", columns, rows)
    for sort, names in told.first.items():
        if names:
            more = getattr(told, sort) - len(names)
            terminal.line(f"{sort}: {', '.join(names)}{f' … and {more} more' if more else ''}")


def build(
    log: LogOption,
    release: Release,
    repository: RepositoryFolder,
    targets: TargetsFile = None,
    policy: Annotated[Path | None, typer.Option(help="A policy bundle (JSON) to carry from now on.")] = None,
    as_of: Annotated[int | None, typer.Option(help="The moment that counts, seconds since 1970 UTC; now.")] = None,
    new_key_epoch: Annotated[bool, typer.Option(help="Draw a new fingerprint key: yearly, or after a leak.")] = False,
    urgent: Annotated[bool, typer.Option(help="Edges should hurry.")] = False,
    renew: Annotated[bool, typer.Option(help="Have the published list signed anew, whatever its age.")] = False,
    above: Annotated[
        int, typer.Option(min=0, help="A serial to stay above: one that a signer's machine says it has signed already.")
    ] = 0,
    lifetime: ListLifetime = "30d",
    rails_file: RailsOption = None,
    as_json: Json = False,
) -> None:
    """Folds the approvals log into the next candidate, and writes the document that approvers sign."""
    now = int(time.time())
    wish = Wish(
        as_of=now if as_of is None else as_of,
        bundle=_policy(policy),
        new_key_epoch=new_key_epoch,
        urgent=urgent,
        renew=renew,
        above=above,
        lifetime=seconds(lifetime, "--lifetime"),
    )
    _built(release, log, repository, targets, wish, now, as_json=as_json, guarding=rails.load(rails_file))


def rollback(
    serial: Annotated[int, typer.Argument(min=1, help="The published serial whose content comes back.")],
    log: LogOption,
    release: Release,
    repository: RepositoryFolder,
    urgent: Annotated[bool, typer.Option(help="Edges should hurry.")] = False,
    lifetime: ListLifetime = "30d",
    as_json: Json = False,
) -> None:
    """Builds a new serial with an old release's content; it is signed and published as any other.

    The next `build` follows the log again: what was wrong has to be revoked there.
    """
    now = int(time.time())
    wish = Wish(as_of=now, rollback=serial, urgent=urgent, lifetime=seconds(lifetime, "--lifetime"))
    _built(release, log, repository, None, wish, now, as_json=as_json)


def _show_examined(examined: Examined, *, as_json: bool) -> None:
    offered, published = examined.offer, examined.published
    summary = {
        "serial": offered.serial,
        "published_serial": published.serial if published else None,
        "records_digest": offered.records_digest,
        "names": offered.names,
        "log_length": offered.log_length,
        "as_of": offered.as_of,
        "warnings": list(examined.warnings),
        "signed_by": list(examined.signed_by),
        "threshold": examined.threshold,
    }
    if as_json:
        terminal.document(summary | {"difference": examined.difference.document()})
        return
    shown = {name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in summary.items()}
    terminal.table("Candidate, rebuilt here", ("", ""), shown.items())
    _show_difference(examined.difference)
    for warning in examined.warnings:
        terminal.line(f"! {warning}")


def sign(
    key: KeySource,
    root: Annotated[Path, typer.Option(help="The trusted root, as it was handed over: N.root.json.")],
    repository: RepositoryFolder,
    log: LogOption,
    memory: Annotated[Path, typer.Option(help="This machine's folder: what it has seen and signed.")],
    document: Annotated[Path, typer.Option(help="The candidate's document: list.json; the signature is added to it.")],
    policy: Annotated[Path, typer.Option(help="The candidate's policy bundle: policy.json.")],
    targets: TargetsFile = None,
    public: PublicFile = None,
    passphrase_file: PassphraseFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="Sign without asking, once everything was found to hold.")] = False,
    as_json: Json = False,
) -> None:
    """Rebuilds a candidate from the log, shows what it changes, and adds one approver's signature."""
    sources = Sources(
        durable.read(root, MAX_METADATA_BYTES),
        Repository(repository),
        LogFolder(log),
        repositories.read(document, Targets),
        durable.read(policy, policy_bundle.MAX_BYTES),
        _pending(targets),
    )
    remembered = Memory(memory)
    durable.make_folder(memory)
    with durable.lock(memory):
        examined = Examination(sources, remembered, int(time.time())).run()
        _show_examined(examined, as_json=as_json)
        if not yes and not typer.confirm("Sign this?", err=True):
            raise CentralError("not signed")
        sign_release(examined, sources, remembered, open_signer(key, public, passphrase_file))
        durable.write(document, [sources.document.to_bytes()])
    if not as_json:
        signed = len(examined.signed_by) + 1
        terminal.line(
            f"signed: {signed} of {examined.threshold}" + (", complete" if signed >= examined.threshold else "")
        )


def _documents(folder: ReleaseFolder, repository: Path, files: Sequence[Path]) -> Documents:
    """The documents in files; without a list's among them, the release folder's where it is the next one."""
    documents = read_documents(files)
    if documents.listed is not None or not folder.document_path.exists():
        return documents
    listed = folder.document()
    held = Repository(repository).opened()
    published = held.listed.signed.version if held and held.listed else 0
    # A candidate that nobody has signed yet is nobody's wish: what is published is renewed.
    if listed.signed.version <= published or not listed.signatures:
        return documents
    return Documents(documents.root, documents.targets, listed)


def publish(
    release: Release,
    repository: RepositoryFolder,
    online_key: Annotated[list[str], typer.Option(help="A key of snapshot or timestamp: a PEM file or a URI.")],
    files: Annotated[
        list[Path] | None, typer.Argument(help="Signed documents: root, targets, list; several copies are merged.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    canary_first: Annotated[
        str, typer.Option(metavar="DURATION", help="Canary edges have a new release for so long before others.")
    ] = "0s",
    snapshot_lifetime: Duration = "7d",
    timestamp_lifetime: Duration = "24h",
    as_json: Json = False,
) -> None:
    """Publishes what is signed to the threshold, by the online keys; run again, it renews what expires."""
    lifetimes = Lifetimes(
        seconds(snapshot_lifetime, "--snapshot-lifetime"), seconds(timestamp_lifetime, "--timestamp-lifetime")
    )
    hold = seconds(canary_first, "--canary-first")
    online = [open_signer(key, None, passphrase_file) for key in online_key]
    folder = ReleaseFolder(release)
    with folder.locked():
        documents = _documents(folder, repository, files or [])
        outcome = publish_release(
            folder, repository, documents, online, now=int(time.time()), lifetimes=lifetimes, hold=hold
        )
    summary = asdict(outcome.release) | {"new": outcome.new, "root": str(outcome.root)}
    if as_json:
        terminal.document(summary)
    else:
        terminal.table("Published" if outcome.new else "Renewed", ("", ""), summary.items())


def verify(
    root: Annotated[Path, typer.Option(help="The trusted root: N.root.json.")],
    repository: RepositoryFolder,
    log: LogOption,
    as_json: Json = False,
) -> None:
    """Checks everything that is published against the trusted root and the log: signatures, digests, chain, fold."""
    with tempfile.TemporaryDirectory(prefix="lachan-verify-") as work:
        found = checking.check(
            Repository(repository), durable.read(root, MAX_METADATA_BYTES), LogFolder(log), Path(work), int(time.time())
        )
    state = found.rebuilt.state
    by_category: dict[str, int] = {}
    for kind, count in zip(state.kinds, state.counts, strict=True):
        by_category[kind.category.label] = by_category.get(kind.category.label, 0) + count
    summary = {
        "serial": found.offer.serial,
        "records_digest": found.offer.records_digest,
        "names": found.offer.names,
        "log_length": found.log_length,
        "signed_at_step": found.offer.log_length,
        "documents": found.releases,
        "targets": found.targets,
        "targets_bytes": found.targets_bytes,
        "expired": ", ".join(found.expired),
        **by_category,
    }
    if as_json:
        terminal.document(summary)
    else:
        terminal.table("Holds", ("", ""), summary.items())
