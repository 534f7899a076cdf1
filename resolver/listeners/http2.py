"""DNS over HTTP/2, without a socket: bytes in, queries out, answers in, bytes out.

Holds always: streams, bodies, heads and what is neither have bounds, and whoever goes beyond them loses the connection
by GOAWAY; an answer that the client's window has no room for waits, and counts as outstanding while it does.
"""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus

import h2.errors
import h2.events
import h2.exceptions
import hyperframe.frame
from h2.settings import SettingCodes

from resolver.http2 import COST_OF_A_RESET, DEBT_MAX, PAID_BY_A_REQUEST, Frames, Http2Connection
from resolver.listeners import doh
from resolver.listeners.doh import Awaiting, Head, Moment, Query, Refusal, Resource

# One byte more than a message: what is too large shows by it.
STREAM_WINDOW_BYTES = doh.MESSAGE_MAX + 1
CONNECTION_WINDOW_BYTES = 256 << 10

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# A head as it travels: it is never longer than what it says, but for what is not ours to refuse.
BLOCK_BYTES_MAX = 2 * doh.HEAD_BYTES_MAX


@dataclass
class _Stream:
    request: Query | Awaiting
    begun_at: float
    body: bytearray = field(default_factory=bytearray)
    whole: bool = False
    unsent: bytes = b""
    """The part of the answer that the client's window has no room for."""


