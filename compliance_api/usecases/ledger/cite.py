"""Has the orders that entries rest on, and who approved what, entered into the ledger as the list authority tells them.

Holds always: an order can be cited against anybody only after it was entered; one that is told differently later is
entered again, and both can be seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lachan.ledger.leaf import Kind

PAGES_MAX = 1000
"""In one go; the rest is for the next."""


@dataclass(frozen=True)
class Cited:
    """One thing that the list authority tells."""

    kind: Kind
    subject: str
    told: Mapping[str, Any]


class Registry(Protocol):
    """What the list authority tells of its registry, by pages; an empty one is the last, or there is no registry."""

    async def orders(self, token: str) -> tuple[list[Cited], str]:
        """Orders, and the token of the next page, empty on the last one.

        Raises:
            BusyError: It cannot be reached.
        """

    async def approvals(self, after: int) -> tuple[list[Cited], int]:
        """What was approved after a step of its log, and the last step among them.

        Raises:
            BusyError: It cannot be reached.
        """


class CitationStore(Protocol):
    """Enters them."""

    async def save(self, cited: Sequence[Cited]) -> int:
        """Enters what is new or was changed; how many those were."""


class Cite:
    """The task of hearing what the list authority tells."""

    def __init__(self, registry: Registry, store: CitationStore) -> None:
        self._registry = registry
        self._store = store
        self._step = 0

    async def refresh(self) -> int:
        """Asks, and enters what is new; how many things those were.

        Raises:
            BusyError: The list authority cannot be reached.
        """
        return await self._orders() + await self._approvals()

    async def _orders(self) -> int:
        entered, token = 0, ""
        for _ in range(PAGES_MAX):
            found, token = await self._registry.orders(token)
            entered += await self._store.save(found)
            if not token:
                break
        return entered

    async def _approvals(self) -> int:
        entered = 0
        for _ in range(PAGES_MAX):
            found, last = await self._registry.approvals(self._step)
            entered += await self._store.save(found)
            if last <= self._step:
                break
            self._step = last
        return entered
