"""Why a name is blocked, or not: every rule it meets and what follows for each profile, from the list on this disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from blocklist_sync.artifact import names
from blocklist_sync.artifact._snapshot import Snapshot
from blocklist_sync.artifact.policy import PolicyBundle
from blocklist_sync.artifact.rules import Match, Scope, decide, in_force
from resolver.settings import Edge


@dataclass(frozen=True)
class Explanation:
    """What the list says of a name."""

    name: str
    serial: int
    matches: tuple[Match, ...]
    orders: tuple[str, ...]
    winners: dict[str, Match | None]
    """Per profile, the rule that decides."""
    actions: dict[str, str]
    categories: dict[str, frozenset[int]]

    def rows(self) -> list[tuple[object, ...]]:
        """One row a rule: owner, reach, kind, category, order, profiles it is in force for."""
        return [
            (
                match.owner,
                "subtree" if match.rule.scope is Scope.SUBTREE else "exact",
                "exception" if match.rule.exception else "block",
                match.rule.category.label,
                self.orders[match.rule.order],
                "everybody (mandated)"
                if match.rule.mandated
                else ", ".join(p for p, wanted in self.categories.items() if match.rule.category in wanted) or "nobody",
            )
            for match in self.matches
        ]

    def document(self) -> dict[str, Any]:
        """The same for machines."""
        columns = ("owner", "reach", "kind", "category", "order", "in_force_for")
        return {
            "name": self.name,
            "serial": self.serial,
            "rules": [dict(zip(columns, row, strict=True)) for row in self.rows()],
            "profiles": {
                profile: {
                    "action": self.actions[profile],
                    "owner": match.owner if match else None,
                    "category": match.rule.category.label if match else None,
                    "order": self.orders[match.rule.order] if match else None,
                }
                for profile, match in self.winners.items()
            },
        }


def explain(text: str, snapshot: Snapshot, bundle: PolicyBundle, edge: Edge) -> Explanation:
    """What the list says of a name, for each profile of this edge.

    Raises:
        blocklist_sync.artifact.names.NameRefusedError: `text` is no name that a list could hold.
    """
    name = names.canonical(text)
    matches = tuple(snapshot.lookup(name))
    categories = {profile: bundle.categories(profile) for profile in edge.profiles}
    winners = {profile: decide(matches, wanted) for profile, wanted in categories.items()}
    actions = {}
    for profile, winner in winners.items():
        if winner is None:
            lifted = any(in_force(m.rule, categories[profile]) and not m.rule.exception for m in matches)
            actions[profile] = "pass (by an exception)" if lifted else "pass"
        else:
            action = bundle.action(winner.rule.category).label
            actions[profile] = f"count only ({action})" if edge.file.blocklist.shadow else action
    return Explanation(
        name=name,
        serial=snapshot.serial,
        matches=matches,
        orders=tuple(order.text for order in snapshot.orders),
        winners=winners,
        actions=actions,
        categories={profile: frozenset(int(c) for c in wanted) for profile, wanted in categories.items()},
    )
