"""DNS over HTTP/1.1 (RFC 8484, 9112), without a socket, for upstreams that speak no HTTP/2.

Holds always: one question at a time; heads and bodies have bounds; after a response that was not understood, or not
read to its end, the connection is not used again.
"""

from __future__ import annotations

import h11

from resolver.upstream.codec import Answers, BrokenError
from resolver.upstream.doh import HEAD_BYTES_MAX, MEDIA_TYPE, Resource, Response, body
from resolver.upstream.question import Question


class Http1:
    """One connection."""

    capacity = 1

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
        self._out: list[bytes] = []
        self.problem = ""
        self.returned: list[Question] = []
        self._response: Response | None = None
        self.ended = False
        """No more may be asked, ever: to be closed when nothing waits."""

    @property
    def room(self) -> int:
        """How many more questions may be asked now."""
        return int(self._response is None and not self.ended)

    @property
    def waiting(self) -> tuple[Question, ...]:
        """What is not answered yet."""
        return () if self._response is None else (self._response.question,)

    def __len__(self) -> int:
        return int(self._response is not None)

    def ask(self, question: Question) -> None:
        """Asks; there must be room."""
        self._response = Response(question)
        posted = body(question)
        headers = [
            (b"host", self._resource.authority),
            (b"accept", MEDIA_TYPE),
            (b"content-type", MEDIA_TYPE),
            (b"content-length", b"%d" % len(posted)),
        ]
        send = self._http.send
        self._out += [
            send(h11.Request(method=b"POST", target=self._resource.path, headers=headers)) or b"",
            send(h11.Data(data=posted)) or b"",
            send(h11.EndOfMessage()) or b"",
        ]

    def forget(self, question: Question) -> None:
        """Nobody waits for a question any more: its response would be in the way of the next."""
        if self._response is not None and self._response.question is question:
            self._response = None
            self.ended = True

    def receive(self, data: bytes, found: Answers) -> None:
        """Adds what these bytes answer.

        Raises:
            BrokenError: They are no HTTP/1.1, or beyond its bounds.
        """
        if self.ended:
            return
        self._http.receive_data(data)
        try:
            while not self.ended:
                event = self._http.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED:
                    break
                self._weigh(event, found)
        except h11.RemoteProtocolError as error:
            raise BrokenError("http", f"no HTTP/1.1: {error}") from error

    def _weigh(self, event: type[h11.NEED_DATA | h11.PAUSED] | h11.Event, found: Answers) -> None:
        response = self._response
        if isinstance(event, h11.ConnectionClosed):
            self.ended = True
        elif response is None:
            # h11 lets nothing begin that was not asked for.
            return
        elif isinstance(event, h11.Response):
            if not response.head(b"%d" % event.status_code, event.headers):
                self._end(found, None)
        elif isinstance(event, h11.Data):
            if not response.more(bytes(event.data)):
                self._end(found, None)
        elif isinstance(event, h11.EndOfMessage):
            self._end(found, response.answer(), whole=True)

    def _end(self, found: Answers, answer: bytes | None, *, whole: bool = False) -> None:
        assert self._response is not None  # noqa: S101 # looked at by the caller
        self.problem = self._response.problem or self.problem
        found.append((self._response.question, answer))
        self._response = None
        if whole and self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self.ended = True

    def take(self) -> bytes:
        """What is to be sent."""
        data = b"".join(self._out)
        self._out.clear()
        return data
