"""`lachan-blocklist propose`, `revoke`, `approve`, `reject`, `withdraw`, `proposals`: from an order to the log.

Holds always: whatever is signed was read here first: the changes are checked against the header, the header against its
proposer's signature; a signature is made on this machine, with the person's own key.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from blocklist_sync.artifact.categories import CATEGORY_OF_LABEL, Category
from blocklist_sync.artifact.names import NameRefusedError, canonical, spelled
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind, kind_line
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.intake import drafts
from blocklist_sync.central.log import changes, keys, proposals
from blocklist_sync.central.log.changes import Reader
from blocklist_sync.central.log.proposals import Order, Proposal, Rail
from blocklist_sync.central.registry.client import CALL_SECONDS, TRANSFER_SECONDS, RegistryClient
from blocklist_sync.central.verbs import registry, standing
from blocklist_sync.central.verbs.common import Json, given_order, seconds
from blocklist_sync.central.verbs.registry import Config, ProposalId, Reason
from lachan import durable, terminal
from lachan.blocklist.v1 import registry_service_pb2 as pb

MAX_DRAFT_BYTES = 16 << 20
SHOWN = 50

app = typer.Typer(help="Proposals and what became of them.", no_args_is_help=True, add_completion=False)

Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Names, in any spelling.")]
OrderNumber = Annotated[str, typer.Option("--order", help="The registered order that this carries out.")]
EffectiveFrom = Annotated[
    str | None, typer.Option(help="A date (its midnight in UTC), or date and time with its zone; now if not given.")
]
ReviewAfter = Annotated[str, typer.Option(metavar="DURATION", help="When to look at it again.")]
Override = Annotated[
    list[str] | None, typer.Option(metavar="RAIL=WHY", help="A rail to override; then two people have to approve.")
]


@dataclass(frozen=True)
class _Terms:
    """What a proposal says beside its changes."""

    order: str
    reason: str
    effective_from: int
    """Seconds since 1970-01-01 UTC; 0: as soon as it is approved."""
    review_after: str
    rails: tuple[Rail, ...]


def _rails(overrides: Sequence[str]) -> tuple[Rail, ...]:
    found = set()
    for text in overrides:
        rail, equals, detail = text.partition("=")
        if not equals:
            raise CentralError(f"--override: RAIL=WHY is expected, not {text!r}")
        found.add(Rail(rail, detail))
    return tuple(sorted(found, key=lambda one: (one.rail, one.detail)))


def _sorted(names: Iterable[str], form: Callable[[str], str]) -> list[str]:
    """Names in one form, each once."""
    try:
        return sorted(set(map(form, names)))
    except NameRefusedError as error:
        raise CentralError(str(error)) from error


def _moment(effective_from: str | None) -> int:
    return registry.moment(effective_from, "--effective-from") if effective_from else 0


async def _submit(client: RegistryClient, config: Path, path: Path, terms: _Terms, order: Order) -> pb.Proposal:
    """Signs a proposal of the changes in a file, and hands it in."""
    summary = await asyncio.to_thread(changes.check, path)
    now = int(time.time())
    begins = terms.effective_from or now
    proposal = Proposal(
        id=str(uuid.uuid4()),
        order=order,
        effective_from=begins,
        review_by=max(begins, now) + int(seconds(terms.review_after, "--review-after")),
        reason=terms.reason,
        proposer=client.person,
        proposed_at=now,
        changes_sha256=summary.digest.hex(),
        added=summary.added,
        removed=summary.removed,
        rails=terms.rails,
    )
    proposals.check_changes(proposal, summary)
    signer = registry.signer_of(registry.settings_of(config))
    signature = await asyncio.to_thread(proposals.sign_proposal, signer, proposal)
    return await client.submit(proposal.encode(), signature, path)


async def _order(client: RegistryClient, number: str) -> Order:
    held = (await client.order(given_order(number))).order
    return Order(
        held.number,
        held.date,
        held.issuer,
        held.legal_basis,
        held.urgency,
        held.jurisdiction,
        int(held.mandated),
        held.scan_sha256.hex(),
    )


def _draft(path: Path) -> tuple[str, Path, tuple[Rail, ...]]:
    """Order, changes and overridden rails of a draft that `import` wrote."""
    try:
        document: Any = json.loads(durable.read(path, MAX_DRAFT_BYTES))
        if document["format"] != drafts.FORMAT:
            raise CentralError(f"{path}: not {drafts.FORMAT!r}")
        rails = {Rail(str(one["rail"]), str(one["detail"])) for one in document["rails"]}
        found = str(document["order"]["number"]), path.parent / Path(document["changes"]).name
    except (ValueError, KeyError, TypeError) as error:
        raise CentralError(f"{path}: no draft: {error!r:.80}") from error
    return *found, tuple(sorted(rails, key=lambda one: (one.rail, one.detail)))


def from_draft(
    config: Path, draft: Path, reason: str, effective_from: int = 0, review_after: str = "365d"
) -> pb.Proposal:
    """Proposes what a draft holds, under the draft's own order and rails, signed with the person's key.

    Raises:
        LachanError: The draft, the configuration or the key cannot be used, or the registry refuses.
    """
    order, text, rails = _draft(draft)
    terms = _Terms(order, reason, effective_from, review_after, rails)

    async def work(client: RegistryClient) -> pb.Proposal:
        return await _submit(client, config, text, terms, await _order(client, order))

    return registry.asking(config, work)


def propose(
    config: Config,
    reason: Reason,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Names to list.")] = None,
    order: Annotated[str | None, typer.Option("--order", help="The registered order; a draft names its own.")] = None,
    category: Annotated[str | None, typer.Option(help="Of the names given here.")] = None,
    exact: Annotated[bool, typer.Option(help="The names alone, not what is below them.")] = False,
    exception: Annotated[bool, typer.Option("--except", help="Let the names pass instead of blocking them.")] = False,
    text: Annotated[Path | None, typer.Option("--changes", help="A file of changes instead of names.")] = None,
    draft: Annotated[Path | None, typer.Option(help="A draft that `import` wrote, instead of names.")] = None,
    effective_from: EffectiveFrom = None,
    review_after: ReviewAfter = "365d",
    override: Override = None,
    as_json: Json = False,
) -> None:
    """Proposes changes, signed with your key; somebody else has to approve them."""
    if sum(given is not None for given in (names or None, text, draft)) != 1:
        raise CentralError("give names, --changes or --draft: one of them")
    rails = _rails(override or [])
    if draft is not None:
        order_of_draft, text, found = _draft(draft)
        order, rails = order or order_of_draft, rails or found
    if order is None:
        raise CentralError("--order: the order that this carries out")
    if names and category not in CATEGORY_OF_LABEL:
        raise CentralError(f"--category: one of {', '.join(CATEGORY_OF_LABEL)}")
    wanted = _sorted(names or (), canonical)
    terms = _Terms(order, reason, _moment(effective_from), review_after, rails)

    async def work(client: RegistryClient) -> pb.Proposal:
        basis = await _order(client, terms.order)
        if text is not None:
            return await _submit(client, config, text, terms, basis)
        scope = Scope.EXACT if exact else Scope.SUBTREE
        kind = Kind(scope, exception, CATEGORY_OF_LABEL[category or ""], basis.basis)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "changes"
            changes.write(path, ((name, kind, True) for name in wanted))
            return await _submit(client, config, path, terms, basis)

    registry.show_proposal(registry.asking(config, work), as_json=as_json)


def revoke(
    names: Names,
    config: Config,
    order: OrderNumber,
    reason: Reason,
    category: Annotated[str | None, typer.Option(help="Only entries of this category.")] = None,
    effective_from: EffectiveFrom = None,
    override: Override = None,
    as_json: Json = False,
) -> None:
    """Proposes that names be listed no more, by removing every entry on them: the same road as listing.

    Where an entry takes effect at a later day, its removal does so then, unless another day is given.
    """
    if category is not None and category not in CATEGORY_OF_LABEL:
        raise CentralError(f"--category: one of {', '.join(CATEGORY_OF_LABEL)}")
    wanted = _sorted(names, spelled)
    asked = _moment(effective_from)
    only: Category | None = CATEGORY_OF_LABEL[category] if category else None

    async def work(client: RegistryClient) -> pb.Proposal:
        basis = await _order(client, order)
        lines, since = [], 0
        for name in wanted:
            found = [one for one in await standing.entries(client, name) if only in {None, one.kind.category}]
            if not found:
                raise CentralError(f"{name}: no entry stands on it")
            lines += [(name, one.kind, False) for one in found]
            since = max(since, *(one.since for one in found))
        terms = _Terms(order, reason, _removed_from(asked, since, time.time()), "365d", _rails(override or []))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "changes"
            changes.write(path, lines)
            return await _submit(client, config, path, terms, basis)

    registry.show_proposal(registry.asking(config, work), as_json=as_json)


def _removed_from(asked: int, since: int, now: float) -> int:
    """When a removal takes effect, of entries that do so up to `since`: removed before, they would come all the same.

    Raises:
        CentralError: It is asked for an earlier moment.
    """
    if since <= now:
        return asked
    if asked and asked < since:
        raise CentralError(f"--effective-from: an entry comes at {registry.at(since)} only; remove it then, or later")
    return asked or since


async def _get(client: RegistryClient, identifier: str) -> pb.Proposal:
    answer = await client.call(client.stub.GetProposal(pb.GetProposalRequest(id=identifier), timeout=CALL_SECONDS))
    return answer.proposal


async def _checked(client: RegistryClient, message: pb.Proposal, path: Path) -> Proposal:
    """A proposal whose signature and changes hold; the changes are in the file then."""
    proposal = registry.header_of(message)
    people = await client.call(client.stub.ListPeople(pb.ListPeopleRequest(), timeout=CALL_SECONDS))
    proposer = next((one for one in people.people if one.id == proposal.proposer), None)
    if proposer is None or not keys.holds(proposer.public_key, proposals.PROPOSAL, proposal.digest, message.signature):
        raise CentralError(f"{proposal.id}: not signed by {proposal.proposer}")
    await client.changes(proposal.id, path)
    proposals.check_changes(proposal, await asyncio.to_thread(changes.check, path))
    return proposal


def _show_changes(path: Path, shown: int) -> None:
    with path.open("rb") as file:
        reader = Reader(file, str(path))
        rows = []
        for number, change in enumerate(reader):
            if number < shown:
                what = kind_line(reader.kinds[change.kind]).strip("\t").split("\t")
                rows.append(("+" if change.added else "-", change.name, *what))
            last = number + 1
    terminal.table("Changes", ("", "name", "scope", "effect", "category", "for", "order"), rows)
    if last > shown:
        terminal.line(f"… and {last - shown} more: lachan-blocklist proposals changes ID --out FILE")


async def _approve(
    client: RegistryClient, config: Path, identifier: str, shown: int, *, yes: bool, as_json: bool
) -> pb.Proposal:
    message = await _get(client, identifier)
    if client.person in {one.approver for one in message.approvals}:
        raise CentralError(f"{client.person} has approved it already")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "changes"
        proposal = await _checked(client, message, path)
        if proposal.proposer == client.person:
            raise CentralError("nobody approves what they proposed")
        if not as_json:
            registry.show_proposal(message, as_json=False)
            _show_changes(path, shown)
    if not yes:
        typer.confirm("Approve this with your key?", abort=True)
    signer = registry.signer_of(registry.settings_of(config))
    decided_at = max(int(time.time()), proposal.proposed_at)
    signature = await asyncio.to_thread(proposals.sign_approval, signer, proposal, decided_at)
    request = pb.ApproveProposalRequest(id=proposal.id, decided_at=decided_at, signature=signature)
    # Every rail is held against its changes again, of which there may be millions.
    return (await client.call(client.stub.ApproveProposal(request, timeout=TRANSFER_SECONDS))).proposal


def approve(
    identifiers: Annotated[list[str], typer.Argument(metavar="ID...", help="Proposals, each shown and asked about.")],
    config: Config,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    shown: Annotated[int, typer.Option(min=0, help="Changes shown.")] = SHOWN,
    as_json: Json = False,
) -> None:
    """Approves somebody else's proposals: reads each and its changes, shows them, and signs with your key."""
    if as_json and not yes:
        raise CentralError("--json: nobody is shown what is approved: give --yes too, or leave it out")
    approved = []
    for identifier in identifiers:

        async def work(client: RegistryClient, wanted: str = identifier) -> pb.Proposal:
            return await _approve(client, config, wanted, shown, yes=yes, as_json=as_json)

        approved.append(registry.asking(config, work))
        if not as_json:
            registry.show_proposal(approved[-1], as_json=False)
    if as_json:
        documents = [registry.proposal_document(one) for one in approved]
        terminal.document(documents[0] if len(documents) == 1 else {"proposals": documents})


