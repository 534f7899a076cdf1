"""Addresses that answers gave and no reference did: where many listed names share one, it may be a block page's.

Holds always: nothing is a block for it. Who answers for listed names with an address of its own may show a page there,
or hand every visitor on to what was asked for, and no DNS answer tells which; and who is excused for an address today
takes another one tomorrow. So it is shown to those who decide, from the first count on and days before anything can
accuse, and it is a block once the data say so (`compliance_api.domain.observations.shapes`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from compliance_api.domain.observations.observation import Exchange, Seen, Shape, Sighting
from lachan.config import Settings

MAX_ADDRESSES = 4
"""Kept of one answer."""


class UnknownPages(Settings):
    """When an address is put before those who decide."""

    # Distinct listed names that it was the answer for, and lines that saw it.
    names: Annotated[int, Field(ge=2, le=100_000)] = 10
    lines: Annotated[int, Field(ge=1, le=10_000)] = 3


@dataclass(frozen=True)
class StrangeAddress:
    """An address that no reference gave for any of the names that it was the answer for."""

    operator: str
    address: str
    # Distinct listed names, lines, and names never listed that it was the answer for as well: a page's has none.
    names: int
    lines: int
    unlisted: int

    def proposal(self) -> str:
        """As an entry of `pages` in the file of shapes, for whoever knows that it is one."""
        return f'- {{operators: [{self.operator}], addresses: ["{self.address}"], source: "…"}}'


def strange(resolver: Exchange, references: Sequence[Exchange], seen: Seen) -> tuple[str, ...]:
    """The addresses in an answer that its references did not give; none where they say nothing."""
    if resolver.answer is None or seen.shape is not Shape.ANSWER or not seen.reference_alive:
        return ()
    given = {address for one in references if one.answer is not None for address in one.answer.addresses}
    return tuple(sorted(set(resolver.answer.addresses) - given))[:MAX_ADDRESSES]


def shared(names: Iterable[Sequence[Sighting]]) -> int:
    """Of the names that were missed, how many were answered with the strange address that most of them share."""
    counts: dict[str, int] = {}
    for seen in names:
        for address in {address for one in seen for address in one.strange}:
            counts[address] = counts.get(address, 0) + 1
    return max(counts.values(), default=0)
