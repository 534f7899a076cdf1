"""`lachan-blocklist build`, `rollback` and `publish`: what the list authority's server does for a release."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from tuf.api.metadata import Metadata, Targets

from blocklist_sync.artifact import policy as policy_bundle
from blocklist_sync.artifact.policy import PolicyBundle
from blocklist_sync.central.intake import drafts
from blocklist_sync.central.log.difference import Difference
from blocklist_sync.central.log.folder import LogFolder
from blocklist_sync.central.rails import rails
from blocklist_sync.central.rails.rails import Rails
from blocklist_sync.central.release import repository as repositories
from blocklist_sync.central.release.build import Built, Wish
from blocklist_sync.central.release.build import build as build_release
from blocklist_sync.central.release.candidate import ReleaseFolder
from blocklist_sync.central.release.publish import Documents, Lifetimes, Outcome, WaitingError, read_documents
from blocklist_sync.central.release.publish import publish as publish_release
from blocklist_sync.central.release.repository import Repository
from blocklist_sync.central.verbs.common import (
    Duration,
    Json,
    PassphraseFile,
    Release,
    RepositoryFolder,
    artifact_errors,
    open_signers,
    seconds,
)
from blocklist_sync.central.verbs.findings import show_findings
from blocklist_sync.central.verbs.imports import RailsOption
from lachan import durable, terminal

LogOption = Annotated[Path, typer.Option("--log", help="The folder of the approvals log.")]
TargetsFile = Annotated[
    Path | None, typer.Option("--targets", help="Top-level targets that will be published with this release.")
]
ListLifetime = Annotated[str, typer.Option("--lifetime", metavar="DURATION", help="Of the approvers' signatures.")]


def pending_targets(path: Path | None) -> Metadata[Targets] | None:
    """The top-level targets in a file, if one is named."""
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
    pending = pending_targets(targets)
    with folder.locked():
        built = build_release(
            folder,
            LogFolder(log),
            Repository(repository),
            wish,
            now=now,
            delegations=pending.signed if pending is not None else None,
            guarding=guarding,
        )
        folder.store_delegating(pending)
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
    show_difference(built.difference)
    show_findings(built.findings)


def show_difference(told: Difference) -> None:
    """How a candidate differs from what is published, as tables."""
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
    rails_file: RailsOption = None,
    as_json: Json = False,
) -> None:
    """Builds a new serial with an old release's content; it is signed and published as any other.

    No rail stands in its way; but a name of `--rails` that would be blocked by chance makes it take the next key epoch.
    The next `build` follows the log again: what was wrong has to be revoked there.
    """
    now = int(time.time())
    wish = Wish(as_of=now, rollback=serial, urgent=urgent, lifetime=seconds(lifetime, "--lifetime"))
    _built(release, log, repository, None, wish, now, as_json=as_json, guarding=rails.load(rails_file))


def _with_candidate(documents: Documents, folder: ReleaseFolder, repository: Path) -> Documents:
    """The documents that are named; without a list's among them, the release folder's where it is the next one."""
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
    public: Annotated[
        list[Path] | None,
        typer.Option(help="The public key of each --online-key that is a URI, in their order."),
    ] = None,
    passphrase_file: PassphraseFile = None,
    canary_first: Annotated[
        str, typer.Option(metavar="DURATION", help="Canary edges have a new release for so long before others.")
    ] = "0s",
    snapshot_lifetime: Duration = "7d",
    timestamp_lifetime: Duration = "24h",
    keep: Annotated[
        str, typer.Option(metavar="DURATION", help="How long files stay that the list has ceased to name: 1h at least.")
    ] = "7d",
    as_json: Json = False,
) -> None:
    """Publishes what is signed to the threshold, by the online keys; run again, it renews what expires.

    Where the candidate has to wait and is not named, everything else is published or renewed, and what it waits for is
    said; where it is named, that is refused.
    """
    lifetimes = Lifetimes(
        seconds(snapshot_lifetime, "--snapshot-lifetime"), seconds(timestamp_lifetime, "--timestamp-lifetime")
    )
    hold = seconds(canary_first, "--canary-first")
    online = open_signers(online_key, public or [], passphrase_file)
    folder = ReleaseFolder(release)
    waiting = ""

    def published(documents: Documents) -> Outcome:
        return publish_release(
            folder,
            repository,
            documents,
            online,
            now=int(time.time()),
            lifetimes=lifetimes,
            hold=hold,
            keep=seconds(keep, "--keep"),
        )

    with folder.locked():
        named = read_documents(files or [])
        try:
            outcome = published(_with_candidate(named, folder, repository))
        except WaitingError as error:
            # A ceremony that stalls must neither let what edges have expire, nor keep a lost key in the root.
            if named.listed is not None or not Repository(repository).exists():
                raise
            waiting = str(error)
            try:
                outcome = published(named)
            except WaitingError:
                raise error from None
    summary = asdict(outcome.release) | {
        "new": outcome.new,
        "root": str(outcome.root),
        "pruned": outcome.pruned,
        "waiting": waiting,
    }
    if as_json:
        terminal.document(summary)
    else:
        terminal.table("Published" if outcome.new else "Renewed", ("", ""), summary.items())