class Http2:
    """One connection."""

    def __init__(self, resource: Resource, server_name: str | None, streams: int) -> None:
        """`streams` is how many the client may have open at once."""
        self._resource = resource
        self._server_name = server_name
        # What we say is right by construction; what we hear is not.
        self._http = Http2Connection(
            client=False,
            announced=(SettingCodes.MAX_CONCURRENT_STREAMS, streams),
            head=doh.HEAD_BYTES_MAX,
            stream_window=STREAM_WINDOW_BYTES,
            window=CONNECTION_WINDOW_BYTES,
        )
        self._frames = Frames(len(PREFACE), BLOCK_BYTES_MAX)
        self._streams: dict[int, _Stream] = {}
        self._queries: deque[tuple[int, Query]] = deque()
        self._extra = b""
        self._debt = 0
        self._last_stream = 0
        self._retired = False
        self.ended = False
        """Nothing more will be read or written: to be closed once `take` is sent."""

    @property
    def outstanding(self) -> int:
        """Streams that are owed something, an answer or its rest."""
        return sum(stream.whole for stream in self._streams.values())

    @property
    def full(self) -> bool:
        """The bound on streams is HTTP's own: reading goes on."""
        return False

    def receive(self, data: bytes, moment: Moment) -> None:
        """Takes what the client sent; empty at its end."""
        if self.ended:
            return
        if not data:
            self._retired = True
            self.ended = not self.outstanding
            return
        if not self._frames.walk(data, moment.seconds):
            self._http.close_connection(h2.errors.ErrorCodes.FRAME_SIZE_ERROR)
            self._end()
            return
        try:
            events = self._http.receive_data(data)
        except h2.exceptions.H2Error:
            # A GOAWAY that says why is on its way out.
            self._end()
            return
        for event in events:
            self._weigh(event, moment)
            if self._debt > DEBT_MAX:
                self._http.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
                self._end()
            if self.ended:
                return

    def _weigh(self, event: h2.events.Event, moment: Moment) -> None:
        self._debt += 1
        if isinstance(event, h2.events.RequestReceived):
            self._head(event, moment)
        elif isinstance(event, h2.events.DataReceived):
            self._more(event, moment)
        elif isinstance(event, h2.events.StreamEnded):
            self._whole(event.stream_id, moment)
        elif isinstance(event, h2.events.StreamReset):
            self._debt += COST_OF_A_RESET
            self._streams.pop(event.stream_id, None)
        elif isinstance(event, (h2.events.WindowUpdated, h2.events.RemoteSettingsChanged)):
            for number in [number for number, stream in self._streams.items() if stream.unsent]:
                self._send_rest(number)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self._end()

    def _head(self, event: h2.events.RequestReceived, moment: Moment) -> None:
        number = event.stream_id
        if self._retired:
            # Beyond what our GOAWAY promised: the client asks again elsewhere.
            return
        self._last_stream = number
        size = 0
        fields: dict[bytes, bytes] = {}
        for name, value in event.headers:
            size += len(name) + len(value) + 32
            fields[name] = value
        length = fields.get(b"content-length")
        head = Head(
            method=fields.get(b":method", b""),
            target=fields.get(b":path", b""),
            authority=fields.get(b":authority") or fields.get(b"host", b""),
            content_type=fields.get(b"content-type"),
            # h2 has refused what is no number.
            content_length=None if length is None else int(length),
            size=size,
        )
        request = self._resource.read_head(head, self._server_name)
        if isinstance(request, Refusal):
            self._refuse(number, request, moment, unread=event.stream_ended is None)
        else:
            self._streams[number] = _Stream(request, moment.seconds)

    def _more(self, event: h2.events.DataReceived, moment: Moment) -> None:
        number = event.stream_id
        stream = self._streams.get(number)
        if stream is not None:
            stream.body += event.data
            if len(stream.body) > doh.MESSAGE_MAX:
                self._refuse(number, doh.TOO_LARGE, moment, unread=event.stream_ended is None)
        if event.flow_controlled_length:
            self._http.acknowledge_received_data(event.flow_controlled_length, number)

    def _whole(self, number: int, moment: Moment) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        self._debt = max(0, self._debt - PAID_BY_A_REQUEST)
        request: Query | Refusal
        if isinstance(stream.request, Awaiting):
            request = doh.read_message(bytes(stream.body), stream.request.profile)
        else:
            request = stream.request
        if isinstance(request, Refusal):
            self._refuse(number, request, moment)
        else:
            stream.whole = True
            self._queries.append((number, request))

    def next(self, moment: Moment) -> tuple[int, Query] | None:  # noqa: ARG002 # as Http1 has it
        """The next query, with the number that `answer` wants; None where more has to come first."""
        while self._queries and not self.ended:
            number, query = self._queries.popleft()
            if number in self._streams:
                return number, query
        return None

    def answer(self, stream: int, answer: bytes, moment: Moment) -> None:
        """Says the answer to a query; empty where there is none. A stream that the client gave up gets nothing."""
        waiting = self._streams.get(stream)
        if waiting is None or self.ended:
            return
        if not answer:
            self._refuse(stream, doh.UNAVAILABLE, moment)
            return
        if self._send_headers(stream, HTTPStatus.OK, doh.answer_headers(answer), moment):
            waiting.unsent = answer
            self._send_rest(stream)

    def _send_headers(
        self, number: int, status: HTTPStatus, headers: tuple[tuple[bytes, bytes], ...], moment: Moment
    ) -> bool:
        fields = [(b":status", b"%d" % status.value), (b"date", moment.date), *headers]
        try:
            self._http.send_headers(number, fields, end_stream=status is not HTTPStatus.OK)
        except h2.exceptions.ProtocolError:
            # The client gave the stream up in the same read that asked.
            self._streams.pop(number, None)
            return False
        return True

    def _send_rest(self, number: int) -> None:
        stream = self._streams[number]
        try:
            while stream.unsent:
                room = min(self._http.local_flow_control_window(number), self._http.max_outbound_frame_size)
                if room <= 0:
                    return
                part, stream.unsent = stream.unsent[:room], stream.unsent[room:]
                self._http.send_data(number, part, end_stream=not stream.unsent)
        except h2.exceptions.ProtocolError:
            # As above.
            stream.unsent = b""
        del self._streams[number]
        self._end_if_done()

    def _refuse(self, number: int, refusal: Refusal, moment: Moment, *, unread: bool = False) -> None:
        self._streams.pop(number, None)
        if self._send_headers(number, refusal.status, refusal.headers, moment) and unread:
            # The body is not worth reading (RFC 9113 8.1), unless all of it came in the same read.
            with contextlib.suppress(h2.exceptions.StreamClosedError):
                self._http.reset_stream(number, h2.errors.ErrorCodes.NO_ERROR)
        self._end_if_done()

    def overdue(self, now: float, seconds: float) -> bool:
        """A request, or a frame, began longer ago, and has not come to its end."""
        begun_at = self._frames.begun_at
        if begun_at is not None and now - begun_at > seconds:
            return True
        return any(not stream.whole and now - stream.begun_at > seconds for stream in self._streams.values())

    def retire(self, moment: Moment, *, late: bool = False) -> None:  # noqa: ARG002 # as Http1 has it
        """Takes no more requests, and says up to which one they are answered; a late one is not waited for."""
        if self._retired or self.ended:
            return
        self._retired = True
        # h2 itself would answer nothing after its own GOAWAY.
        self._extra = hyperframe.frame.GoAwayFrame(last_stream_id=self._last_stream).serialize()
        if late:
            self._end()
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._retired and not self.outstanding:
            self._end()

    def _end(self) -> None:
        self.ended = True
        self._streams.clear()
        self._queries.clear()

    def take(self) -> bytes:
        """What is to be sent."""
        data = self._http.data_to_send() + self._extra
        self._extra = b""
        return data
