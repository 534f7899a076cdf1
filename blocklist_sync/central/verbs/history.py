"""`lachan-blocklist log`, `due`, `review`, `overdue`: what was decided, what is to be looked at again, what is late."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import approvals, verifier
from blocklist_sync.central.log.approvals import Log
from blocklist_sync.central.registry.client import CALL_SECONDS, RegistryClient
from blocklist_sync.central.verbs import registry
from blocklist_sync.central.verbs.common import ApproverKeys, ApproversRepository, Json, approvers_of, seconds
from blocklist_sync.central.verbs.registry import Config, ProposalId, Reason
from lachan import terminal
from lachan.blocklist.v1 import registry_service_pb2 as pb


def log(
    config: Config,
    out: Annotated[Path, typer.Option(help="A folder: steps.jsonl, and changes/SHA256.changes; continued if there.")],
    repository: ApproversRepository = None,
    approver: ApproverKeys = None,
    as_json: Json = False,
) -> None:
    """Fetches the approvals log with every change, and verifies all of it."""
    keys = approvers_of(repository, approver or ())
    came = registry.asking(config, lambda client: client.fetch_log(out))
    found: Log = verifier.verify_log(approvals.read(out / "steps.jsonl") if came or _has(out) else (), keys)
    now = int(time.time())
    summary = {
        "steps": found.length,
        "new": came,
        "head": found.head.hex(),
        "people": len(found.people),
        "decisions": len(found.decisions),
        "in_effect": len(found.in_effect(now)),
    }
    if as_json:
        terminal.document(summary)
    else:
        terminal.table("The log, verified", ("", ""), summary.items())


def _has(folder: Path) -> bool:
    return (folder / "steps.jsonl").exists()


def due(
    config: Config,
    within: Annotated[str, typer.Option(metavar="DURATION", help="Also what falls due in this time.")] = "30d",
    as_json: Json = False,
) -> None:
    """Entries that are past their review date, or soon will be: they stay in force until somebody decides."""
    now = int(time.time())
    found = registry.asking(config, lambda client: client.due(now + int(seconds(within, "--within"))))
    rows = []
    for one in found:
        header = registry.header_of(one.proposal)
        rows.append(
            {
                "proposal": one.proposal.id,
                "order": header.order.number,
                "added": header.added,
                "review_by": one.review_by,
                "late": one.review_by < now,
                "reviews": one.reviews,
            }
        )
    if as_json:
        terminal.document({"due": rows})
        return
    shown = [
        (*list(row.values())[:3], registry.at(int(str(row["review_by"]))), row["late"], row["reviews"]) for row in rows
    ]
    terminal.table("Due for review", ("proposal", "order", "entries", "review by", "late", "reviews"), shown)


def review(
    identifier: ProposalId,
    config: Config,
    reason: Reason,
    again_after: Annotated[str | None, typer.Option(metavar="DURATION", help="When to look again.")] = None,
    closed: Annotated[bool, typer.Option(help="Nothing of it stands any more: never look again.")] = False,
    as_json: Json = False,
) -> None:
    """Notes that a proposal's entries were reviewed; what shall go is revoked, this only moves the date."""
    if (again_after is None) != closed:
        raise CentralError("give --again-after or --closed: one of them")
    until = 0 if again_after is None else int(time.time()) + int(seconds(again_after, "--again-after"))

    async def work(client: RegistryClient) -> int:
        request = pb.RecordReviewRequest(id=identifier, next_review_by=until, reason=reason)
        answer = await client.call(client.stub.RecordReview(request, timeout=CALL_SECONDS))
        return int(answer.reviews)

    count = registry.asking(config, work)
    if as_json:
        terminal.document({"proposal": identifier, "reviews": count, "next_review_by": until})
    else:
        terminal.line(f"{identifier}: reviewed, next by {registry.at(until) or 'nobody: closed'}")


def overdue(config: Config, as_json: Json = False) -> None:
    """What should be done and is not, and which unit answers for it."""

    async def work(client: RegistryClient) -> pb.ListOverdueResponse:
        return await client.call(client.stub.ListOverdue(pb.ListOverdueRequest(), timeout=CALL_SECONDS))

    answer = registry.asking(config, work)
    rows = [
        {"order": one.order_number, "proposal": one.proposal_id, **registry.stage_document(one.stage)}
        for one in answer.stages
    ]
    if as_json:
        terminal.document({"overdue": rows, "truncated": answer.truncated})
        return
    registry.show_stages(rows, "Overdue")
    if answer.truncated:
        terminal.complain("there is more than is shown")
