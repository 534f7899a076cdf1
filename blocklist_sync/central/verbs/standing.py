"""Which entries stand on a name, from its history alone.

Holds always: what was approved for a later day stands too, with that day, so that whoever takes it out does not do so
before it came.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind, kind_rank
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.registry.client import CALL_SECONDS, RegistryClient
from lachan.blocklist.v1 import registry_service_pb2 as pb


class Standing(NamedTuple):
    """An entry on a name, and since when, in seconds since 1970-01-01 UTC."""

    kind: Kind
    since: int


def kind_of(event: pb.NameEvent) -> Kind:
    """What kind of entry an event is about."""
    order = Order(event.order_number, event.mandated)
    return Kind(Scope(event.scope), event.exception, Category(event.category), order)


def fold(events: Iterable[pb.NameEvent], name: str) -> list[Standing]:
    """The entries that stand on a name once everything that was approved counts."""
    approved = [one for one in events if one.name == name and one.proposal.state == "approved"]
    approved.sort(key=lambda one: (one.proposal.decision.effect_at, one.proposal.decision.log_index))
    standing: dict[Kind, int] = {}
    for event in approved:
        if event.added:
            standing.setdefault(kind_of(event), event.proposal.decision.effect_at)
        else:
            standing.pop(kind_of(event), None)
    return [Standing(kind, standing[kind]) for kind in sorted(standing, key=kind_rank)]


async def entries(client: RegistryClient, name: str) -> list[Standing]:
    """The entries that stand on a name, by the registry.

    Raises:
        CentralError: The registry refuses, or does not tell all of the name's history.
    """
    request = pb.ExplainNameRequest(name=name)
    answer = await client.call(client.stub.ExplainName(request, timeout=CALL_SECONDS))
    if answer.truncated:
        raise CentralError(f"{name}: has more history than the registry tells; propose its removal by --changes")
    return fold(answer.events, name)
