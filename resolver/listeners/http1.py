"""DNS over HTTP/1.1, without a socket: bytes in, queries out, answers in, bytes out.

Holds always: requests of a connection are answered in their order, one at a time; a head and a body have bounds; after
a request that was not read to its end, or not understood, the connection is closed.
"""

from __future__ import annotations

from http import HTTPStatus

import h11

from resolver.listeners import doh
from resolver.listeners.doh import Awaiting, Head, Moment, Query, Refusal, Resource

_VERSIONS = (b"1.0", b"1.1")
_STREAM = 1


class Http1:
    """One connection."""

    def __init__(self, resource: Resource, server_name: str | None) -> None:
        self._resource = resource
        self._server_name = server_name
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=doh.HEAD_BYTES_MAX)
        self._out: list[bytes] = []
        self._request: Query | Awaiting | Refusal | None = None
        self._body = bytearray()
        self._begun_at: float | None = None
        self._retired = False
        self.outstanding = 0
        """Queries whose answer is owed."""
        self.ended = False
        """Nothing more will be read or written: to be closed once `take` is sent."""

    @property
    def full(self) -> bool:
        """No more is to be read for now."""
        return self.outstanding > 0

    def receive(self, data: bytes, moment: Moment) -> None:
        """Takes what the client sent; empty at its end."""
        if not self.ended:
            if self._begun_at is None:
                self._begun_at = moment.seconds
            self._http.receive_data(data)

    def next(self, moment: Moment) -> tuple[int, Query] | None:
        """The next query, with the number that `answer` wants; None where more has to come first."""
        while not self.ended and not self.outstanding:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                self._misunderstood(error, moment)
                return None
            if event is h11.NEED_DATA or event is h11.PAUSED:
                if self._http.their_state is h11.IDLE and not self._http.trailing_data[0]:
                    self._begun_at = None
                elif self._begun_at is None:
                    # It came with the request before.
                    self._begun_at = moment.seconds
                return None
            if isinstance(event, h11.Request):
                self._head(event, moment)
            elif isinstance(event, h11.Data):
                self._more(event.data, moment)
            elif isinstance(event, h11.EndOfMessage):
                query = self._whole(moment)
                if query is not None:
                    self.outstanding = 1
                    return _STREAM, query
            elif isinstance(event, h11.ConnectionClosed):
                self.ended = True
        return None

    def _head(self, event: h11.Request, moment: Moment) -> None:
        fields = dict(event.headers)
        length = fields.get(b"content-length")
        head = Head(
            method=event.method,
            target=event.target,
            authority=fields.get(b"host", b""),
            content_type=fields.get(b"content-type"),
            # h11 has let nothing pass but digits, and of these no more than 20.
            content_length=None if length is None else int(length),
            size=len(event.target) + sum(len(name) + len(value) + 4 for name, value in event.headers),
        )
        if event.http_version not in _VERSIONS:
            self._refuse(Refusal(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED), moment, close=True)
            return
        self._body.clear()
        self._request = self._resource.read_head(head, self._server_name)
        if isinstance(self._request, Refusal) and (head.content_length or b"transfer-encoding" in fields):
            # The body is not worth reading.
            self._refuse(self._request, moment, close=True)
        elif self._http.they_are_waiting_for_100_continue:
            self._out.append(self._http.send(h11.InformationalResponse(status_code=100, headers=[])))

    def _more(self, data: bytes, moment: Moment) -> None:
        # A body where none was asked for counts as well: it has to end.
        self._body += data
        if len(self._body) > doh.MESSAGE_MAX:
            self._refuse(doh.TOO_LARGE, moment, close=True)

    def _whole(self, moment: Moment) -> Query | None:
        request, self._request = self._request, None
        self._begun_at = None
        if isinstance(request, Awaiting):
            request = doh.read_message(bytes(self._body), request.profile)
        if isinstance(request, Query):
            return request
        self._refuse(request if request is not None else doh.BAD_REQUEST, moment)
        return None

    def _misunderstood(self, error: h11.RemoteProtocolError, moment: Moment) -> None:
        status = error.error_status_hint
        if status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE and b"\n" not in self._http.trailing_data[0]:
            # It was the first line that never ended.
            status = HTTPStatus.REQUEST_URI_TOO_LONG
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE) and not self._http.trailing_data[1]:
            self._refuse(Refusal(HTTPStatus(status)), moment, close=True)
        self.ended = True

    def _refuse(self, refusal: Refusal, moment: Moment, *, close: bool = False) -> None:
        self._respond(refusal.status, refusal.headers, b"", moment, close=close)

    def answer(self, stream: int, answer: bytes, moment: Moment) -> None:
        """Says the answer to the query outstanding; empty where there is none."""
        if stream != _STREAM or not self.outstanding:
            return
        self.outstanding = 0
        if answer:
            self._respond(HTTPStatus.OK, doh.answer_headers(answer), answer, moment)
        else:
            self._refuse(doh.UNAVAILABLE, moment)

    def _respond(
        self,
        status: HTTPStatus,
        headers: tuple[tuple[bytes, bytes], ...],
        body: bytes,
        moment: Moment,
        *,
        close: bool = False,
    ) -> None:
        closing = ((b"connection", b"close"),) if close or self._retired else ()
        head = [(b"date", moment.date), *headers, *closing]
        response = h11.Response(status_code=status.value, headers=head, reason=status.phrase.encode())
        self._out.append(self._http.send(response))
        if body:
            self._out.append(self._http.send(h11.Data(data=body)))
        self._out.append(self._http.send(h11.EndOfMessage()))
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self.ended = True

    def overdue(self, now: float, seconds: float) -> bool:
        """A request began longer ago, and has not come to its end."""
        return not self.outstanding and self._begun_at is not None and now - self._begun_at > seconds

    def retire(self, moment: Moment, *, late: bool = False) -> None:
        """Takes no more requests; one that has come too late is told so."""
        self._retired = True
        if self.outstanding:
            return
        if late and not self.ended and self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._refuse(Refusal(HTTPStatus.REQUEST_TIMEOUT), moment, close=True)
        self.ended = True

    def take(self) -> bytes:
        """What is to be sent."""
        data = b"".join(self._out)
        self._out.clear()
        return data
