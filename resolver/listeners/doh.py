"""What DNS over HTTPS means (RFC 8484), whichever version of HTTP carries it: a request in, a query or a status out.

Holds always: a request is refused by the first thing that is wrong with it, before its body is awaited where the head
tells; nothing that a client says of its address (X-Forwarded-For, Forwarded) is read; what may be kept by others than
the client is nothing, since the verdict is the client's own.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

MEDIA_TYPE = b"application/dns-message"
DEFAULT_PATH = "/dns-query"
MESSAGE_MAX = 65535
HEADER_BYTES = 12
TARGET_BYTES_MAX = 4096
HEAD_BYTES_MAX = 16 << 10

_SOA = 6
_OPT = 41
_QR = 0x80
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_NOT_URL_SAFE = (b"+", b"/", b"=")


class Moment(NamedTuple):
    """A time as HTTP needs it: on a clock that never goes back, and as a `date` header tells it (RFC 9110 6.6.1)."""

    seconds: float
    date: bytes


@dataclass(frozen=True)
class Head:
    """A request without its body."""

    method: bytes
    target: bytes
    """Path and query."""
    authority: bytes
    """Host and port that the client asks."""
    content_type: bytes | None
    content_length: int | None
    size: int
    """Bytes of the whole head, as RFC 9113 6.5.2 counts them or as they came."""


@dataclass(frozen=True)
class Query:
    """A DNS query, and the index of the profile that its path chose, or -1."""

    message: bytes
    profile: int


@dataclass(frozen=True)
class Awaiting:
    """A request whose body is the query."""

    profile: int


@dataclass(frozen=True)
class Refusal:
    """A request that is answered by a status alone."""

    status: HTTPStatus

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What belongs to it."""
        allow = ((b"allow", b"GET, POST"),) if self.status is HTTPStatus.METHOD_NOT_ALLOWED else ()
        return (*allow, (b"content-length", b"0"), (b"cache-control", b"no-store"))


BAD_REQUEST = Refusal(HTTPStatus.BAD_REQUEST)
TOO_LARGE = Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
UNAVAILABLE = Refusal(HTTPStatus.SERVICE_UNAVAILABLE)


class Resource:
    """What one listener offers."""

    def __init__(self, paths: Mapping[str, int], server_names: Mapping[str, int]) -> None:
        """`paths` and `server_names` lead to indices of profiles; the default path chooses none unless it is named."""
        self._paths = {DEFAULT_PATH.encode(): -1} | {path.encode(): profile for path, profile in paths.items()}
        self._server_names = dict(server_names)

    def read_head(self, head: Head, server_name: str | None) -> Query | Awaiting | Refusal:
        """What a request wants; where its path chooses no profile, the name in the TLS handshake does.

        Args:
            head: The request.
            server_name: The name that the client asked for in its TLS handshake.
        """
        if head.size > HEAD_BYTES_MAX:
            return Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if len(head.target) > TARGET_BYTES_MAX:
            return Refusal(HTTPStatus.REQUEST_URI_TOO_LONG)
        if self._misdirected(head.authority, server_name):
            return Refusal(HTTPStatus.MISDIRECTED_REQUEST)
        path, _, query = head.target.partition(b"?")
        profile = self._paths.get(path)
        if profile is None:
            return Refusal(HTTPStatus.NOT_FOUND)
        if profile < 0 and server_name is not None:
            profile = self._server_names.get(server_name, -1)
        if head.method == b"GET":
            return _read_get(query, profile)
        if head.method != b"POST":
            return Refusal(HTTPStatus.METHOD_NOT_ALLOWED)
        if head.content_type is None or head.content_type.partition(b";")[0].strip().lower() != MEDIA_TYPE:
            return Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        if head.content_length is not None and head.content_length > MESSAGE_MAX:
            return TOO_LARGE
        return Awaiting(profile)

    def _misdirected(self, authority: bytes, server_name: str | None) -> bool:
        """A connection made under one name asks under another that has a profile of its own (RFC 9110 7.4).

        The network between sees the name of the handshake alone; what it lets pass must be what is asked.
        """
        if not self._server_names:
            return False
        host = authority.decode("latin-1").lower()
        host = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        return host in self._server_names and host != server_name


def _read_get(query: bytes, profile: int) -> Query | Refusal:
    for pair in query.split(b"&"):
        key, _, value = pair.partition(b"=")
        if key == b"dns":
            break
    else:
        return BAD_REQUEST
    # base64url without padding (RFC 8484 6).
    if any(sign in value for sign in _NOT_URL_SAFE):
        return BAD_REQUEST
    try:
        message = binascii.a2b_base64(value.translate(_TO_STANDARD) + b"=" * (-len(value) % 4), strict_mode=True)
    except binascii.Error:
        return BAD_REQUEST
    return read_message(message, profile)


def read_message(message: bytes, profile: int) -> Query | Refusal:
    """A body, or what stood in the target, as a query."""
    if len(message) > MESSAGE_MAX:
        return TOO_LARGE
    # What would be met by silence elsewhere: here a status can say so.
    if len(message) < HEADER_BYTES or message[2] & _QR:
        return BAD_REQUEST
    return Query(message, profile)


def freshness(answer: bytes) -> int | None:
    """For how many seconds an answer holds: the smallest TTL in it (RFC 8484 5.1), None where it has none.

    An SOA record that denies something holds no longer than its MINIMUM (RFC 2308 5).
    """
    try:
        at = HEADER_BYTES
        for _ in range(answer[4] << 8 | answer[5]):
            at = _after_name(answer, at) + 4
        smallest: int | None = None
        for _ in range(sum(answer[place] << 8 | answer[place + 1] for place in (6, 8, 10))):
            at = _after_name(answer, at)
            kind = answer[at] << 8 | answer[at + 1]
            ttl = int.from_bytes(answer[at + 4 : at + 8], "big")
            at += 10 + (answer[at + 8] << 8 | answer[at + 9])
            if kind == _OPT:
                continue
            if kind == _SOA:
                ttl = min(ttl, int.from_bytes(answer[at - 4 : at], "big"))
            # RFC 2181 8: with its highest bit set, a TTL is none.
            ttl = 0 if ttl >> 31 else ttl
            smallest = ttl if smallest is None else min(smallest, ttl)
    except IndexError:
        return None
    return smallest


def _after_name(answer: bytes, at: int) -> int:
    while True:
        size = answer[at]
        if size >= 0xC0:
            return at + 2
        at += 1 + size
        if not size:
            return at


def answer_headers(answer: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """What belongs to an answer."""
    seconds = freshness(answer)
    # Private: the next client may have another profile, and so another verdict.
    control = b"no-store" if seconds is None else b"private, max-age=%d" % seconds
    return (
        (b"content-type", MEDIA_TYPE),
        (b"content-length", b"%d" % len(answer)),
        (b"cache-control", control),
    )
