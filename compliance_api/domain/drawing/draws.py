"""Draws that anybody can repeat from a seed: which names are asked, which entries are challenged, and when.

Holds always: a draw is a pure function of its seed and of what it is drawn from, on every machine and in every version
of Python; numbers are uniform; streams under different labels tell nothing about each other.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

SEED_BYTES = 32


def derived(seed: bytes, *labels: str) -> bytes:
    """A seed of its own for a part of what a seed is for: HMAC-SHA-256 (RFC 2104) over the labels."""
    return hmac.digest(seed, b"".join(len(one.encode()).to_bytes(4, "big") + one.encode() for one in labels), "sha256")


class Draws:
    """Uniform numbers: SHA-256 over seed and counter."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._count = 0

    def below(self, bound: int) -> int:
        """A number from 0 to `bound` - 1."""
        # 128 bits against bounds below 2^32: the bias of the remainder is beyond measuring.
        self._count += 1
        digest = hashlib.sha256(b"lachan/draw/v1\0" + self._seed + self._count.to_bytes(8, "big")).digest()
        return int.from_bytes(digest[:16], "big") % bound

    def choice(self, members: Sequence[T]) -> T:
        """One of the members."""
        return members[self.below(len(members))]

    def sample(self, members: Sequence[T], count: int) -> list[T]:
        """So many distinct members in a random order, or all there are (Fisher and Yates)."""
        left = list(members)
        for at in range(min(count, len(left))):
            other = at + self.below(len(left) - at)
            left[at], left[other] = left[other], left[at]
        return left[: min(count, len(left))]

    def evenly(self, members: Sequence[T], count: int) -> list[T]:
        """So many members at equal distances along their order, from a random start: each with the same chance.

        Systematic sampling: whatever the members are sorted by is represented by its share, to within one.
        """
        size = len(members)
        if count >= size:
            return list(members)
        if count <= 0:
            return []
        # Places in units of 1/count of a member: the step is `size`, the start anything below it.
        start = self.below(size)
        return [members[(start + place * size) // count] for place in range(count)]
