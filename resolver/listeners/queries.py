"""Queries of streams on their way: which connection waits for which answer of the engine.

Holds always: a number names one query of this worker, whatever its transport, and is told once; a connection that has
gone gets nothing, and no other connection gets its answer. The engine tells every query within its deadlines, so what
stands here is as bounded as what the engine has outstanding.
"""

from __future__ import annotations

from collections.abc import Callable

from resolver._hot.engine import Engine


class Queries:
    """What all stream listeners of a worker ask the engine by."""

    def __init__(self, engine: Engine, settled: Callable[[], None]) -> None:
        """`settled` runs after queries went to the engine."""
        self._answer = engine.answer
        self._answer_framed = engine.answer_framed
        self._token = 0
        self._waiting: dict[int, Callable[[bytes], None]] = {}
        self.settled = settled

    def ask(
        self, query: bytes, address: bytes, transport: int, profile: int, deliver: Callable[[bytes], None]
    ) -> bytes | None:
        """The answer, empty where there is none to be given, or None where `deliver` brings it later.

        Args:
            query: The message.
            address: The client's, 16 bytes.
            transport: As lachan.compliance.v1 numbers them.
            profile: The index of the one that the client chose, or -1 where its network decides.
            deliver: Takes a late answer; does nothing where the client has gone.
        """
        # Where the answer is known at once, its number names nothing and serves the next query.
        answer = self._answer(query, address, transport, self._token, profile)
        if answer is None:
            self._waiting[self._token] = deliver
            self._token += 1
        return answer

    def ask_framed(
        self,
        data: bytes | bytearray,
        at: int,
        address: bytes,
        transport: int,
        profile: int,
        most: int,
        deliver: Callable[[bytes], None],
    ) -> tuple[int, bytes, int, int]:
        """Asks every complete message of what a stream brought, from `at` on; the rest as `ask`.

        Args:
            data: Messages, each behind its length.
            at: Where the first one begins.
            address: The client's, 16 bytes.
            transport: As lachan.compliance.v1 numbers them.
            profile: The index of the one that the client chose, or -1 where its network decides.
            most: How many may wait for `deliver`; messages beyond are left.
            deliver: Takes each late answer, without a length.

        Returns:
            As `Engine.answer_framed`.
        """
        settled = self._answer_framed(data, at, address, transport, self._token, profile, most)
        for _ in range(settled[2]):
            self._waiting[self._token] = deliver
            self._token += 1
        return settled

    def deliver(self, token: int, answer: bytes) -> None:
        """Passes a late answer on."""
        deliver = self._waiting.pop(token, None)
        if deliver is not None:
            deliver(answer)
