"""`lachan-blocklist sign` and `verify`: what somebody does on a machine of their own, and believes nobody for.

Holds always: what is signed was rebuilt on this machine from a log whose signatures it verified, and was shown before;
whatever was fetched for it, from the repository or the registry, is verified from the root that was handed over.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from tuf.api.metadata import Metadata, Targets

from blocklist_sync.artifact import policy as policy_bundle
from blocklist_sync.central import mirror
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.intake import drafts
from blocklist_sync.central.log.folder import LogFolder
from blocklist_sync.central.rails import rails
from blocklist_sync.central.registry.client import PersonSettings, RegistryClient
from blocklist_sync.central.release import check as checking
from blocklist_sync.central.release import offer
from blocklist_sync.central.release import repository as repositories
from blocklist_sync.central.release.build import custom_of
from blocklist_sync.central.release.check import Checked
from blocklist_sync.central.release.repository import MAX_METADATA_BYTES, Repository
from blocklist_sync.central.release.sign import Examination, Examined, Memory, Sources
from blocklist_sync.central.release.sign import sign as sign_release
from blocklist_sync.central.verbs import registry
from blocklist_sync.central.verbs.common import Json, PassphraseFile, PublicFile, open_signer
from blocklist_sync.central.verbs.findings import show_findings
from blocklist_sync.central.verbs.imports import RailsOption
from blocklist_sync.central.verbs.registry import PersonConfig
from blocklist_sync.central.verbs.release import TargetsFile, pending_targets, show_difference
from lachan import durable, terminal

HTTPS = "https://"

Root = Annotated[Path, typer.Option(help="The trusted root, as it was handed over: N.root.json.")]
RepositorySource = Annotated[
    str, typer.Option("--repository", metavar="FOLDER|URL", help="The folder of static files, or where it is: https.")
]
LogOption = Annotated[
    Path | None, typer.Option("--log", help="A folder of the approvals log; fetched from the registry if not given.")
]


@dataclass(frozen=True)
class _Machine:
    """Where somebody's machine gets what is not on it."""

    folder: Path
    """What was fetched is kept here."""
    person: Path | None

    @property
    def settings(self) -> PersonSettings | None:
        return registry.settings_of(self.person) if self.person is not None else None

    def repository(self, source: str, root: bytes, *, history: bool = False) -> Repository:
        """The repository: the folder itself, or a copy of what is at a URL, brought up to date and verified.

        Raises:
            CentralError: It does not verify, or is older than what this machine has seen.
        """
        if not source.startswith(HTTPS):
            return Repository(Path(source))
        settings = self.settings
        secured = mirror.context(settings.tls if settings else None)
        durable.make_folder(self.folder)
        return mirror.Mirror(source, self.folder / "repository", secured).update(root, history=history)

    def asked(self, what: str) -> Path:
        """The configuration that says where the registry is.

        Raises:
            CentralError: None was given.
        """
        if self.person is None:
            raise CentralError(f"give {what}, or --config to fetch it from the registry")
        return self.person

    def log(self, folder: Path | None) -> LogFolder:
        """The log's folder, or a copy of the registry's log, and the seed that belongs to it."""
        if folder is not None:
            return LogFolder(folder)
        copy = LogFolder(self.folder / "log")

        async def fetch(client: RegistryClient) -> None:
            await client.fetch_log(copy.folder)
            if not copy.has_seed:
                copy.keep_seed(await client.seed())

        registry.asking(self.asked("--log"), fetch)
        return copy

    def candidate(self, document: Path | None, policy: Path | None) -> tuple[Metadata[Targets], bytes]:
        """The document to be signed, and the bundle that it names: from files, or what waits at the registry."""
        if document is not None and policy is not None:
            return repositories.read(document, Targets), durable.read(policy, policy_bundle.MAX_BYTES)
        person = self.asked("--document and --policy")
        data, bundle = registry.asking(person, lambda client: client.candidate())
        return repositories.parse(data, Targets, "the registry's candidate"), bundle

    def hand_in(self, document: Metadata[Targets], keyid: str) -> tuple[int, int]:
        """Gives a signature to the registry; how many the candidate has there, and how many it needs."""
        given = document.signatures[keyid].signature
        person = self.asked("--document")
        return registry.asking(person, lambda client: client.submit_signature(document.signed_bytes, keyid, given))


