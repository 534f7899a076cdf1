"""A list authority on loopback: keys, a release folder, a signed repository, and an HTTPS server that can be broken."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import trustme
from tuf.api.metadata import Metadata, Targets

from blocklist_sync.artifact.categories import Category
from blocklist_sync.central import build, keys, publish
from blocklist_sync.central.build import Source
from blocklist_sync.central.publish import Lifetimes, Outcome
from blocklist_sync.central.release import ReleaseFolder
from blocklist_sync.edge.settings import SyncSettings

Fault = Callable[["Handler"], bool]


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the repository; a fault registered for a part of the path may answer instead."""

    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: on a kept connection, the second would wait until the first is acknowledged.
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        """Answers a request, well or badly."""
        self.server.requests.append(self.path)
        for part, fault in self.server.faults.items():
            if part in self.path and fault(self):
                self.close_connection = True
                return
        super().do_GET()


class Server(http.server.ThreadingHTTPServer):
    """An HTTPS server of static files."""

    daemon_threads = True

    def __init__(self, folder: Path, context: ssl.SSLContext) -> None:
        self.faults: dict[str, Fault] = {}
        self.requests: list[str] = []
        self._context = context
        super().__init__(("127.0.0.1", 0), lambda *a, **k: Handler(*a, directory=str(folder), **k))

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Speaks TLS in the connection's own thread, so that a client that never does holds up nobody."""
        with contextlib.suppress(OSError), self._context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, *_: object) -> None:
        """Says nothing: clients that go away are what is tested."""


class ListAuthority:
    """Everything a list authority has, below one folder."""

    def __init__(self, folder: Path) -> None:
        self._open(folder)
        keys.init(self.keys_folder)
        self.keys = keys.load(self.keys_folder)
        self._ca = trustme.CA()
        self._ca.cert_pem.write_to_path(str(self.ca_path))

    def _open(self, folder: Path) -> None:
        self.folder = folder
        self.release = ReleaseFolder(folder / "release")
        self.repository = folder / "repository"
        self.keys_folder = folder / "keys"
        self.ca_path = folder / "ca.pem"

    @classmethod
    def reopen(cls, folder: Path) -> ListAuthority:
        """An authority that was made before, as far as building and publishing go."""
        authority = cls.__new__(cls)
        authority._open(folder)
        authority.keys = keys.load(authority.keys_folder)
        return authority

    def build(self, *names: str, category: Category = Category.GAMBLING, extend: bool = False) -> build.Built:
        """Builds a candidate of these names, mandated."""
        source = self.folder / "source.txt"
        source.write_text("\n".join(names), encoding="utf-8")
        with self.release.locked():
            return build.build(
                self.release, Source([source], category, "12/QĐ", mandated=True), refuse=_never, extend=extend
            )

    def publish(
        self, *names: str, now: int | None = None, lifetimes: Lifetimes | None = None, **options: Any
    ) -> Outcome:
        """Builds these names, if any, and publishes the candidate."""
        if names:
            self.build(*names)
        with self.release.locked():
            return publish.publish(
                self.release,
                self.repository,
                self.keys,
                now=int(time.time()) if now is None else now,
                lifetimes=lifetimes,
                **options,
            )

    @property
    def records(self) -> Path:
        """The records that are served, the newest if there are several."""
        digest = self.release.history()[-1].records_digest
        return self.repository / "targets" / "list" / f"{digest}.records.bin"

    def listed(self) -> Targets:
        """What the list role signs now."""
        newest = max((self.repository / "metadata").glob("*.list.json"), key=lambda path: int(path.name.split(".")[0]))
        return Metadata[Targets].from_file(str(newest)).signed

    @contextlib.contextmanager
    def serve(self, folder: Path | None = None) -> Iterator[Server]:
        """Serves the repository, or a copy of it in `folder`, until the block ends."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert("127.0.0.1", "localhost", "list.example").configure_cert(context)
        with Server(folder or self.repository, context) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            try:
                yield server
            finally:
                server.shutdown()
                thread.join()

    def settings(self, server: Server | None, **changes: Any) -> SyncSettings:
        """What an edge of this authority is told; without a server, `changes` say where to ask."""
        fields: dict[str, Any] = {"root": self.repository / "metadata" / "1.root.json", "ca": self.ca_path}
        if server is not None:
            fields["repository"] = f"https://127.0.0.1:{server.server_address[1]}"
        return SyncSettings(**(fields | changes))


def _never(refusal: object) -> None:
    raise AssertionError(refusal)
