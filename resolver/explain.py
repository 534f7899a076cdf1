"""Why a name is blocked, or not: every rule it meets and what follows for each profile, from the list on this disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from blocklist_sync.artifact import names
from blocklist_sync.artifact._snapshot import Snapshot
from blocklist_sync.artifact.policy import PolicyBundle
from blocklist_sync.artifact.rules import Match, Scope, in_force
from resolver.errors import ResolverError
from resolver.overrides import Override
from resolver.policy import ProfileTable, standing
from resolver.schedule import DEFAULT_ZONE
from resolver.settings import Edge
from resolver.verdict import Verdict, Way, judge, own_names


@dataclass(frozen=True)
class Explanation:
    """What the list and the operator say of a name at one time."""

    name: str
    serial: int
    instant: float
    """Seconds since 1970-01-01 UTC."""
    matches: tuple[Match, ...]
    orders: tuple[str, ...]
    tables: dict[str, ProfileTable]
    verdicts: dict[str, Verdict]
    """Per profile, what decides."""
    actions: dict[str, str]

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
                else ", ".join(p for p, one in self.tables.items() if match.rule.category in one.categories)
                or "nobody",
            )
            for match in self.matches
        ]

    def lines(self, profile: str | None = None) -> Iterator[str]:
        """What follows, a line a profile."""
        for name, verdict in self.verdicts.items():
            if profile not in (None, name):
                continue
            by = ""
            if verdict.own is not None:
                by = f" by {verdict.own.name} ({verdict.own.word})"
            elif verdict.match is not None:
                by = f" by {verdict.match.owner}"
            hours = ", ".join(self.tables[name].periods)
            yield f"profile {name}{f' during {hours}' if hours else ''}: {self.actions[name]}{by}"

    def document(self, profile: str | None = None) -> dict[str, Any]:
        """The same for machines."""
        columns = ("owner", "reach", "kind", "category", "order", "in_force_for")
        return {
            "name": self.name,
            "serial": self.serial,
            "at": datetime.fromtimestamp(self.instant, UTC).isoformat(timespec="seconds"),
            "rules": [dict(zip(columns, row, strict=True)) for row in self.rows()],
            "profiles": {
                name: {
                    "action": self.actions[name],
                    "decided_by": verdict.way.value,
                    "owner": verdict.match.owner if verdict.match else None,
                    "category": verdict.match.rule.category.label if verdict.match else None,
                    "order": self.orders[verdict.match.rule.order] if verdict.match else None,
                    "own_name": verdict.own.name if verdict.own else None,
                    "periods": list(self.tables[name].periods),
                }
                for name, verdict in self.verdicts.items()
                if profile in (None, name)
            },
        }


def moment(text: str, edge: Edge, profile: str | None = None) -> float:
    """A time in text, seconds since 1970; without an offset it is of the profile's zone.

    Raises:
        ResolverError: It is none.
    """
    schedules = [one.schedule for one in edge.file.profiles if one.name == profile or profile is None]
    zone = next((schedule.timezone for schedule in schedules if schedule is not None), DEFAULT_ZONE)
    try:
        parsed = datetime.fromisoformat(text)
        return (parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=ZoneInfo(zone))).timestamp()
    except (ValueError, OverflowError) as error:
        raise ResolverError(f"{text[:40]!r} is no time: 2026-03-02T09:00 is one") from error


def _action(verdict: Verdict, table: ProfileTable, matches: Sequence[Match], *, shadow: bool) -> str:
    if verdict.way is Way.LIST:
        assert verdict.match is not None  # noqa: S101 # what decides is told
        action = table.actions[verdict.match.rule.category].label
        return f"count only ({action})" if shadow else action
    if verdict.way is Way.OWN:
        return "blocked by the operator"
    if verdict.way is Way.OVERRIDE:
        return "pass (by an emergency override)"
    if verdict.way is Way.ALLOWLIST:
        return "pass (by the operator's allowlist)"
    lifted = any(in_force(match.rule, table.categories) and not match.rule.exception for match in matches)
    return "pass (by an exception)" if lifted else "pass"


def explain(
    text: str,
    snapshot: Snapshot,
    bundle: PolicyBundle,
    edge: Edge,
    overrides: Sequence[Override],
    instant: float,
) -> Explanation:
    """What is said of a name, for each profile of this edge, at an instant in seconds since 1970.

    Raises:
        blocklist_sync.artifact.names.NameRefusedError: `text` is no name that a list could hold.
    """
    name = names.canonical(text)
    matches = tuple(snapshot.lookup(name))
    tables = {one.name: one for one in standing(edge, bundle, overrides, instant).profiles}
    live = [(one.name, one.scope, one.reason) for one in overrides if one.live(instant)]
    own = own_names(edge.file.own, live)
    verdicts = {profile: judge(name, matches, one.categories, own) for profile, one in tables.items()}
    shadow = edge.file.blocklist.shadow
    return Explanation(
        name=name,
        serial=snapshot.serial,
        instant=instant,
        matches=matches,
        orders=tuple(order.text for order in snapshot.orders),
        tables=tables,
        verdicts=verdicts,
        actions={
            profile: _action(verdict, tables[profile], matches, shadow=shadow) for profile, verdict in verdicts.items()
        },
    )
