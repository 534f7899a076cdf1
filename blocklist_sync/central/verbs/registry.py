"""What the registry's verbs have in common: who asks, with which key, and how times and proposals are shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from securesystemslib.signer import Signer

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.intake import drafts
from blocklist_sync.central.log import proposals
from blocklist_sync.central.log.proposals import Proposal
from blocklist_sync.central.registry import client
from blocklist_sync.central.registry.client import PersonSettings, RegistryClient
from blocklist_sync.central.release import holder
from blocklist_sync.central.verbs import findings
from lachan import config, terminal
from lachan.blocklist.v1 import registry_service_pb2 as pb

_CONFIG = typer.Option(
    "--config", envvar="LACHAN_PERSON", help="Who you are and where the registry is: deploy/examples/person.yaml."
)
Config = Annotated[Path, _CONFIG]
PersonConfig = Annotated[Path | None, _CONFIG]
"""Where there is another way too."""
ProposalId = Annotated[str, typer.Argument(metavar="ID", help="The proposal's id.")]
Reason = Annotated[str, typer.Option(help="Why, in a sentence; kept for ever.")]

T = TypeVar("T")


def settings_of(path: Path) -> PersonSettings:
    """The person's settings.

    Raises:
        ConfigError: With every problem found.
    """
    return config.load(path, PersonSettings)


def asking(path: Path, work: Callable[[RegistryClient], Awaitable[T]]) -> T:
    """What a call brings, made as the person that the configuration names.

    Raises:
        LachanError: The configuration is wrong, or the registry refuses.
    """
    settings = settings_of(path)

    async def run() -> T:
        async with client.connect(settings) as registry:
            return await work(registry)

    return asyncio.run(run())


def signer_of(settings: PersonSettings) -> Signer:
    """The person's own key.

    Raises:
        CentralError: None is configured, or it cannot be opened.
    """
    source = settings.signer or str(settings.key or "")
    if not source:
        raise CentralError("the configuration names no key to sign with")
    return holder.signer(source, holder.passphrase_from(settings.passphrase_file, "passphrase"), settings.public)


def show_file(path: Path, *, as_json: bool) -> None:
    """Says which file was written."""
    if as_json:
        terminal.document({"file": str(path), "bytes": path.stat().st_size})
    else:
        terminal.line(str(path))


def moment(text: str, option: str) -> int:
    """A moment on the command line: a date, or a date and time with its zone.

    Raises:
        CentralError: It is none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise CentralError(f"{option}: {text!r} is no date: 2026-12-31, or 2026-12-31T08:00+07:00") from error
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def at(when: int) -> str:
    """A moment as it is shown; empty for none."""
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if when else ""


def header_of(message: pb.Proposal) -> Proposal:
    """The header in a proposal.

    Raises:
        CentralError: It is none.
    """
    return proposals.parse(message.header)


def order_document(held: pb.RegisteredOrder) -> dict[str, Any]:
    """An order as JSON has it."""
    order = held.order
    return {
        "number": order.number,
        "date": order.date,
        "issuer": order.issuer,
        "legal_basis": order.legal_basis,
        "urgency": order.urgency,
        "jurisdiction": order.jurisdiction,
        "mandated": order.mandated,
        "scan_sha256": order.scan_sha256.hex(),
        "added_by": held.added_by,
        "added_at": held.added_at,
    }


def stage_document(stage: pb.Stage) -> dict[str, Any]:
    """A stage as JSON has it."""
    return {
        "stage": stage.name,
        "unit": stage.unit,
        "since": stage.since,
        "due_at": stage.due_at,
        "done_at": stage.done_at,
    }


def proposal_document(message: pb.Proposal) -> dict[str, Any]:
    """A proposal as JSON has it."""
    decision = message.decision if message.HasField("decision") else None
    return {
        "id": message.id,
        "state": message.state,
        "header": header_of(message).document(),
        "added_at": message.added_at,
        "approvals_needed": message.approvals_needed,
        "approvals": [{"approver": one.approver, "decided_at": one.decided_at} for one in message.approvals],
        "decision": decision
        and {
            "outcome": decision.outcome,
            "decided_by": decision.decided_by,
            "reason": decision.reason,
            "decided_at": decision.decided_at,
            "log_index": decision.log_index,
            "effect_at": decision.effect_at,
        },
        "serial": message.serial,
        "published_at": message.published_at,
        "stages": [stage_document(stage) for stage in message.stages],
        "findings": [drafts.told(finding) for finding in findings.told(message)],
    }


def show_proposal(message: pb.Proposal, *, as_json: bool) -> None:
    """Prints one proposal."""
    if as_json:
        terminal.document(proposal_document(message))
        return
    header = header_of(message)
    rows: list[tuple[str, object]] = [
        ("id", message.id),
        ("state", message.state),
        ("order", header.order.number),
        ("reason", header.reason),
        ("proposed", f"{at(header.proposed_at)} by {header.proposer}"),
        ("changes", f"+{header.added} -{header.removed} ({header.changes_sha256})"),
        ("in effect from", at(header.effective_from)),
        ("review by", at(header.review_by)),
        *((f"rail overridden: {rail.rail}", rail.detail) for rail in header.rails),
        *(("approved", f"{at(one.decided_at)} by {one.approver}") for one in message.approvals),
    ]
    if message.HasField("decision"):
        one = message.decision
        rows.append((one.outcome, f"{at(one.decided_at)} by {one.decided_by}: {one.reason}"))
    else:
        rows.append(("approvals needed", message.approvals_needed - len(message.approvals)))
    if message.serial:
        rows.append(("published", f"{at(message.published_at)} with serial {message.serial}"))
    terminal.table("Proposal", ("", ""), rows)
    findings.show_findings(findings.told(message))
    if message.stages:
        show_stages((stage_document(stage) for stage in message.stages), "Stages")


def show_stages(stages: Iterable[Mapping[str, Any]], title: str) -> None:
    """Prints stages in a table, with what else each says in front."""
    rows = []
    columns: list[str] = []
    for stage in stages:
        columns = list(stage)
        rows.append([at(value) if name.endswith(("since", "_at")) else value for name, value in stage.items()])
    terminal.table(title, columns, rows)
