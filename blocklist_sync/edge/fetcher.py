"""HTTP for the TUF client: pinned authorities, no proxy, no redirect, bounded in time as a whole.

Holds always: not a byte is taken from a server that the pinned authorities do not vouch for by its name (a cache at
a loopback address has none, and needs none); a server that drips bytes ends with the round; a body that ends before
its announced length is an error of the network, never a shorter file.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn
from urllib.parse import urlsplit

import urllib3
from tuf.api import exceptions
from tuf.ngclient.fetcher import FetcherInterface
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as UrllibTimeoutError

from blocklist_sync.edge.errors import Failure, RoundError
from blocklist_sync.edge.hosts import Hosts
from blocklist_sync.edge.settings import SyncSettings

CHUNK_BYTES = 64 << 10
PAGE_BYTES_MAX = 4096
"""Of an error's page that is read for the sake of its connection."""
HTTP_OK = 200
HTTP_PARTIAL = 206
HTTPS_PORT, HTTP_PORT = 443, 80

Pool = urllib3.HTTPConnectionPool


def tls_context(settings: SyncSettings) -> ssl.SSLContext:
    """TLS 1.2 or newer towards a server that `settings.ca` vouches for.

    Raises:
        RoundError: A file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    path = settings.ca
    try:
        context.load_verify_locations(path)
        if settings.tls is not None:
            path = settings.tls.certificate
            context.load_cert_chain(path, settings.tls.key)
    except OSError as error:
        raise RoundError(Failure.STORAGE, f"{path}: {error.strerror or error}") from error
    return context


class Fetcher(FetcherInterface):
    """One round's downloads from one repository; `close` ends it from another thread.

    Args:
        settings: Whom to trust, and how long to wait.
        hosts: Where the repository's host is.
        url: The repository.
        deadline: When the round is over, on `clock`.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        settings: SyncSettings,
        hosts: Hosts,
        url: str,
        deadline: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._idle = settings.idle_timeout
        self._deadline = deadline
        self._clock = clock
        self._closed = threading.Event()
        self.received = 0
        """Bytes of the last body."""
        self.received_all = 0
        """Bytes of every body."""
        self._hosts = hosts
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port
        self._context = tls_context(settings) if parts.scheme == "https" else None
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._pool: Pool | None = None
        self._response: urllib3.BaseHTTPResponse | None = None

    def close(self) -> None:
        """Ends the round at the next chunk."""
        self._closed.set()

    def release(self) -> None:
        """Closes the connections, also that of an answer that nobody read to its end."""
        if self._response is not None:
            self._response.close()
        if self._pool is not None:
            self._pool.close()

    def _timeout(self) -> float:
        left = self._deadline - self._clock()
        if left <= 0 or self._closed.is_set():
            raise exceptions.SlowRetrievalError("the round's time is over")
        return min(left, self._idle)

    def _at(self, address: str) -> Pool:
        if self._context is None:
            return Pool(address, self._port or HTTP_PORT, maxsize=1, retries=False)
        # The address was looked up; the certificate must be good for the name.
        return urllib3.HTTPSConnectionPool(
            address,
            self._port or HTTPS_PORT,
            maxsize=1,
            retries=False,
            ssl_context=self._context,
            cert_reqs="CERT_REQUIRED",
            server_hostname=self._host,
        )

    def open(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """The answer to a request, its body unread.

        Raises:
            DownloadError: None came.
        """
        if self._pool is not None:
            return self._request(self._pool, url, headers)
        found = self._hosts.addresses(self._host)
        if not found:
            raise exceptions.DownloadError(f"{self._host} has no address")
        for address in found:
            pool = self._at(address)
            try:
                response = self._request(pool, url, headers)
            except exceptions.DownloadError:
                pool.close()
                # Another address may lead to a server that lives.
                if address == found[-1]:
                    raise
                continue
            self._pool = pool
            self._hosts.worked(self._host, address)
            break
        return response

    def _request(self, pool: Pool, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        authority = urlsplit(url).netloc
        try:
            response = pool.request(
                "GET",
                url.removeprefix(self._origin),
                preload_content=False,
                redirect=False,
                timeout=urllib3.Timeout(self._timeout()),
                # A compressed body could grow without bound after it was measured.
                headers={"Host": authority, "Accept-Encoding": "identity", "User-Agent": "lachan-edge", **headers},
            )
        except NewConnectionError as error:
            # A timeout by its class, and none by what happened.
            raise exceptions.DownloadError(f"{url}: {error}") from error
        except UrllibTimeoutError as error:
            raise exceptions.SlowRetrievalError(f"{url}: {error}") from error
        except HTTPError as error:
            raise exceptions.DownloadError(f"{url}: {error}") from error
        self._response = response
        return response

    def _fetch(self, url: str) -> Iterator[bytes]:
        response = self.open(url, {})
        if response.status != HTTP_OK:
            self.refused(url, response)
        return self.chunks(url, response)

    def refused(self, url: str, response: urllib3.BaseHTTPResponse) -> NoReturn:
        """Puts an answer aside that is none.

        Raises:
            DownloadHTTPError: In every case.
        """
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) <= PAGE_BYTES_MAX:
            # That there is no newer root is asked in every round: the connection is worth keeping.
            for _ in self.chunks(url, response):
                pass
        else:
            response.close()
        raise exceptions.DownloadHTTPError(f"{url}: status {response.status}", response.status)

    def chunks(self, url: str, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        """The body, piece by piece.

        Raises:
            DownloadError: It ended before its time, or the round did.
        """
        self.received = 0
        whole = False
        try:
            # One read of the socket at a time: a server that drips must not hold a larger read beyond the deadline.
            while chunk := response.read1(CHUNK_BYTES, decode_content=False):
                self._timeout()
                self.received += len(chunk)
                self.received_all += len(chunk)
                yield chunk
            whole = True
        except UrllibTimeoutError as error:
            raise exceptions.SlowRetrievalError(f"{url}: {error}") from error
        except HTTPError as error:
            raise exceptions.DownloadError(f"{url}: {error}") from error
        finally:
            if whole:
                response.release_conn()
            else:
                response.close()
