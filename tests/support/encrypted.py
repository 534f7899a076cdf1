"""A real edge that listens for everything, and connections to it over every transport."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from blocklist_sync.artifact.categories import Category
from deploy.demo.upstream import upstream
from tests.support.blocklist import OFFER, built, entry
from tests.support.edge import Edge, free_port
from tests.support.framing import framed
from tests.support.packets import error_code, question, read
from tests.support.tls import Authority

ENTRIES = (
    entry("bad.example"),
    entry("worse.example", Category.CSAM),
    entry("school-only.example", order=OFFER),
    entry("holed.example"),
    entry("fine.holed.example", exception=True),
)
SCHOOL_ONLY = question("school-only.example")
SECONDS = 20.0
MEDIA = "application/dns-message"
LISTED_NAME = question("www.bad.example")
LISTED = (3, 16, ["bad.example."])
"""The verdict on it."""
SENTINEL = question("sentinel.bad.example", id=0xFFFF)
KINDS = ("udp", "tcp", "dot", "post/1.1", "get/1.1", "post/2", "get/2")


class Connection:
    """A connection that carries messages behind their lengths."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def send(self, *messages: bytes) -> None:
        self.sock.sendall(framed(*messages))

    def receive(self) -> bytes:
        return self._exactly(int.from_bytes(self._exactly(2), "big"))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.sock.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def ended(self) -> bool:
        """The other side closes without a word."""
        try:
            return self.sock.recv(1) == b""
        except (ConnectionError, ssl.SSLError):
            return True


@dataclass
class Place:
    """An edge that listens for everything, and who trusts it."""

    edge: Edge
    authority: Authority
    ports: dict[str, int]
    clients: list[httpx.Client] = field(default_factory=list)

    @contextlib.contextmanager
    def connect(self, kind: str, name: str | None = "dns.example", **options: object) -> Iterator[Connection]:
        with socket.create_connection(("127.0.0.1", self.ports[kind]), timeout=SECONDS) as plain:
            if kind == "tcp":
                yield Connection(plain)
                return
            trusting = self.authority.client("dot")
            trusting.check_hostname = False
            with trusting.wrap_socket(plain, server_hostname=name, **options) as sock:  # type: ignore[arg-type] # ssl's own
                yield Connection(sock)

    def client(self, *, http2: bool = True) -> httpx.Client:
        made = httpx.Client(
            http1=not http2, http2=http2, verify=self.authority.client(), trust_env=False, timeout=SECONDS,
            base_url=f"https://127.0.0.1:{self.ports['doh']}",
        )  # fmt: skip
        self.clients.append(made)
        return made

    def ask(self, kind: str, packet: bytes, name: str | None = "dns.example") -> bytes | None:
        """The answer over a transport; None where there is none."""
        if kind == "udp":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(SECONDS)
                sock.connect(("127.0.0.1", self.ports["udp"]))
                sock.send(packet)
                if silent(packet):
                    # Whatever answers a listed name has been through with what came before it.
                    sock.send(SENTINEL)
                answer = sock.recv(65535)
                return None if answer[:2] == SENTINEL[:2] else answer
        if kind in ("tcp", "dot"):
            with self.connect(kind, name) as connection:
                connection.send(packet)
                try:
                    return connection.receive()
                except (EOFError, ConnectionError):
                    return None
        method, http2 = kind.split("/")
        with self.client(http2=http2 == "2") as client:
            response = post(client, packet) if method == "post" else get(client, packet)
        return response.content if response.status_code == 200 else None


def silent(packet: bytes) -> bool:
    """Whether a datagram is met by silence: no head, or itself an answer."""
    return len(packet) < 12 or bool(packet[2] & 0x80)


def post(client: httpx.Client, packet: bytes, path: str = "/dns-query") -> httpx.Response:
    return client.post(path, content=packet, headers={"content-type": MEDIA})


def get(client: httpx.Client, packet: bytes, path: str = "/dns-query") -> httpx.Response:
    return client.get(path, params={"dns": base64.urlsafe_b64encode(packet).rstrip(b"=").decode()})


def verdict(answer: bytes | None) -> object:
    """What an answer says, without what may differ: its id and what remains of its time."""
    if answer is None:
        return None
    if len(answer) == 12:
        # Of a query that could not be read.
        return answer[2:]
    message = read(answer)
    owners = [str(rrset.name) for section in (message.answer, message.authority) for rrset in section]
    return int(message.rcode()), error_code(message), sorted(owners)


@contextlib.asynccontextmanager
async def place(
    folder: Path, before: Callable[[Edge], Awaitable[None]] | None = None, **settings: object
) -> AsyncIterator[Place]:
    """An edge in a folder, with what is to be done before it starts."""
    authority = Authority(folder)
    authority.issue()
    (folder / "rules.snapshot").write_bytes(built(*ENTRIES, serial=7))
    tls = {"certificate": "certificate.pem", "key": "key.pem"}
    names = {"server_names": {"school.dns.example": "school"}}
    async with upstream() as port:
        usual: dict[str, object] = {"blocklist": {"snapshot": "rules.snapshot"}, "profiles": [{"name": "school"}]}
        edge = Edge(folder, [port], **usual | settings)
        ports = {"udp": edge.port, "tcp": edge.port, "dot": free_port(), "doh": free_port()}
        edge.settings["listen"] += [
            {"address": "127.0.0.1", "port": ports["dot"], "protocol": "dot", "tls": tls, "profiles": names},
            {
                "address": "127.0.0.1", "port": ports["doh"], "protocol": "doh", "tls": tls,
                "profiles": names | {"paths": {"/dns-query/school": "school"}},
            },
        ]  # fmt: skip
        made = Place(edge, authority, ports)
        try:
            if before is not None:
                await before(edge)
            await edge.start()
            yield made
        finally:
            for client in made.clients:
                client.close()
            await edge.stop()
