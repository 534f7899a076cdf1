"""A country of operators with their nodes."""

from __future__ import annotations

from compliance_api.domain.parties.organisation import (
    Jurisdiction,
    Label,
    Node,
    Organisation,
    OrganisationKind,
    Registry,
)

PLACES = 34
NATIONAL = 5
REGIONAL = 35


def registry(nodes: int) -> Registry:
    """Five operators in every province with three fifths of the nodes, and regional ones with the others."""
    places = [f"p{number:02}" for number in range(PLACES)]
    share = [nodes * 3 // 5 // NATIONAL] * NATIONAL + [nodes * 2 // 5 // REGIONAL] * REGIONAL
    share[0] += nodes - sum(share)
    owners = []
    for number, count in enumerate(share):
        own = places if number < NATIONAL else [places[number % PLACES], places[(number + 7) % PLACES]]
        # Half of the largest operator's nodes are in one city.
        city = count // 2 if number == 0 else 0
        owners.append(
            Organisation(
                f"op{number:02}",
                OrganisationKind.OPERATOR,
                Label(f"Nhà mạng {number}", f"Operator {number}"),
                frozenset(own),
                tuple(
                    Node(f"edge-{one:03}", b"", (), frozenset({own[0 if one < city else one % len(own)]}))
                    for one in range(count)
                ),
            )
        )
    return Registry(tuple(Jurisdiction(place, Label(place, place)) for place in places), tuple(owners))


def names(known: Registry) -> list[tuple[str, str]]:
    """Every operator with each of its nodes."""
    return [(operator.identifier, node.name) for operator in known.operators() for node in operator.nodes]
