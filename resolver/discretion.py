"""What a report keeps to itself about groups of people.

Holds always: the name of a profile never leaves an edge, for a profile may be one school's: whoever has another than
`default` is told as `filtered`; where a node serves schools alone, the categories that point at a child in distress are
told together, under none of their names.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Mapping

from resolver.schools import PROTECTED
from resolver.values import DEFAULT_PROFILE, Network

FILTERED = "filtered"
TOGETHER = 0
"""CATEGORY_UNSPECIFIED."""


def told_queries(queries: Mapping[tuple[int, str, int], int]) -> Mapping[tuple[int, str, int], int]:
    """Queries by transport, what a report says of their profile, and response code."""
    told: Counter[tuple[int, str, int]] = Counter()
    for (transport, profile, rcode), count in queries.items():
        told[transport, DEFAULT_PROFILE if profile == DEFAULT_PROFILE else FILTERED, rcode] += count
    return told


def told_blocked(blocked: Mapping[tuple[int, int], int], *, schools_alone: bool) -> Mapping[tuple[int, int], int]:
    """What the list blocked, by what a report says of its category, and action; without the operator's own names.

    Args:
        blocked: By category, 0 for the operator's own names, and action.
        schools_alone: Whether nobody but schools is served.
    """
    told: Counter[tuple[int, int]] = Counter()
    for (category, action), count in blocked.items():
        if category:
            told[TOGETHER if schools_alone and category in PROTECTED else category, action] += count
    return told


def lie_within(networks: Iterable[Network], others: Iterable[Network]) -> bool:
    """Whether each of some networks lies within one of others."""
    wider = [ipaddress.ip_network(one) for one in others]
    return all(any(_lies_in(ipaddress.ip_network(one), other) for other in wider) for one in networks)


def _lies_in(
    one: ipaddress.IPv4Network | ipaddress.IPv6Network, other: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> bool:
    return one.version == other.version and one.prefixlen >= other.prefixlen and one.network_address in other
