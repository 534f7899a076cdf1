"""One request and one response of HTTP/1.1, without a socket: bytes in, a request out, a response in, bytes out.

Holds always: a head and a body have bounds; the host is a name or nothing, whatever the client wrote there; a
connection carries one exchange, so that nobody keeps a place longer than a page takes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

import h11

HEAD_BYTES_MAX = 8 << 10
BODY_BYTES_MAX = 64 << 10

_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})+", re.ASCII)
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)([^?#]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """What is answered from."""

    method: str
    host: str | None
    """Lowercase, without a port and a final dot; None where the client named no host, or one that is no name."""
    path: str


@dataclass(frozen=True)
class Response:
    """What is said."""

    status: HTTPStatus
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def host_name(authority: bytes) -> str | None:
    """The name in a Host header or a request's target, None where there is none."""
    text = authority.decode("latin-1").lower()
    head, colon, port = text.rpartition(":")
    name = (head if colon and (port.isdecimal() or not port) else text).removesuffix(".")
    return name if _NAME.fullmatch(name) else None


class Exchange:
    """One connection's request and response."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        self._request: Request | None = None
        self._body_bytes = 0

    def receive(self, data: bytes) -> Request | Response | None:
        """The request once all of it is there, or a refusal; None where more has to come. Not called after either.

        Args:
            data: What the client sent.
        """
        try:
            self._http.receive_data(data)
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED:
                    return self._request if self._waits_for_us() else None
                if isinstance(event, h11.Request):
                    self._request = _request(event)
                elif isinstance(event, h11.Data):
                    self._body_bytes += len(event.data)
                    if self._body_bytes > BODY_BYTES_MAX:
                        return self._request
                elif isinstance(event, h11.EndOfMessage):
                    return self._request
                else:
                    # The client has gone, or has said its last word too early.
                    return None
        except h11.RemoteProtocolError as error:
            return Response(HTTPStatus(error.error_status_hint))

    @property
    def unread(self) -> bool:
        """The client may be sending still what will not be read."""
        return self._http.their_state is not h11.DONE

    def _waits_for_us(self) -> bool:
        # Whoever asks before sending its body is answered without it.
        return self._request is not None and self._http.they_are_waiting_for_100_continue

    def respond(self, response: Response, date: str) -> bytes:
        """The bytes of a response, the last of this connection."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return b""
        headers = [("Date", date), *response.headers, ("Content-Length", str(len(response.body)))]
        head = h11.Response(
            status_code=response.status.value,
            reason=response.status.phrase.encode(),
            headers=[*headers, ("Connection", "close")],
        )
        parts = [self._http.send(head)]
        if response.body and not (self._request is not None and self._request.method == "HEAD"):
            parts.append(self._http.send(h11.Data(data=response.body)))
        return b"".join(part for part in parts if part)


def _request(event: h11.Request) -> Request:
    host = dict(event.headers).get(b"host", b"")
    path = event.target.partition(b"?")[0]
    if absolute := _ABSOLUTE.match(event.target):
        # RFC 9112 3.2.2: what the target says counts.
        host, path = absolute[1], absolute[2] or b"/"
    return Request(event.method.decode("ascii"), host_name(host), path.decode("latin-1"))
