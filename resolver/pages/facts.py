"""What the pages know of the edge: the rules in force, whose network a client is in, why a name is blocked.

Holds always: a name is looked up by its own text and comes out as a reason, never as a list; a client's address chooses
a profile and goes no further.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from blocklist_sync.artifact._snapshot import Snapshot
from blocklist_sync.artifact.categories import ALWAYS_MANDATED, Category
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.policy import PolicyBundle
from blocklist_sync.artifact.rules import decide
from resolver.overrides import Override
from resolver.ownnames import OwnSettings
from resolver.policy import profile_table
from resolver.settings import Edge, mapped


@dataclass(frozen=True)
class Reason:
    """Why a name is blocked for a profile."""

    name: str
    profile: str
    category: Category | None
    """None: the operator blocks it on their own account."""
    mandated: bool
    order: str | None
    """The order's number; None where it is not told."""


@dataclass(frozen=True)
class OwnRule:
    """What the operator says of a name, and of all below it where it reaches so far."""

    blocks: bool
    subtree: bool


def own_rules(settings: OwnSettings) -> dict[str, OwnRule]:
    """The operator's own names."""
    return {
        one.name: OwnRule(blocks, one.scope == "subtree")
        for blocks, names in ((True, settings.block), (False, settings.allow))
        for one in names
    }


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
    own: Mapping[str, OwnRule] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    """Each holds until its own end."""

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

    def _asked(self, profile: str, now: float) -> frozenset[Category]:
        chosen = next((one for one in self.edge.file.profiles if one.name == profile), None)
        return profile_table(self.edge, self.bundle, chosen, now).categories

    def categories(self, profile: str, now: float) -> list[Category]:
        """What is blocked for a profile whatever an order says, and what it asks for at this hour."""
        return sorted(ALWAYS_MANDATED | self._asked(profile, now))

    def _own(self, name: str) -> OwnRule | None:
        """The operator's rule on the name, or the deepest of those above that reach it."""
        suffix, exact = name, True
        while suffix:
            rule = self.own.get(suffix)
            if rule is not None and (exact or rule.subtree):
                return rule
            suffix, exact = suffix.partition(".")[2], False
        return None

    def passing(self, now: float) -> int:
        """How many emergency overrides are in force."""
        return sum(one.live(now) for one in self.overrides)

    def lifted(self, name: str, now: float) -> bool:
        """Whether an emergency override lets a name pass, whatever blocks it."""
        return any(
            one.live(now) and (name == one.name or (one.scope == "subtree" and name.endswith(f".{one.name}")))
            for one in self.overrides
        )

    def reason(self, name: str | None, profile: str | None, now: float) -> Reason | None:
        """Why a name is blocked for a profile, None where it is not, or the profile is a stranger's.

        An emergency override leaves the reason as it is: `lifted` tells of it.

        Args:
            name: As the client asks for it.
            profile: That of its network.
            now: Seconds since 1970: profiles have hours.
        """
        if name is None or profile is None:
            return None
        match = decide(self.snapshot.lookup(name), self._asked(profile, now)) if self.snapshot is not None else None
        own = self._own(name)
        if own is not None and not (match is not None and match.rule.mandated):
            return Reason(name, profile, None, False, None) if own.blocks else None
        if match is None:
            return None
        rule = match.rule
        # Which order a name of these stands in is told to nobody.
        told = rule.category not in ALWAYS_MANDATED and rule.order < len(self.orders)
        return Reason(name, profile, rule.category, rule.mandated, self.orders[rule.order].text if told else None)
