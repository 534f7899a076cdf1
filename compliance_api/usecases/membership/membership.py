"""The membership as this process sees it, never older than the call that asks.

Holds always: `fresh` answers with the membership as the database had it at a moment after `fresh` was called, so that a
revocation holds for every call that begins after it, in every process; calls that come together share one read; where
the database does not answer nobody is let in.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from compliance_api.domain.parties.credential import Membership
from compliance_api.domain.parties.organisation import Registry


@dataclass(frozen=True)
class Event:
    """What the ledger is told of a change to the membership."""

    kind: Literal["enrolment", "revocation"]
    content: bytes
    # What an evidence pack looks for: ORGANISATION/NAME.
    subject: str

    @classmethod
    def enrolment(cls, content: bytes, subject: str) -> Event:
        """Somebody came in, or may."""
        return cls("enrolment", content, subject)

    @classmethod
    def revocation(cls, content: bytes, subject: str) -> Event:
        """Somebody may not any more."""
        return cls("revocation", content, subject)


class MemberStore(Protocol):
    """Keeps the membership."""

    async def revision(self) -> int:
        """How far the membership has come."""

    async def load(self) -> Membership:
        """All of it, as of one moment."""


class Directory:
    """The membership, looked up for each call; `registry` is the part that the use cases hold."""

    def __init__(self, store: MemberStore, registry: Registry) -> None:
        self.registry = registry
        self._store = store
        self._membership = Membership()
        self._running: asyncio.Task[Membership] | None = None
        self._next: asyncio.Task[Membership] | None = None
        self._listeners: list[Callable[[Membership], None]] = []

    @property
    def last(self) -> Membership:
        """The membership as it was read last."""
        return self._membership

    def tell(self, listener: Callable[[Membership], None]) -> None:
        """Has `listener` called after every change."""
        self._listeners.append(listener)

    async def fresh(self) -> Membership:
        """The membership at a moment after this call.

        Raises:
            Exception: What the store raises where the database does not answer.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._read(self._running))
            # Whoever waited for it may have gone.
            self._next.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._next)

    async def refresh(self) -> None:
        """Reads anew; for a task that runs beside the calls."""
        await self.fresh()

    async def _read(self, before: asyncio.Task[Membership] | None) -> Membership:
        if before is not None:
            with contextlib.suppress(Exception):
                await asyncio.shield(before)
        # Who comes from here on may know of a change that this read will miss.
        self._running, self._next = self._next, None
        if await self._store.revision() != self._membership.revision:
            loaded = await self._store.load()
            self._membership = loaded
            self.registry.adopt(loaded.registry)
            for listener in self._listeners:
                listener(loaded)
        return self._membership
