"""Fetches a list that others publish, over HTTPS, into a file.

Holds always: the server is vouched for by the system's authorities or the one that is pinned; no proxy; a redirect is
followed on the same host only; the body is bounded in size, in silence and in time as a whole, and never decompressed;
a body that ends before its announced length is an error, never a shorter list.
"""

from __future__ import annotations

import enum
import hashlib
import re
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as UrllibTimeoutError

from blocklist_sync.central.errors import CentralError
from lachan import durable

CHUNK_BYTES = 64 << 10
HEAD_BYTES = 512
MAX_REDIRECTS = 3
MAX_VALIDATOR_CHARACTERS = 256
MAX_CONTENT_TYPE_CHARACTERS = 100

_OK, _NOT_MODIFIED = 200, 304
_ABSENT = {404, 410}
_REDIRECTS = {301, 302, 303, 307, 308}
_VALIDATOR = re.compile(r"[\x20-\x7e]+")


class Failure(enum.StrEnum):
    """Why a download, or what it brought, is not taken."""

    UNREACHABLE = "unreachable"
    STATUS = "status"
    SLOW = "slow"
    OVERSIZED = "oversized"
    COMPRESSED = "compressed"
    PAGE = "page"
    EMPTY = "empty"
    SHRUNK = "shrunk"
    REFUSED_LINES = "refused-lines"
    RAILS = "rails"
    STORAGE = "storage"


class SourceError(CentralError):
    """A source brought nothing that can be taken; `failure` says of what kind."""

    def __init__(self, failure: Failure, detail: str) -> None:
        self.failure = failure
        self.detail = detail
        super().__init__(f"{failure.value}: {detail}")


class AbsentError(SourceError):
    """There is nothing at that address (404, 410)."""

    def __init__(self, url: str) -> None:
        super().__init__(Failure.STATUS, f"{url}: there is nothing")


@dataclass(frozen=True)
class Validators:
    """By what a server knows whether a body is still the same (RFC 9110, section 8.8)."""

    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True)
class Limits:
    """What a download may take."""

    size: int
    """Bytes of the body."""
    whole: float
    """Seconds for all of it."""
    idle: float
    """Seconds without a byte."""


@dataclass(frozen=True)
class Body:
    """A body, in the file it was asked for."""

    sha256: str
    size: int
    head: bytes
    """Its first bytes."""
    content_type: str = ""
    validators: Validators = Validators()