def _close(identifier: str, config: Path, outcome: str, reason: str, *, as_json: bool) -> None:
    async def work(client: RegistryClient) -> pb.Proposal:
        request = pb.CloseProposalRequest(id=identifier, outcome=outcome, reason=reason)
        return (await client.call(client.stub.CloseProposal(request, timeout=CALL_SECONDS))).proposal

    registry.show_proposal(registry.asking(config, work), as_json=as_json)


def reject(identifier: ProposalId, config: Config, reason: Reason, as_json: Json = False) -> None:
    """Rejects somebody else's proposal."""
    _close(identifier, config, "rejected", reason, as_json=as_json)


def withdraw(identifier: ProposalId, config: Config, reason: Reason, as_json: Json = False) -> None:
    """Takes your own proposal back."""
    _close(identifier, config, "withdrawn", reason, as_json=as_json)


@app.command("list")
def list_proposals(
    config: Config,
    state: Annotated[str, typer.Option(help="proposed, approved, rejected or withdrawn.")] = "",
    order: Annotated[str, typer.Option(help="Only of this order.")] = "",
    as_json: Json = False,
) -> None:
    """Proposals, newest first."""
    found = registry.asking(config, lambda client: client.proposals(state, given_order(order) if order else ""))
    if as_json:
        terminal.document({"proposals": [registry.proposal_document(one) for one in found]})
        return
    rows = []
    for one in found:
        header = registry.header_of(one)
        counts = f"+{header.added} -{header.removed}"
        given = f"{len(one.approvals)}/{one.approvals_needed}"
        rows.append((one.id, one.state, header.order.number, counts, header.proposer, given, registry.at(one.added_at)))
    terminal.table("Proposals", ("id", "state", "order", "changes", "proposer", "approvals", "at"), rows)


@app.command("show")
def show(identifier: ProposalId, config: Config, as_json: Json = False) -> None:
    """One proposal, with its stages and who answers for each."""
    message = registry.asking(config, lambda client: _get(client, identifier))
    registry.show_proposal(message, as_json=as_json)


@app.command("changes")
def fetch_changes(
    identifier: ProposalId,
    config: Config,
    out: Annotated[Path, typer.Option(help="File to write.")],
    as_json: Json = False,
) -> None:
    """Fetches a proposal's changes."""

    async def work(client: RegistryClient) -> Proposal:
        return await _checked(client, await _get(client, identifier), out)

    registry.asking(config, work)
    registry.show_file(out, as_json=as_json)
