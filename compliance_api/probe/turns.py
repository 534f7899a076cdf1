"""Who may ask about a name now.

Holds always: no two exchanges about one name run at the same time, whichever assignments and resolvers they belong to,
and a rest lies between them: a line on which one name goes to two resolvers at once is a line with a probe on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class _Turn:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.holders = 0
        self.free_at = 0.0


class Turns:
    """One queue per name, first come first served; names nobody waits for are forgotten after their rest."""

    def __init__(self, gap: float) -> None:
        """`gap` is the rest in seconds."""
        self._gap = gap
        self._turns: dict[str, _Turn] = {}

    def __len__(self) -> int:
        return len(self._turns)

    @asynccontextmanager
    async def take(self, qname: str) -> AsyncIterator[None]:
        """Waits until `qname` may be asked, and keeps everybody else from it until the end of the block."""
        loop = asyncio.get_running_loop()
        turn = self._turns.setdefault(qname, _Turn())
        turn.holders += 1
        try:
            async with turn.lock:
                if (rest := turn.free_at - loop.time()) > 0:
                    await asyncio.sleep(rest)
                try:
                    yield
                finally:
                    turn.free_at = loop.time() + self._gap
        finally:
            turn.holders -= 1
            if not turn.holders:
                self._forget_later(qname, turn)

    def _forget_later(self, qname: str, turn: _Turn) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(max(0.0, turn.free_at - loop.time()), self._forget, qname, turn)

    def _forget(self, qname: str, turn: _Turn) -> None:
        if turn.holders or self._turns.get(qname) is not turn:
            return
        if turn.free_at > asyncio.get_running_loop().time():
            self._forget_later(qname, turn)
            return
        del self._turns[qname]
