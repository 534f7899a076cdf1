"""HTTPS for the TUF client: pinned authorities, no proxy, no redirect, bounded in time as a whole.

Holds always: not a byte is taken from a server that the pinned authorities do not vouch for; a server that drips bytes
ends with the round; a body that ends before its announced length is an error of the network, never a shorter file.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator

import urllib3
from tuf.api import exceptions
from tuf.ngclient.fetcher import FetcherInterface
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as UrllibTimeoutError

from blocklist_sync.edge.errors import Failure, RoundError
from blocklist_sync.edge.settings import SyncSettings

CHUNK_BYTES = 64 << 10
HTTP_OK = 200


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
    """One round's downloads; `close` ends it from another thread."""

    def __init__(self, settings: SyncSettings) -> None:
        self._idle = settings.idle_timeout
        self._deadline = time.monotonic() + settings.round_timeout
        self._closed = threading.Event()
        self.received = 0
        """Bytes of the last body."""
        self._pool = urllib3.PoolManager(
            num_pools=1, maxsize=1, retries=False, ssl_context=tls_context(settings), cert_reqs="CERT_REQUIRED"
        )

    def close(self) -> None:
        """Ends the round at the next chunk."""
        self._closed.set()

    def release(self) -> None:
        """Closes the connections."""
        self._pool.clear()

    def _timeout(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0 or self._closed.is_set():
            raise exceptions.SlowRetrievalError("the round's time is over")
        return min(left, self._idle)

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            response = self._pool.request(
                "GET",
                url,
                preload_content=False,
                redirect=False,
                timeout=urllib3.Timeout(self._timeout()),
                # A compressed body could grow without bound after it was measured.
                headers={"Accept-Encoding": "identity", "User-Agent": "lachan-edge"},
            )
        except UrllibTimeoutError as error:
            raise exceptions.SlowRetrievalError(f"{url}: {error}") from error
        except HTTPError as error:
            raise exceptions.DownloadError(f"{url}: {error}") from error
        if response.status != HTTP_OK:
            response.close()
            raise exceptions.DownloadHTTPError(f"{url}: status {response.status}", response.status)
        return self._chunks(url, response)

    def _chunks(self, url: str, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        self.received = 0
        try:
            # One read of the socket at a time: a server that drips must not hold a larger read beyond the deadline.
            while chunk := response.read1(CHUNK_BYTES, decode_content=False):
                self._timeout()
                self.received += len(chunk)
                yield chunk
        except UrllibTimeoutError as error:
            raise exceptions.SlowRetrievalError(f"{url}: {error}") from error
        except HTTPError as error:
            raise exceptions.DownloadError(f"{url}: {error}") from error
        finally:
            response.close()
