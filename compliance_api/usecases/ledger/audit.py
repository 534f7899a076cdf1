"""Shows the ledger to whoever holds it to its word.

Holds always: proofs are given up to the head that was published, no further; a leaf's salt, which would let anybody
test a guess at its content, is shown to the node that it is about and to nobody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from compliance_api.errors import InvalidRequestError, Violation
from lachan.tls import Identity, Role

MAX_LEAVES = 256


@dataclass(frozen=True)
class Entry:
    """A leaf as it stands in the ledger."""

    index: int
    kind: str
    subject: str
    entered_at: int
    commitment: bytes
    salt: bytes | None
    """None once erased."""
    content: bytes | None
    """None once erased, and where the kind has a table of its own."""
    proof: tuple[bytes, ...]


@dataclass(frozen=True)
class Progress:
    """How far the ledger has come: numbers of leaves, and when the last head was cosigned."""

    entered: int
    published: int
    cosigned_at: int | None


class LedgerView(Protocol):
    """Reads the ledger."""

    async def progress(self) -> Progress:
        """How far it has come."""

    async def checkpoint(self) -> bytes | None:
        """The last head that was published, with its latest cosignatures."""

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof from one size to another."""

    async def entries(self, indexes: Sequence[int], size: int) -> list[Entry]:
        """Leaves with the proofs that they stand in the tree of a size."""


@dataclass(frozen=True)
class Shown:
    """A leaf, and whether the caller may open it."""

    entry: Entry
    opened: bool


class Audit:
    """The task of being held to one's word."""

    def __init__(self, ledger: LedgerView) -> None:
        self._ledger = ledger

    async def checkpoint(self) -> bytes:
        """The last head that was published; empty while there is none."""
        return await self._ledger.checkpoint() or b""

    async def inclusion(self, caller: Identity, indexes: Sequence[int], size: int) -> list[Shown]:
        """Leaves, with the proofs that they stand in the tree of a size.

        Raises:
            InvalidRequestError: With every field that breaks a rule.
        """
        published = (await self._ledger.progress()).published
        violations = []
        if not 1 <= len(indexes) <= MAX_LEAVES:
            violations.append(Violation("indexes", f"1 to {MAX_LEAVES} indexes"))
        if not 1 <= size <= published:
            violations.append(Violation("size", f"1 to {published}, which is published"))
        elif any(not 0 <= index < size for index in indexes[:MAX_LEAVES]):
            violations.append(Violation("indexes", f"below {size}"))
        if violations:
            raise InvalidRequestError(violations)
        own = f"{caller.organisation}/{caller.name}" if caller.role is Role.NODE else None
        entries = await self._ledger.entries(sorted(set(indexes)), size)
        return [Shown(one, one.subject == own and one.salt is not None) for one in entries]

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof from one size to another.

        Raises:
            InvalidRequestError: There are no such sizes, in this order.
        """
        published = (await self._ledger.progress()).published
        if not old <= new <= published:
            raise InvalidRequestError([Violation("new_size", f"not below old_size, and at most {published}")])
        return await self._ledger.consistency(old, new)
