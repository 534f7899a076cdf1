"""All connections of a worker to one upstream, and which of them carries which question.

Holds always: every question is told once, by its deadline; connections, what is asked on them and what waits for them
have bounds; a question whose connection ends is asked on another, since upstreams close what is idle (RFC 7766 6.2.4):
once where the connection had brought nothing, so that there is an end; an upstream that fails is tried again after
growing times, and is told to have failed meanwhile.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from lachan import log
from lachan.tls import TlsError
from resolver.upstream.backoff import BackOff
from resolver.upstream.connection import Connection
from resolver.upstream.question import Question
from resolver.upstream.settings import Upstream
from resolver.upstream.trust import Trust

CONNECTIONS_MAX = 8
CONNECTIONS_OF_FEW_MAX = 32
"""Connections that carry a question at a time, as HTTP/1.1 does, or a few before the upstream closes them."""
QUESTIONS_EACH = 1 << 20
SPREAD = 64
"""Questions on the least busy connection, before there is another (RFC 7766 6.2.2: as few as serve)."""
BACKLOG_MAX = 4096
"""Questions that wait for a connection."""
TICK_SECONDS = 0.05
QUIET_SECONDS = 60.0
"""Between complaints about one upstream in the log."""


class Connections:
    """One upstream, as a worker reaches it by streams."""

    def __init__(self, upstream: Upstream, source: random.Random) -> None:
        """Ids come from `source`. Connections are opened when there is something to ask."""
        self._upstream = upstream
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._trust = Trust(upstream) if upstream.protocol in ("dot", "doh") else None
        self._connections: list[Connection] = []
        self._opening: Connection | None = None
        self._current: Connection | None = None
        self._each = QUESTIONS_EACH
        self._backlog: deque[Question] = deque()
        self._back_off = BackOff()
        self._ticking = False
        self._told = ""
        self._quiet_until = 0.0
        self._closed = False
        self._counts: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()

    def ask(self, question: Question) -> None:
        """Asks; the question's `done` is called later, never from here."""
        self._counts["asked"] += 1
        if not self._carry(question):
            self._loop.call_soon(question.done, None)
            return
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(TICK_SECONDS, self._tick)

    def _carry(self, question: Question) -> bool:
        """Gives a question to a connection, or lets it wait for one; False where neither can be."""
        connection = self._least()
        if connection is not None:
            connection.ask(question)
            if len(connection) >= SPREAD:
                self._grow()
            return True
        self._grow()
        if not self._connections or len(self._backlog) >= BACKLOG_MAX:
            return False
        self._backlog.append(question)
        return True

    def _least(self) -> Connection | None:
        current = self._current
        if current is None or not self._room(current) or len(current) >= SPREAD:
            current = min((one for one in self._connections if self._room(one)), key=len, default=None)
            self._current = current
        return current

    def _room(self, connection: Connection) -> int:
        return max(0, min(connection.room, self._each - len(connection)))

    def _grow(self) -> None:
        """Opens another connection, where one may be opened now."""
        now = self._loop.time()
        few = self._each < SPREAD or any(one.one_at_a_time for one in self._connections)
        most = CONNECTIONS_OF_FEW_MAX if few else CONNECTIONS_MAX
        if self._closed or self._opening is not None or len(self._connections) >= most:
            return
        if not self._back_off.allows(now):
            return
        try:
            channel = self._trust.channel() if self._trust is not None else None
        except TlsError as error:
            self._fail("certificate", str(error))
            return
        self._opening = Connection(self._upstream, channel, self._source, self)
        self._connections.append(self._opening)

    # What connections tell.

    def progressed(self, connection: Connection) -> None:
        """Gives a connection what has waited for room."""
        if connection is self._opening:
            self._opening = None
            self._counts["opened"] += 1
            self._counts["resumed"] += connection.channel is not None and connection.channel.resumed
        if connection.answered > self._each:
            self._each = min(2 * self._each, QUESTIONS_EACH)
        while self._backlog and self._room(connection):
            connection.ask(self._backlog.popleft())
        if self._backlog:
            self._grow()

    def succeeded(self) -> None:
        """Takes note that the upstream answers."""
        if self._back_off.failing:
            self._back_off.succeeded()
        if self._told:
            self._told = ""
            log.get().info("an upstream answers again", upstream=self._upstream.label)

    def refused(self, count: int, text: str) -> None:
        """Takes note of questions that came back without an answer, though the connection works."""
        self._failures["refused"] += count
        self._complain("refused", text)

    def returned(self, questions: Sequence[Question], *, once: bool = True) -> None:
        """Asks elsewhere what an upstream did not look at; `once` where nothing says that this leads anywhere."""
        for question in questions:
            if (once and question.moved) or not self._carry(question):
                question.done(None)
            else:
                question.moved |= once
                self._counts["moved"] += 1

    def lost(self, connection: Connection, kind: str, text: str) -> None:
        """Forgets a connection; what it did not answer is asked on another."""
        self._connections.remove(connection)
        opened = connection is not self._opening
        if not opened:
            self._opening = None
        if connection is self._current:
            self._current = None
        if self._trust is not None and connection.channel is not None:
            if opened:
                self._trust.keep(connection.channel)
            else:
                self._trust.drop()
        # An upstream may close when it has answered, or was asked nothing; one that never answers, or breaks the
        # protocol, has failed.
        if kind and not (kind == "closed" and opened and (connection.answered or not len(connection))):
            self._fail(kind, text)
        waiting = connection.waiting
        if waiting and kind == "closed" and connection.answered:
            # It takes so many questions on a connection, and no more.
            self._each = min(self._each, connection.answered)
        self.returned(waiting, once=not connection.answered)
        if not self._connections:
            # What waits is no worse off than what comes now.
            backlog, self._backlog = self._backlog, deque()
            for question in backlog:
                if not opened or not self._carry(question):
                    question.done(None)

    def _fail(self, kind: str, text: str) -> None:
        self._failures[kind] += 1
        self._back_off.failed(self._loop.time())
        self._complain(kind, text)

    def _complain(self, kind: str, text: str) -> None:
        """Logs what is wrong once, and not again and again where it comes and goes."""
        now = self._loop.time()
        if self._told != kind and now >= self._quiet_until:
            self._told = kind
            self._quiet_until = now + QUIET_SECONDS
            log.get().error("an upstream does not answer as it should", upstream=self._upstream.label, reason=text)

    # Time.

    def _tick(self) -> None:
        now = self._loop.time()
        overdue = [question for question in self._backlog if question.due_at <= now]
        if overdue:
            self._backlog = deque(question for question in self._backlog if question.due_at > now)
        for connection in tuple(self._connections):
            overdue += connection.expire(now)
        self._counts["overdue"] += len(overdue)
        for question in overdue:
            question.done(None)
        self._ticking = not self._closed and (bool(self._backlog) or any(len(one) for one in self._connections))
        if self._ticking:
            self._loop.call_later(TICK_SECONDS, self._tick)

    def status(self) -> dict[str, Any]:
        """What became of it, in numbers since the start."""
        return {
            "upstream": self._upstream.label,
            "connections": len(self._connections) - (self._opening is not None),
            "waiting": len(self._backlog) + sum(len(one) for one in self._connections),
            **{name: self._counts[name] for name in ("asked", "opened", "resumed", "moved", "overdue")},
            "failures": dict(self._failures),
        }

    def close(self) -> None:
        """Ends every connection, and tells what waits that there is no answer."""
        self._closed = True
        for connection in tuple(self._connections):
            connection.close()
