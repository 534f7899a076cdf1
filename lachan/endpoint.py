"""The endpoint for machines: /metrics for Prometheus and /health for whoever restarts things.

Holds always: so many connections at once, each for so long, whatever is on the other end; only GET, only these paths,
unless somebody serves an application of their own (`serve_app`).
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from lachan.errors import LachanError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

CONNECTIONS_MAX = 8
CONNECTION_SECONDS = 10.0
POLL_SECONDS = 0.05


class EndpointError(LachanError):
    """The endpoint cannot be served where it was asked to be."""


class _Handler(WSGIRequestHandler):
    def setup(self) -> None:
        super().setup()
        # Each read has a bound by the socket's timeout; this bounds all of them together.
        self._end = threading.Timer(CONNECTION_SECONDS, self._cut)
        self._end.daemon = True
        self._end.start()

    def _cut(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def finish(self) -> None:
        self._end.cancel()
        with contextlib.suppress(OSError):
            super().finish()

    def address_string(self) -> str:
        return ""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Logs nothing: there is no use in a line for every scrape."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._places = threading.BoundedSemaphore(CONNECTIONS_MAX)
        super().__init__((address, port), _Handler)

    def server_bind(self) -> None:
        # The base class asks the DNS for this host's name, which a DNS server must not wait for.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", self.server_address[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever went away in the middle is no news."""


def app(metrics: CollectorRegistry, problems: Callable[[], Sequence[str]]) -> WSGIApplication:
    """The two paths; `problems` tells why the process is not in order."""
    exposition = make_wsgi_app(metrics)

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "GET":
            return _say(start_response, HTTPStatus.METHOD_NOT_ALLOWED, {"error": "only GET"})
        try:
            if environ["PATH_INFO"] == "/metrics":
                parts: Iterable[bytes] = exposition(environ, start_response)
                return parts
            if environ["PATH_INFO"] == "/health":
                found = list(problems())
                status = HTTPStatus.SERVICE_UNAVAILABLE if found else HTTPStatus.OK
                return _say(start_response, status, {"status": "failing" if found else "ok", "problems": found})
        except LachanError as error:
            return _say(start_response, HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(error)})
        return _say(start_response, HTTPStatus.NOT_FOUND, {"error": "only /metrics and /health"})

    return answer


def _say(start_response: StartResponse, status: HTTPStatus, content: dict[str, object]) -> list[bytes]:
    body = json.dumps(content).encode() + b"\n"
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(f"{status.value} {status.phrase}", headers)
    return [body]


def _none() -> Sequence[str]:
    return ()


@contextlib.contextmanager
def serve(
    address: str, port: int, metrics: CollectorRegistry, problems: Callable[[], Sequence[str]] = _none
) -> Iterator[tuple[str, int]]:
    """Serves in threads of its own until the context ends; gives the address and port it listens on.

    Raises:
        EndpointError: The address cannot be bound.
    """
    with serve_app("metrics", address, port, app(metrics, problems)) as place:
        yield place


@contextlib.contextmanager
def serve_app(name: str, address: str, port: int, answer: WSGIApplication) -> Iterator[tuple[str, int]]:
    """The same for an application of one's own, which is called from several threads at once.

    Raises:
        EndpointError: The address cannot be bound; `name` is in front.
    """
    try:
        server = _Server(address, port)
    except OSError as error:
        raise EndpointError(f"{name}: {address} port {port}: {error.strerror}") from error
    server.set_app(answer)
    thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), name=name, daemon=True)
    thread.start()
    try:
        yield str(server.server_address[0]), server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
