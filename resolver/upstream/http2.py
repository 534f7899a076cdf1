"""DNS over HTTP/2 (RFC 8484, 9113), without a socket: questions in, bytes out, bytes in, answers out.

Holds always: every question has a stream of its own, and no more are open than both sides allow; frames, heads, bodies
and what is neither have bounds, and an upstream that goes beyond them is not listened to.
"""

from __future__ import annotations

import contextlib

import h2.errors
import h2.events
import h2.exceptions
import hyperframe.frame
from h2.settings import SettingCodes

from resolver.http2 import COST_OF_A_RESET, DEBT_MAX, PAID_BY_A_REQUEST, Frames, Http2Connection
from resolver.upstream.codec import Answers, BrokenError
from resolver.upstream.doh import HEAD_BYTES_MAX, MEDIA_TYPE, Resource, Response, body
from resolver.upstream.question import MESSAGE_MAX, Question

STREAMS_MAX = 128
"""Questions on one connection at once, where the upstream allows as many."""
STREAMS_FIRST = 32
"""And until it has said how many it allows: RFC 9113 6.5.2 hopes for 100."""
QUESTIONS_EVER = 1 << 20
# One byte more than a message: what is too large shows by it.
STREAM_WINDOW_BYTES = MESSAGE_MAX + 1
CONNECTION_WINDOW_BYTES = 1 << 20
# A query is never longer: name, header and OPT, padded.
BODY_MAX = 384


class _Connection(Http2Connection):
    """h2's connection, but that a GOAWAY is not its end: what was asked before is still answered (RFC 9113 6.8)."""

    def _receive_goaway_frame(
        self, frame: hyperframe.frame.GoAwayFrame
    ) -> tuple[list[hyperframe.frame.Frame], list[h2.events.Event]]:
        event = h2.events.ConnectionTerminated()
        event.error_code = frame.error_code
        event.last_stream_id = frame.last_stream_id
        return [], [event]


class Http2:
    """One connection."""

    capacity = STREAMS_MAX

    def __init__(self, resource: Resource) -> None:
        # What we say is right by construction; what we hear is not.
        self._http = _Connection(
            client=True,
            announced=(SettingCodes.ENABLE_PUSH, 0),
            head=HEAD_BYTES_MAX,
            stream_window=STREAM_WINDOW_BYTES,
            window=CONNECTION_WINDOW_BYTES,
        )
        self._frames = Frames(0, 2 * HEAD_BYTES_MAX)
        self._headers = [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", resource.authority),
            (b":path", resource.path),
            (b"accept", MEDIA_TYPE),
            (b"content-type", MEDIA_TYPE),
        ]
        self._streams: dict[int, Response] = {}
        self._room = STREAMS_FIRST
        self._left = QUESTIONS_EVER
        self._debt = 0
        self._gone = False
        self.problem = ""
        self.returned: list[Question] = []

    @property
    def room(self) -> int:
        """How many more questions may be asked now."""
        if self.ended or self._http.outbound_flow_control_window < BODY_MAX:
            return 0
        return self._room - len(self._streams)

    @property
    def ended(self) -> bool:
        """No more may be asked, ever: to be closed when nothing waits."""
        return self._gone or not self._left

    @property
    def waiting(self) -> tuple[Question, ...]:
        """What is not answered yet, the oldest first."""
        return tuple(response.question for response in self._streams.values())

    def __len__(self) -> int:
        return len(self._streams)

    def ask(self, question: Question) -> None:
        """Asks; there must be room.

        Raises:
            BrokenError: The connection cannot carry it, nor anything.
        """
        http = self._http
        try:
            number = http.get_next_available_stream_id()
            http.send_headers(number, self._headers)
            http.send_data(number, body(question), end_stream=True)
        except h2.exceptions.ProtocolError as error:
            raise BrokenError("http", f"no stream can be opened: {type(error).__name__}") from error
        self._streams[number] = Response(question)
        self._left -= 1

    def forget(self, question: Question) -> None:
        """Nobody waits for a question any more."""
        for number, response in self._streams.items():
            if response.question is question:
                del self._streams[number]
                self._reset(number)
                return

    def _reset(self, number: int) -> None:
        # What has come to its end meanwhile needs no end.
        with contextlib.suppress(h2.exceptions.ProtocolError):
            self._http.reset_stream(number, h2.errors.ErrorCodes.CANCEL)

    def receive(self, data: bytes, found: Answers) -> None:
        """Adds what these bytes answer.

        Raises:
            BrokenError: They are no HTTP/2, or beyond its bounds.
        """
        if not self._frames.walk(data, 0.0):
            raise BrokenError("http", "a frame or a head is larger than allowed")
        try:
            for event in self._http.receive_data(data):
                self._weigh(event, found)
        except h2.exceptions.H2Error as error:
            raise BrokenError("http", f"no HTTP/2: {type(error).__name__}") from error
        if self._debt > DEBT_MAX:
            raise BrokenError("http", "too much is said beside answers")

    def _weigh(self, event: h2.events.Event, found: Answers) -> None:
        self._debt += 1
        if isinstance(event, h2.events.ResponseReceived):
            self._head(event, found)
        elif isinstance(event, h2.events.DataReceived):
            response = self._streams.get(event.stream_id)
            if event.flow_controlled_length:
                with contextlib.suppress(h2.exceptions.StreamClosedError):
                    self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if response is not None and not response.more(event.data):
                self._refuse(event.stream_id, found)
        elif isinstance(event, h2.events.StreamEnded):
            self._debt = max(0, self._debt - PAID_BY_A_REQUEST)
            response = self._streams.pop(event.stream_id, None)
            if response is not None:
                self._tell(response, response.answer(), found)
        elif isinstance(event, h2.events.StreamReset):
            self._debt += COST_OF_A_RESET
            response = self._streams.pop(event.stream_id, None)
            if response is not None and event.error_code == h2.errors.ErrorCodes.REFUSED_STREAM:
                self.returned.append(response.question)
            elif response is not None:
                self.problem = f"a stream is reset with error {event.error_code}"
                found.append((response.question, None))
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self._settle()
        elif isinstance(event, h2.events.ConnectionTerminated):
            self._leave(event)

    def _leave(self, event: h2.events.ConnectionTerminated) -> None:
        """The upstream takes no more questions; those beyond what it tells were not looked at."""
        self._gone = True
        if event.error_code:
            raise BrokenError("http", f"the upstream goes away with error {event.error_code}")
        for number in [number for number in self._streams if number > (event.last_stream_id or 0)]:
            self.returned.append(self._streams.pop(number).question)

    def _head(self, event: h2.events.ResponseReceived, found: Answers) -> None:
        response = self._streams.get(event.stream_id)
        if response is None:
            return
        # h2 has seen to it that there is one.
        status = next(value for name, value in event.headers if name == b":status")
        if not response.head(status, event.headers):
            self._refuse(event.stream_id, found)

    def _refuse(self, number: int, found: Answers) -> None:
        """The response is no answer: the rest of it is not wanted."""
        self._tell(self._streams.pop(number), None, found)
        self._reset(number)

    def _tell(self, response: Response, answer: bytes | None, found: Answers) -> None:
        self.problem = response.problem or self.problem
        found.append((response.question, answer))

    def _settle(self) -> None:
        settings = self._http.remote_settings
        if settings.initial_window_size < BODY_MAX:
            raise BrokenError("http", f"a window of {settings.initial_window_size} octets has no room for a question")
        self._room = min(STREAMS_MAX, settings.max_concurrent_streams)

    def take(self) -> bytes:
        """What is to be sent."""
        return self._http.data_to_send()