def tls_context(ca: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or newer towards servers that the system's authorities vouch for, or those in a file alone.

    Raises:
        SourceError: The file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise SourceError(Failure.STORAGE, f"{ca}: {error.strerror or error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _validator(value: str | None) -> str:
    return value if value and len(value) <= MAX_VALIDATOR_CHARACTERS and _VALIDATOR.fullmatch(value) else ""


class _Deadline:
    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._end = clock() + limits.whole
        self._whole, self._idle = limits.whole, limits.idle
        self._clock = clock

    def left(self) -> float:
        """Seconds that the next step may take.

        Raises:
            SourceError: There are none.
        """
        left = self._end - self._clock()
        if left <= 0:
            raise SourceError(Failure.SLOW, f"longer than {self._whole:g} s")
        return min(left, self._idle)


def _same_host(one: str, other: str) -> bool:
    first, second = urlsplit(one), urlsplit(other)
    return (first.scheme, first.hostname, first.port) == (second.scheme, second.hostname, second.port)


def _ask(pool: urllib3.PoolManager, url: str, headers: dict[str, str], deadline: _Deadline) -> urllib3.BaseHTTPResponse:
    """The answer that is none of a redirect's."""
    for _ in range(MAX_REDIRECTS + 1):
        response = pool.request(
            "GET",
            url,
            headers=headers,
            preload_content=False,
            redirect=False,
            timeout=urllib3.Timeout(deadline.left()),
        )
        if response.status not in _REDIRECTS:
            return response
        response.close()
        target = urljoin(url, response.headers.get("Location", ""))
        if not _same_host(url, target):
            raise SourceError(Failure.STATUS, f"{url}: a redirect to another place, which is not followed")
        url = target
    raise SourceError(Failure.STATUS, f"{url}: more than {MAX_REDIRECTS} redirects")


def _chunks(response: urllib3.BaseHTTPResponse, limit: int, deadline: _Deadline) -> Iterator[bytes]:
    size = 0
    # One read of the socket at a time: a server that drips must not hold a larger read beyond the deadline.
    while chunk := response.read1(CHUNK_BYTES, decode_content=False):
        deadline.left()
        size += len(chunk)
        if size > limit:
            raise SourceError(Failure.OVERSIZED, f"more than {limit} bytes")
        yield chunk


class _Kept:
    """Passes chunks on, and keeps what is to be known of them."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._hash = hashlib.sha256()
        self.size = 0
        self.head = b""

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._hash.update(chunk)
            self.size += len(chunk)
            if len(self.head) < HEAD_BYTES:
                self.head = (self.head + chunk)[:HEAD_BYTES]
            yield chunk

    def body(self, content_type: str = "", validators: Validators | None = None) -> Body:
        return Body(self._hash.hexdigest(), self.size, self.head, content_type, validators or Validators())


def download(
    url: str,
    into: Path,
    limits: Limits,
    context: ssl.SSLContext,
    validators: Validators | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Body | None:
    """Fetches a body into a file, durably; None where the server says that it is still the same.

    Args:
        url: Where it is published, https.
        into: The file; it is there whole, or not at all.
        limits: What it may take.
        context: Whom to trust.
        validators: Those of the body that is held, to be told if it is still the same.
        clock: Seconds that only go forward.

    Raises:
        SourceError: It brought nothing, of the kinds that are the network's or the server's.
        FileError: The file cannot be written.
    """
    deadline = _Deadline(limits, clock)
    held = validators or Validators()
    # A compressed body could grow without bound after it was measured.
    headers = {"Accept-Encoding": "identity", "User-Agent": "lachan-blocklist"}
    headers |= {"If-None-Match": held.etag} if held.etag else {}
    headers |= {"If-Modified-Since": held.last_modified} if held.last_modified else {}
    pool = urllib3.PoolManager(num_pools=1, retries=False, ssl_context=context)
    try:
        response = _ask(pool, url, headers, deadline)
        try:
            if response.status == _NOT_MODIFIED and held != Validators():
                return None
            _check(url, response, limits)
            kept = _Kept(_chunks(response, limits.size, deadline))
            durable.write(into, kept)
        finally:
            response.close()
    except UrllibTimeoutError as error:
        raise SourceError(Failure.SLOW, f"{url}: {error}") from error
    except HTTPError as error:
        raise SourceError(Failure.UNREACHABLE, f"{url}: {error}") from error
    finally:
        pool.clear()
    return kept.body(
        response.headers.get("Content-Type", "")[:MAX_CONTENT_TYPE_CHARACTERS],
        Validators(
            _validator(response.headers.get("ETag")),
            _validator(response.headers.get("Last-Modified")),
        ),
    )


def _check(url: str, response: urllib3.BaseHTTPResponse, limits: Limits) -> None:
    """What an answer's head says already."""
    if response.status in _ABSENT:
        raise AbsentError(url)
    if response.status != _OK:
        raise SourceError(Failure.STATUS, f"{url}: status {response.status}")
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise SourceError(Failure.COMPRESSED, f"{url}: a compressed body that was not asked for")
    announced = response.headers.get("Content-Length", "")
    if announced.isdigit() and int(announced) > limits.size:
        raise SourceError(Failure.OVERSIZED, f"{url}: {announced} bytes, more than {limits.size}")


def copy(path: Path, into: Path, limit: int) -> Body:
    """The same from a file of this machine.

    Raises:
        SourceError: It cannot be read, or is too large.
        FileError: The file cannot be written.
    """

    def chunks() -> Iterator[bytes]:
        size = 0
        try:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    size += len(chunk)
                    if size > limit:
                        raise SourceError(Failure.OVERSIZED, f"{path}: more than {limit} bytes")
                    yield chunk
        except OSError as error:
            raise SourceError(Failure.UNREACHABLE, f"{path}: {error.strerror}") from error

    kept = _Kept(chunks())
    durable.write(into, kept)
    return kept.body()
