"""`lachan-blocklist explain NAME`: which rules a name meets in a release, and everything that ever happened to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from blocklist_sync.artifact import snapshot
from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.artifact.names import spelled
from blocklist_sync.artifact.rules import Match, decide
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release.candidate import ReleaseFolder
from blocklist_sync.central.verbs import findings, registry
from blocklist_sync.central.verbs.common import Json
from blocklist_sync.central.verbs.registry import PersonConfig
from lachan import terminal
from lachan.blocklist.v1 import registry_service_pb2 as pb

RULES = ("owner", "scope", "effect", "category", "mandated", "order")


def explain(
    name: Annotated[str, typer.Argument(help="Any spelling of a name.")],
    release: Annotated[
        Path | None, typer.Option(help="A release folder: the rules the name meets in what it published last.")
    ] = None,
    candidate: Annotated[bool, typer.Option(help="The rules in what was built last, published or not.")] = False,
    config: PersonConfig = None,
    as_json: Json = False,
) -> None:
    """Names every rule a name meets, which wins for each profile, and every order and decision behind it."""
    if release is None and config is None:
        raise CentralError("give --release, --config, or both")
    try:
        qname = spelled(name)
        rules = _rules(qname, ReleaseFolder(release), candidate=candidate) if release is not None else {}
    except ArtifactError as error:
        raise CentralError(str(error)) from error
    answer = _history(qname, config) if config is not None else None
    if as_json:
        history = {"history": _documents(answer), "truncated": answer.truncated} if answer is not None else {}
        terminal.document({"name": qname, **rules, **history})
        return
    if rules:
        _show_rules(qname, rules)
    if answer is not None:
        _show_history(qname, answer)


def _told(match: Match | None, orders: Any) -> dict[str, Any] | None:
    if match is None:
        return None
    rule = match.rule
    return {
        "owner": match.owner,
        "scope": rule.scope.value,
        "effect": "except" if rule.exception else "block",
        "category": rule.category.label,
        "mandated": rule.mandated,
        "order": orders[rule.order].text,
    }


def _rules(qname: str, folder: ReleaseFolder, *, candidate: bool) -> dict[str, Any]:
    """The rules that a name meets in a release folder, and the outcome for each profile."""
    opened = snapshot.Snapshot(snapshot.build(folder.release() if candidate else folder.published_release()))
    bundle = folder.policy() if candidate else folder.published_policy()
    found = opened.lookup(qname)
    verdicts = {name: decide(found, wanted) for name, wanted in sorted(bundle.profiles.items())}
    return {
        "serial": opened.serial,
        "rules": [_told(match, opened.orders) for match in found],
        "profiles": {name: _told(match, opened.orders) for name, match in verdicts.items()},
    }


def _show_rules(qname: str, rules: Mapping[str, Any]) -> None:
    terminal.table(f"{qname} under serial {rules['serial']}", RULES, [tuple(rule.values()) for rule in rules["rules"]])
    outcomes = [
        (name, f"blocked by {rule['owner']} ({rule['category']})" if rule else "passes")
        for name, rule in rules["profiles"].items()
    ]
    terminal.table("Profiles", ("profile", "outcome"), outcomes)


def _history(qname: str, config: Path) -> pb.ExplainNameResponse:
    from blocklist_sync.central.registry.client import CALL_SECONDS, RegistryClient

    async def work(client: RegistryClient) -> pb.ExplainNameResponse:
        request = pb.ExplainNameRequest(name=qname)
        return await client.call(client.stub.ExplainName(request, timeout=CALL_SECONDS))

    return registry.asking(config, work)


def _documents(answer: pb.ExplainNameResponse) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "change": "add" if one.added else "remove",
            "scope": one.scope,
            "effect": "except" if one.exception else "block",
            "category": Category(one.category).label,
            "mandated": one.mandated,
            "entry_order": one.order_number,
            "order": registry.order_document(one.order),
            "proposal": registry.proposal_document(one.proposal),
        }
        for one in answer.events
    ]


def _show_history(qname: str, answer: pb.ExplainNameResponse) -> None:
    rows = []
    for one in answer.events:
        header = registry.header_of(one.proposal)
        by = ", ".join(approval.approver for approval in one.proposal.approvals)
        fate = one.proposal.state + (f" by {by}" if one.proposal.state == "approved" else "")
        rows.append(
            (
                registry.at(one.proposal.added_at),
                f"{'+' if one.added else '-'} {one.name}",
                f"{one.scope} {'except' if one.exception else 'block'} {Category(one.category).label}",
                f"{one.order.order.number} ({one.order.order.issuer})",
                header.proposer,
                fate,
                registry.at(one.proposal.decision.effect_at),
                one.proposal.serial or "",
                one.proposal.id,
            )
        )
    columns = ("proposed", "change", "entry", "order", "proposer", "fate", "in effect from", "serial", "proposal")
    terminal.table(f"History of {qname}", columns, rows)
    # A proposal may have changed several entries on the name.
    found = {(one.proposal.id, rail) for one in answer.events for rail in findings.told(one.proposal)}
    if found:
        told = [
            (proposal, rail.rail, rail.severity.value, rail.count, rail.why)
            for proposal, rail in sorted(found, key=str)
        ]
        terminal.table("What rails found", ("proposal", "rail", "asks for", "names", "why"), told)
    if answer.truncated:
        terminal.complain("there is more than is shown")