def _summary(examined: Examined) -> dict[str, Any]:
    offered, published = examined.offer, examined.published
    return {
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


def _document(examined: Examined) -> dict[str, Any]:
    found = [drafts.told(finding) for finding in examined.findings]
    return _summary(examined) | {"difference": examined.difference.document(), "findings": found}


def _show_examined(examined: Examined) -> None:
    summary = _summary(examined)
    shown = {name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in summary.items()}
    terminal.table("Candidate, rebuilt here", ("", ""), shown.items())
    show_difference(examined.difference)
    show_findings(examined.findings)
    for warning in examined.warnings:
        terminal.line(f"! {warning}")


def sign(
    root: Root,
    repository: RepositorySource,
    memory: Annotated[Path, typer.Option(help="This machine's folder: what it has seen, fetched and signed.")],
    key: Annotated[
        str | None,
        typer.Option(
            "--key", help="A PEM file, or a signer's URI (hsm:…, awskms:…); the configuration's if not given."
        ),
    ] = None,
    log: LogOption = None,
    document: Annotated[
        Path | None,
        typer.Option(
            help="The candidate's document: list.json; the signature is added to it. If not given: the registry's."
        ),
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="The candidate's policy bundle: policy.json.")] = None,
    config: PersonConfig = None,
    targets: TargetsFile = None,
    public: PublicFile = None,
    passphrase_file: PassphraseFile = None,
    rails_file: RailsOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Sign without asking, once everything was found to hold.")] = False,
    as_json: Json = False,
) -> None:
    """Rebuilds a candidate from the log, shows what it changes, and adds one approver's signature."""
    machine = _Machine(memory, config)
    if (document is None) != (policy is None):
        raise CentralError("give --document and --policy together, or neither")
    if key is None:
        machine.asked("--key")
    trusted = durable.read(root, MAX_METADATA_BYTES)
    remembered = Memory(memory)
    durable.make_folder(memory)
    with durable.lock(memory):
        candidate, bundle = machine.candidate(document, policy)
        sources = Sources(
            trusted,
            # What comes back must have been published: earlier documents say so.
            machine.repository(repository, trusted, history=offer.read(candidate).rollback is not None),
            machine.log(log),
            candidate,
            bundle,
            pending_targets(targets),
        )
        examined = Examination(sources, remembered, int(time.time()), rails.load(rails_file)).run()
        if not as_json:
            _show_examined(examined)
        elif not yes:
            # Whoever is asked has to see it first.
            terminal.document(_document(examined))
        if not yes and not typer.confirm("Sign this?", err=True):
            raise CentralError("not signed")
        settings = machine.settings
        signer = (
            registry.signer_of(settings)
            if key is None and settings is not None
            else open_signer(key or "", public, passphrase_file)
        )
        sign_release(examined, sources, remembered, signer)
        if document is not None:
            durable.write(document, [candidate.to_bytes()])
            signed, needed = len(examined.signed_by) + 1, examined.threshold
        else:
            signed, needed = machine.hand_in(candidate, signer.public_key.keyid)
    if as_json and yes:
        told = {"signatures": signed, "complete": signed >= needed}
        terminal.document(_document(examined) | told)
        return
    tell = terminal.complain if as_json else terminal.line
    tell(f"signed: {signed} of {needed}" + (", complete" if signed >= needed else ""))


def _show_checked(found: Checked, *, as_json: bool) -> None:
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
        "deltas": found.deltas,
        "expired": ", ".join(found.expired),
        "public_statement": "holds" if found.told else "not looked at",
        **by_category,
    }
    if as_json:
        terminal.document(summary)
    else:
        terminal.table("Holds", ("", ""), summary.items())


def _public(public: str | None, published: Repository, repository: str) -> Path | None:
    """Where what the public is told is: a folder, or fetched as anybody fetches it; None where nobody said."""
    if public is None:
        return None if repository.startswith(HTTPS) else published.public
    if not public.startswith(HTTPS):
        return Path(public)
    contents = published.opened()
    if contents is not None and contents.listed is not None:
        mirror.statement(public, published.public, custom_of(contents.listed)["serial"], mirror.context(None))
    return published.public


def verify(
    root: Root,
    repository: RepositorySource,
    log: LogOption = None,
    config: PersonConfig = None,
    public: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|URL",
            help="Where what the public is told is; beside the repository's other files if that is a folder.",
        ),
    ] = None,
    memory: Annotated[
        Path | None, typer.Option(help="Keep here what was fetched, so that nobody can hold this machine back later.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Checks everything that is published against the trusted root and the log: signatures, digests, chain, fold."""
    trusted = durable.read(root, MAX_METADATA_BYTES)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lachan-verify-")))
        folder = memory or work
        durable.make_folder(folder)
        stack.enter_context(durable.lock(folder))
        machine = _Machine(folder, config)
        published = machine.repository(repository, trusted, history=True)
        told = _public(public, published, repository)
        found = checking.check(published, trusted, machine.log(log), work, int(time.time()), told)
        _show_checked(found, as_json=as_json)
