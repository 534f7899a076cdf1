"""What the pages know of the edge: the rules in force, whose network a client is in, why a name is blocked.

Holds always: a name is looked up by its own text and comes out as a reason, never as a list; a client's address chooses
a profile and goes no further.
"""

from __future__ import annotations

from dataclasses import dataclass

from blocklist_sync.artifact._snapshot import Snapshot
from blocklist_sync.artifact.categories import ALWAYS_MANDATED, Category
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.policy import PolicyBundle
from blocklist_sync.artifact.rules import decide
from resolver.settings import Edge, mapped


@dataclass(frozen=True)
class Reason:
    """Why a name is blocked for a profile."""

    name: str
    profile: str
    category: Category
    mandated: bool
    order: str | None
    """The order's number; None where it is not told."""


@dataclass(frozen=True)
class Facts:
    """The edge at one moment; times are seconds since 1970, 0 where there is none."""

    edge: Edge
    bundle: PolicyBundle
    snapshot: Snapshot | None
    orders: tuple[Order, ...]
    serial: int = 0
    published_at: int = 0
    checked_at: int = 0

    @property
    def shadow(self) -> bool:
        """Listed names are counted, and pass."""
        return self.edge.file.blocklist.shadow

    @property
    def protecting(self) -> bool:
        """Listed names are blocked for whoever asks this resolver."""
        return bool(self.serial) and not self.shadow

    def profile_of(self, address: str) -> str | None:
        """The profile of the narrowest network that holds an address, None for a stranger's."""
        number = int.from_bytes(mapped(address.partition("%")[0]), "big")
        for network, length, profile in self.edge.networks:
            if (number ^ int.from_bytes(network, "big")) >> (128 - length) == 0:
                return profile
        return None

    def categories(self, profile: str) -> list[Category]:
        """What is blocked for a profile whatever an order says, and what it asks for."""
        return sorted(ALWAYS_MANDATED | self.bundle.categories(profile))

    def reason(self, name: str | None, profile: str | None) -> Reason | None:
        """Why a name is blocked for a profile, None where it is not, or the profile is a stranger's."""
        if name is None or profile is None or self.snapshot is None:
            return None
        match = decide(self.snapshot.lookup(name), self.bundle.categories(profile))
        if match is None:
            return None
        rule = match.rule
        # Which order a name of these stands in is told to nobody.
        told = rule.category not in ALWAYS_MANDATED and rule.order < len(self.orders)
        return Reason(name, profile, rule.category, rule.mandated, self.orders[rule.order].text if told else None)
