"""`lachan-blocklist trial`: proposals and approvals on one machine, without the registry's database."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from tuf.api.metadata import Targets

from blocklist_sync.artifact.categories import ALWAYS_MANDATED, CATEGORY_OF_LABEL
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.intake.formats import Refusal
from blocklist_sync.central.log import keys
from blocklist_sync.central.log.approvals import ENROL, Admission, Person
from blocklist_sync.central.log.folder import LogFolder
from blocklist_sync.central.log.proposals import Order
from blocklist_sync.central.release import holder, repository
from blocklist_sync.central.release.repository import delegated
from blocklist_sync.central.trial import TrialLog, listed
from blocklist_sync.central.verbs.common import (
    Json,
    KeySource,
    PassphraseFile,
    artifact_errors,
    given_order,
    open_signer,
)
from lachan import durable, terminal

MAX_REFUSED_SHOWN = 50

app = typer.Typer(
    help="The registry's steps on one machine, without its database: for a trial.",
    no_args_is_help=True,
    add_completion=False,
)

Log = Annotated[Path, typer.Option(help="The folder of the approvals log.")]
TargetsFile = Annotated[Path, typer.Option("--targets", help="The top-level targets, which say who may approve.")]
PersonOption = Annotated[str, typer.Option("--person", help="Who signs: their id in the log.")]


@contextmanager
def _opened(folder: Path, targets: Path) -> Iterator[TrialLog]:
    keys = delegated(repository.read(targets, Targets).signed)
    durable.make_folder(folder)
    with durable.lock(folder):
        yield TrialLog(LogFolder(folder), keys)


@app.command("enrol")
def enrol(
    log: Log,
    targets: TargetsFile,
    identifier: Annotated[str, typer.Option("--id", help="Theirs in the log: a-z, 0-9 and hyphens.")],
    name: Annotated[str, typer.Option(help="In full.")],
    role: Annotated[list[str], typer.Option(help="approver, custodian or editor.")],
    public: Annotated[Path, typer.Option(help="Their .pub.json.")],
    person: PersonOption,
    key: KeySource,
    unit: Annotated[str, typer.Option(help="The unit that they belong to.")] = "list-unit",
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Enrols a person, by an approver's signature."""
    raw = keys.raw(holder.public(public)).hex()
    admission = Admission(ENROL, Person(identifier, name, unit, tuple(sorted(role)), raw), int(time.time()))
    with _opened(log, targets) as held:
        step = held.admit(admission, person, open_signer(key, None, passphrase_file))
    if as_json:
        terminal.document({"step": step, "person": identifier})
    else:
        terminal.line(f"step {step}: {identifier} is enrolled")


@app.command("propose")
def propose(
    files: Annotated[list[Path], typer.Argument(help="Hosts, plain or Adblock-style lists.")],
    log: Log,
    targets: TargetsFile,
    person: PersonOption,
    key: KeySource,
    category: Annotated[str, typer.Option(help="One of the closed set: gambling, scam…")],
    order: Annotated[str, typer.Option(help="The legal order's number.")],
    issuer: Annotated[str, typer.Option(help="Who issued it.")] = "trial",
    mandated: Annotated[bool | None, typer.Option("--mandated/--profile-only")] = None,
    remove: Annotated[bool, typer.Option(help="Take these names out of the list again.")] = False,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Proposes the names in source files, as one order asks; somebody else has to approve."""
    if category not in CATEGORY_OF_LABEL:
        raise CentralError(f"--category: {category!r} is none; there are {', '.join(CATEGORY_OF_LABEL)}")
    wanted = CATEGORY_OF_LABEL[category]
    everybody = wanted in ALWAYS_MANDATED if mandated is None else mandated
    today = dt.datetime.now(dt.UTC).date().isoformat()
    basis = Order(given_order(order), today, issuer, "trial", "ordinary", "trial", int(everybody), "")
    refused: dict[str, int] = {}

    def refuse(refusal: Refusal) -> None:
        refused[refusal.reason] = refused.get(refusal.reason, 0) + 1
        if sum(refused.values()) <= MAX_REFUSED_SHOWN:
            terminal.complain(f"{refusal.file}:{refusal.line}: {refusal.reason}: {refusal.text!r}")

    entries = (
        (name, kind, not remove)
        for name, kind, _ in listed(files, Kind(Scope.SUBTREE, False, wanted, basis.basis), refuse)
    )
    with _opened(log, targets) as held, artifact_errors():
        proposal, summary = held.propose(
            entries,
            basis,
            person,
            open_signer(key, None, passphrase_file),
            reason=f"as {order} asks",
            now=int(time.time()),
        )
    document = {
        "id": proposal.id,
        "order": order,
        "added": summary.added,
        "removed": summary.removed,
        "refused": sum(refused.values()),
        "refused_by_reason": refused,
    }
    if as_json:
        terminal.document(document)
    else:
        terminal.table("Proposed", ("", ""), document.items())


@app.command("approve")
def approve(
    log: Log,
    targets: TargetsFile,
    person: PersonOption,
    key: KeySource,
    identifiers: Annotated[list[str] | None, typer.Argument(help="Proposals; all that wait if none is named.")] = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Approves proposals of somebody else's."""
    approved: list[dict[str, object]] = []
    with _opened(log, targets) as held:
        signer = open_signer(key, None, passphrase_file)
        for identifier in identifiers or [proposal.id for proposal in held.pending()]:
            step = held.approve(identifier, person, signer, now=int(time.time()))
            approved.append({"id": identifier, "step": step})
            if not as_json:
                said = f"step {step} of the log" if step else "one more approver is needed"
                terminal.line(f"{identifier}: {said}")
    if as_json:
        terminal.document({"approved": approved})
