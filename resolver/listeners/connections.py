"""The clients connected to one listener of a worker: how many there may be, who is overdue, who is retired.

Holds always: never more connections are held than the bound; after `retire` none is taken any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Generic, Protocol, TypeVar

from resolver.settings import mapped


class Connection(Protocol):
    """What a listener asks of its connections."""

    def overdue(self, now: float) -> bool:
        """Whether its client took too long."""

    def dismiss(self) -> None:
        """Ends it, for it is overdue."""

    def retire(self) -> None:
        """Takes nothing more, and ends once all that was asked is answered."""


C = TypeVar("C", bound=Connection)


class Connections(Generic[C]):
    """The connections that are open."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[C] = set()
        self._retired = False

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[C]:
        return iter(tuple(self._open))

    def admit(self, connection: C, stream: asyncio.Transport) -> bytes | None:
        """The client's address, 16 bytes; None where there is no room, and the stream is cut off."""
        peer: Any = stream.get_extra_info("peername")
        if not peer or self._retired or len(self._open) >= self._most:
            stream.abort()
            return None
        self._open.add(connection)
        return mapped(peer[0].partition("%")[0])

    def forget(self, connection: C) -> None:
        """It has ended."""
        self._open.discard(connection)

    def sweep(self, now: float) -> None:
        """Ends what is idle or too slow."""
        for connection in [one for one in self if one.overdue(now)]:
            connection.dismiss()

    def retire(self) -> None:
        """Takes no more connections, and no more queries on those that are open; what was asked is still answered."""
        self._retired = True
        for connection in self:
            connection.retire()
