"""From the list, the policy bundle, the configuration and the time to the tables of the compiled core.

Holds always: `standing` is a function of what it is given, the instant included, and everything that changes with time
is in it: where two of them are equal, so are the tables; no choice of an operator's reaches what is mandated for
everybody, and none takes from a profile what the bundle says that it asks for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from blocklist_sync.artifact._snapshot import Snapshot
from blocklist_sync.artifact.categories import ACTION_OF_LABEL, Action, Category
from blocklist_sync.artifact.policy import PolicyBundle
from resolver._hot.policy import Policy
from resolver.edgefile import ProfileNetworks
from resolver.overrides import Override
from resolver.ownnames import table
from resolver.schedule import actions_of, categories_of
from resolver.settings import Edge
from resolver.values import DEFAULT_PROFILE


@dataclass(frozen=True)
class ProfileTable:
    """What holds for a profile's clients at one time."""

    name: str
    categories: frozenset[Category]
    """Asked for, beyond what is mandated."""
    actions: Mapping[Category, Action]
    periods: tuple[str, ...] = ()
    """Of its schedule, those that hold."""


@dataclass(frozen=True)
class Standing:
    """All that changes with time."""

    profiles: tuple[ProfileTable, ...]
    overrides: tuple[tuple[str, str], ...] = ()
    """Name and scope of those in force."""


def profile_table(edge: Edge, bundle: PolicyBundle, profile: ProfileNetworks | None, instant: float) -> ProfileTable:
    """What holds for a profile at an instant, seconds since 1970-01-01 UTC; None is everybody else's.

    The bundle's word on an action stands over the operator's; a period's over the profile's; that over everybody's.
    """
    name = DEFAULT_PROFILE if profile is None else profile.name
    periods = tuple(profile.schedule.at(instant)) if profile is not None and profile.schedule is not None else ()
    asked = bundle.categories(name)
    actions = {category: bundle.action(category) for category in Category} | actions_of(edge.file.actions)
    if profile is not None:
        asked |= categories_of(profile.categories)
        actions |= actions_of(profile.actions)
    for period in periods:
        asked |= categories_of(period.categories)
        actions |= actions_of(period.actions)
    return ProfileTable(name, asked, actions | dict(bundle.actions), tuple(period.name for period in periods))


def standing(edge: Edge, bundle: PolicyBundle, overrides: Sequence[Override], instant: float) -> Standing:
    """What holds at an instant, seconds since 1970-01-01 UTC."""
    return Standing(
        tuple(profile_table(edge, bundle, profile, instant) for profile in (None, *edge.file.profiles)),
        tuple((one.name, one.scope) for one in overrides if one.live(instant)),
    )


def _ever(edge: Edge) -> frozenset[Category]:
    """What some profile asks for at some time, beyond what it does now."""
    schedules = [profile.schedule for profile in edge.file.profiles if profile.schedule is not None]
    return frozenset[Category]().union(
        *(categories_of(period.categories) for schedule in schedules for period in schedule.periods)
    )


def ignored_actions(edge: Edge, bundle: PolicyBundle) -> list[str]:
    """Where the configuration says how a category is answered, and the bundle says otherwise."""
    places = [("actions", edge.file.actions)]
    for index, profile in enumerate(edge.file.profiles):
        places.append((f"profiles.{index}.actions", profile.actions))
        for number, period in enumerate(profile.schedule.periods if profile.schedule is not None else ()):
            places.append((f"profiles.{index}.schedule.periods.{number}.actions", period.actions))
    return [
        f"{place}.{category.label}: {action.label}, where the policy bundle says {bundle.actions[category].label}"
        for place, wanted in places
        for category, action in actions_of(wanted).items()
        if bundle.actions.get(category, action) is not action
    ]


def ignored_allowed(edge: Edge, snapshot: Snapshot | None) -> list[str]:
    """Names of the operator's allowlist that are mandated to be blocked: there it changes nothing."""
    if snapshot is None:
        return []
    found = []
    for one in edge.file.own.allow:
        matches = [match for match in snapshot.lookup(one.name) if match.rule.mandated]
        lifted = {(match.rule.category, match.depth) for match in matches if match.rule.exception}
        if any(
            not match.rule.exception
            and not any(category is match.rule.category and depth >= match.depth for category, depth in lifted)
            for match in matches
        ):
            found.append(one.name)
    return found


def compile_policy(edge: Edge, holds: Standing, snapshot: Snapshot | None, epoch: int, key: bytes) -> Policy:
    """Builds the tables.

    Args:
        edge: The configuration.
        holds: What holds now.
        snapshot: The list in force, or None while there has never been one.
        epoch: Differs from that of every other list and configuration on this machine since the cache was made.
        key: 16 bytes that key the hash of names where there is no list.
    """
    numbers = {name: number for number, name in enumerate(edge.profiles)}
    sinkhole, rebinding = edge.file.sinkhole, edge.file.rebinding
    words = {label: int(action) for label, action in ACTION_OF_LABEL.items()}
    return Policy(
        epoch,
        snapshot,
        [(one.name, sorted(int(category) for category in one.categories), False) for one in holds.profiles],
        {},
        [(address, length, numbers[profile]) for address, length, profile in edge.networks],
        (ipaddress.IPv4Address(sinkhole.ipv4).packed, ipaddress.IPv6Address(sinkhole.ipv6).packed),
        edge.file.blocklist.shadow,
        edge.file.access.others == "refuse",
        key,
        profile_actions=[
            {int(category): int(action) for category, action in one.actions.items()} for one in holds.profiles
        ],
        ever=sorted(int(category) for category in _ever(edge)),
        names=table(edge.file.own, edge.private_names, holds.overrides, words),
        shielded=[rebinding.shields(name) for name in edge.profiles],
    )
