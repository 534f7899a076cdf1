"""Which entries stand on a name, from its history alone."""

from __future__ import annotations

from collections.abc import Iterable

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind, kind_rank
from blocklist_sync.central.registry.client import CALL_SECONDS, RegistryClient
from lachan.blocklist.v1 import registry_service_pb2 as pb


def kind_of(event: pb.NameEvent) -> Kind:
    """What kind of entry an event is about."""
    order = Order(event.order_number, event.mandated)
    return Kind(Scope(event.scope), event.exception, Category(event.category), order)


def fold(events: Iterable[pb.NameEvent], name: str) -> list[Kind]:
    """The kinds of entries that stand on a name once everything that was approved counts."""
    approved = [one for one in events if one.name == name and one.proposal.state == "approved"]
    approved.sort(key=lambda one: (one.proposal.decision.effect_at, one.proposal.decision.log_index))
    standing: set[Kind] = set()
    for event in approved:
        if event.added:
            standing.add(kind_of(event))
        else:
            standing.discard(kind_of(event))
    return sorted(standing, key=kind_rank)


async def kinds(client: RegistryClient, name: str) -> list[Kind]:
    """The kinds of entries that stand on a name, by the registry.

    Raises:
        CentralError: The registry refuses.
    """
    request = pb.ExplainNameRequest(name=name)
    answer = await client.call(client.stub.ExplainName(request, timeout=CALL_SECONDS))
    return fold(answer.events, name)
