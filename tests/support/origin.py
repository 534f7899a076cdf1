"""The list authority's own HTTPS server in a thread, and a relay before it that counts what goes over the wire."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from blocklist_sync.central.serving.admission import Admission, protocol
from blocklist_sync.central.serving.server import tls_context
from blocklist_sync.central.serving.settings import HttpsSettings
from blocklist_sync.central.serving.static import application
from tests.support.papers import Papers


@contextlib.contextmanager
def origin(repository: Path, papers: Papers) -> Iterator[int]:
    """The list authority's own HTTPS server, which asks for certificates; its port."""
    own = papers.of("lachan://so-test/service/blocklist")
    context = tls_context(
        HttpsSettings(listen="127.0.0.1:0", certificate=own.certificate, key=own.key, client_ca=own.ca)
    )
    config = uvicorn.Config(
        application(repository),
        http=protocol(Admission("so-test", None)),
        host="127.0.0.1",
        port=0,
        lifespan="off",
        log_config=None,
        server_header=False,
        ssl_context_factory=lambda _config, _default: context,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


class Relay:
    """Carries TCP connections to a port on loopback, and counts their bytes in both directions."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.bytes = 0
        self.connections = 0
        self._start(self._accept)

    def _start(self, target: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._to))
            self.connections += 1
            self._start(self._connect, near, far)

    def _connect(self, near: socket.socket, far: socket.socket) -> None:
        with near, far:
            back = threading.Thread(target=self._carry, args=(far, near))
            back.start()
            self._carry(near, far)
            back.join(30)

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                with self._lock:
                    self.bytes += len(data)
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Ends it once its connections have ended, which they must have, so that every byte is counted."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(30)

    def settled(self) -> int:
        """The bytes, once what was on its way has arrived: every connection has ended."""
        for thread in self._threads[1:]:
            thread.join(30)
            assert not thread.is_alive()
        return self.bytes
