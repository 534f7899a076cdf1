"""One connection to an upstream: from a socket through TLS to what is spoken inside, and back.

Holds always: nothing is asked before the connection is open, which has a deadline; it ends once, and then whoever keeps
it has every question that it did not answer; an upstream that does not read is asked nothing more.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
from collections.abc import Sequence
from typing import Protocol, cast

from resolver.upstream.codec import Answers, BrokenError, Codec
from resolver.upstream.framed import Framed
from resolver.upstream.question import Question
from resolver.upstream.settings import DOH_PATH, Upstream
from resolver.upstream.trust import ClientChannel, name_of, reason

SETUP_SECONDS = 5.0
IDLE_SECONDS = 30.0
HIGH_WATER_BYTES = 64 << 10
UNACKNOWLEDGED_SECONDS = 2.0
"""After which the kernel gives up on what the other end does not acknowledge, so that a question can go elsewhere."""
SILENT_MAX = 3
"""Questions in a row that nobody answered, before a connection is taken for dead."""


class Keeper(Protocol):
    """Whoever a connection belongs to."""

    def progressed(self, connection: Connection) -> None:
        """It is open, or has heard something, and may have room."""

    def succeeded(self) -> None:
        """The upstream has answered."""

    def refused(self, count: int, text: str) -> None:
        """So many questions came back without an answer; `text` says why the last one did."""

    def returned(self, questions: Sequence[Question]) -> None:
        """The upstream did not look at these."""

    def lost(self, connection: Connection, kind: str, text: str) -> None:
        """It has ended: `kind` is one of a closed set, empty where that was its time; `text` says why."""


class Connection(asyncio.Protocol):
    """Opens itself when it is made."""

    def __init__(
        self, upstream: Upstream, channel: ClientChannel | None, source: random.Random, keeper: Keeper
    ) -> None:
        self.channel = channel
        self.codec: Codec | None = None
        self.answered = 0
        self._upstream = upstream
        self._source = source
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._slow = False
        self._flushing = False
        self._over = False
        self._active_at = self._heard_at = self._loop.time()
        self._silent = 0
        self._timer = self._loop.call_later(SETUP_SECONDS, self._end, "timeout", "it takes too long to connect")
        self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            await self._loop.create_connection(lambda: self, self._upstream.address, self._upstream.port)
        except OSError as error:
            self._end("unreachable", error.strerror or str(error))

    # What is asked.

    def __len__(self) -> int:
        return 0 if self.codec is None else len(self.codec)

    @property
    def room(self) -> int:
        """How many more questions it takes now."""
        return 0 if self.codec is None or self._slow or self._over else self.codec.room

    @property
    def one_at_a_time(self) -> bool:
        """It carries one question, however many there are."""
        return self.codec is not None and self.codec.capacity == 1

    @property
    def waiting(self) -> tuple[Question, ...]:
        """What is not answered."""
        return () if self.codec is None else self.codec.waiting

    def ask(self, question: Question) -> None:
        """Asks; there must be room. All that is asked in one turn of the loop leaves at once."""
        assert self.codec is not None  # noqa: S101 # there was room
        question.asked_at = self._active_at = self._loop.time()
        try:
            self.codec.ask(question)
        except BrokenError as error:
            self._end(error.kind, str(error))
            self._keeper.returned((question,))
            return
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def expire(self, now: float) -> list[Question]:
        """Gives up what nobody waits for any more, and the connection where it seems dead."""
        overdue = [question for question in self.waiting if question.due_at <= now]
        for question in overdue:
            assert self.codec is not None  # noqa: S101 # something waited
            self.codec.forget(question)
            if self._heard_at < question.asked_at:
                self._silent += 1
        if self._silent >= SILENT_MAX:
            self._end("silent", "it does not answer")
        elif overdue:
            self._go_on()
        return overdue

    def _flush(self) -> None:
        self._flushing = False
        if self._over or self._transport is None:
            return
        if self.codec is not None:
            data = self.codec.take()
            if self.channel is None:
                if data:
                    self._transport.write(data)
                return
            if data:
                self.channel.send(data)
        if self.channel is not None and self.channel.unsent:
            self._transport.write(self.channel.take())

    # What the socket tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins to speak."""
        # uvloop makes transports of its own, which only behave as asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        if self._over:
            self._transport.abort()
            return
        sock = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNACKNOWLEDGED_SECONDS * 1000))
        self._transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        if self.channel is None:
            self._open(Framed(self._source, padded=False))
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells the keeper, unless it knows."""
        said = getattr(exc, "strerror", None) or "it closes the connection"
        self._end("closed", said)

    def eof_received(self) -> bool:
        """The upstream says no more."""
        return False

    def pause_writing(self) -> None:
        """The upstream does not read."""
        self._slow = True

    def resume_writing(self) -> None:
        """The upstream reads again."""
        self._slow = False
        self._keeper.progressed(self)

    def data_received(self, data: bytes) -> None:
        """Takes every answer of a read at once."""
        channel = self.channel
        if self._over:
            return
        if channel is not None:
            try:
                data = channel.receive(data)
            except ssl.SSLError as error:
                # The alert says why.
                self._flush()
                self._end(*reason(error, self._upstream))
                return
            if self.codec is None:
                if not channel.open:
                    self._flush()
                    return
                self._open(self._spoken(channel))
        if data:
            self._hear(data)
        if channel is not None and channel.ended:
            self._end("closed", "it closes the connection")
        self._go_on()

    def _hear(self, data: bytes) -> None:
        codec = self.codec
        assert codec is not None  # noqa: S101 # it is open
        found: Answers = []
        broken: BrokenError | None = None
        try:
            codec.receive(data, found)
        except BrokenError as error:
            broken = error
        if found:
            self._heard_at = self._active_at = self._loop.time()
            self._silent = 0
            refused = 0
            for question, answer in found:
                refused += answer is None
                question.done(answer)
            self.answered += len(found) - refused
            if refused:
                self._keeper.refused(refused, codec.problem)
            else:
                self._keeper.succeeded()
        if codec.returned:
            returned, codec.returned = codec.returned, []
            self._keeper.returned(returned)
        if broken is not None:
            self._flush()
            self._end(broken.kind, str(broken))
        else:
            self._keeper.progressed(self)

    def _spoken(self, channel: ClientChannel) -> Codec:
        if self._upstream.protocol == "dot":
            return Framed(self._source, padded=True)
        # An edge without DoH need not hold HTTP in memory.
        from resolver.upstream.doh import Resource
        from resolver.upstream.http1 import Http1
        from resolver.upstream.http2 import Http2

        upstream = self._upstream
        resource = Resource.at(name_of(upstream), upstream.port, upstream.path or DOH_PATH)
        return Http2(resource) if channel.application_protocol == "h2" else Http1(resource)

    def _open(self, codec: Codec) -> None:
        self.codec = codec
        self._timer.cancel()
        self._timer = self._loop.call_later(IDLE_SECONDS, self._look)
        self._keeper.progressed(self)

    def _go_on(self) -> None:
        """Sends what there is to say; closes what has come to its end."""
        if self._over:
            return
        self._flush()
        if self.codec is not None and self.codec.ended and not len(self.codec):
            self.close()

    def _look(self) -> None:
        """Closes where nothing was asked for long."""
        left = self._active_at + IDLE_SECONDS - self._loop.time()
        if left <= 0 and not len(self):
            self.close()
        else:
            self._timer = self._loop.call_later(max(left, 1.0), self._look)

    # How it ends.

    def close(self) -> None:
        """Says goodbye; what still waits is told to the keeper."""
        if self._over:
            return
        self._flush()
        if self.channel is not None:
            self.channel.close()
            if self._transport is not None:
                self._transport.write(self.channel.take())
        if self._transport is not None:
            self._transport.close()
        self._end("", "")

    def _end(self, kind: str, text: str) -> None:
        if self._over:
            return
        self._over = True
        self._timer.cancel()
        if self.channel is not None and self.channel.open:
            # OpenSSL takes a session up again only where its connection has ended with a goodbye.
            self.channel.close()
        if self._transport is None:
            self._connecting.cancel()
        elif not self._transport.is_closing():
            self._transport.abort()
        self._keeper.lost(self, kind, text)
