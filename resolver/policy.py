"""From the list, the policy bundle and the edge's networks to the tables of the compiled core."""

from __future__ import annotations

import ipaddress

from blocklist_sync.artifact._snapshot import Snapshot
from blocklist_sync.artifact.policy import PolicyBundle
from resolver._hot.policy import Policy
from resolver.settings import Edge


def compile_policy(edge: Edge, bundle: PolicyBundle, snapshot: Snapshot | None, epoch: int, key: bytes) -> Policy:
    """Builds the tables.

    Args:
        edge: The configuration.
        bundle: What the signed bundle says of profiles and actions.
        snapshot: The list in force, or None while there has never been one.
        epoch: Differs from that of every other policy on this machine since the cache was made.
        key: 16 bytes that key the hash of names where there is no list.
    """
    numbers = {name: number for number, name in enumerate(edge.profiles)}
    sinkhole = edge.file.sinkhole
    return Policy(
        epoch,
        snapshot,
        [(name, sorted(int(category) for category in bundle.categories(name)), False) for name in edge.profiles],
        {int(category): int(action) for category, action in bundle.actions.items()},
        [(address, length, numbers[profile]) for address, length, profile in edge.networks],
        (ipaddress.IPv4Address(sinkhole.ipv4).packed, ipaddress.IPv6Address(sinkhole.ipv6).packed),
        edge.file.blocklist.shadow,
        edge.file.access.others == "refuse",
        key,
    )
