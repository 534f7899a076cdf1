"""A real edge over TLS and HTTPS: the same verdict on every transport, whatever the connection is like."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dns.edns
import dns.message
import httpx
import pytest
import pytest_asyncio

from blocklist_sync.artifact.categories import Category
from deploy.demo.upstream import upstream
from tests.support.blocklist import OFFER, built, entry
from tests.support.edge import Edge, free_port, until
from tests.support.framing import framed
from tests.support.packets import error_code, question, read
from tests.support.tls import Authority

# The upstream lives in the loop of all tests.
pytestmark = pytest.mark.asyncio(loop_scope="module")

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
                if packet in SILENT:
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


LISTED = (3, 16, ["bad.example."])
SENTINEL = question("sentinel.bad.example", id=0xFFFF)
KINDS = ("udp", "tcp", "dot", "post/1.1", "get/1.1", "post/2", "get/2")


def post(client: httpx.Client, packet: bytes, path: str = "/dns-query") -> httpx.Response:
    return client.post(path, content=packet, headers={"content-type": MEDIA})


def get(client: httpx.Client, packet: bytes, path: str = "/dns-query") -> httpx.Response:
    return client.get(path, params={"dns": base64.urlsafe_b64encode(packet).rstrip(b"=").decode()})


@contextlib.asynccontextmanager
async def place(folder: Path, **settings: object) -> AsyncIterator[Place]:
    authority = Authority(folder)
    authority.issue()
    (folder / "rules.snapshot").write_bytes(built(*ENTRIES, serial=7))
    tls = {"certificate": "certificate.pem", "key": "key.pem"}
    names = {"server_names": {"school.dns.example": "school"}}
    async with upstream() as port:
        edge = Edge(folder, [port], blocklist={"snapshot": "rules.snapshot"}, profiles=[{"name": "school"}], **settings)
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
            await edge.start()
            yield made
        finally:
            for client in made.clients:
                client.close()
            await edge.stop()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """One edge for all who only ask."""
    async with place(tmp_path_factory.mktemp("edge")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def own(tmp_path: Path) -> AsyncIterator[Place]:
    """An edge to do things to."""
    async with place(tmp_path) as made:
        yield made


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


CASES = {
    "a listed name": question("www.bad.example"),
    "a listed name of another type": question("bad.example", "HTTPS"),
    "a name with an exception below": question("holed.example"),
    "an exception": question("www.fine.holed.example"),
    "a clean name": question("clean.example"),
    "a name that does not exist": question("nx.example"),
    "a name that another profile blocks": SCHOOL_ONLY,
    "no recursion": question("clean.example", rd=False),
    "any": question("clean.example", "ANY"),
    "another class": question("clean.example", rdclass="CH"),
    "no EDNS": question("www.bad.example", edns=False),
    "another EDNS version": question("clean.example")[:-6] + b"\0\x01\0\0\0\0",
    "another opcode": question("clean.example")[:2] + b"\x10" + question("clean.example")[3:],
    "two questions": question("clean.example")[:5] + b"\2" + question("clean.example")[6:],
    "no question": b"\x12\x34\1\0" + bytes(8),
    "cut off": question("clean.example")[:20],
    "a label too long": question("clean.example")[:12] + b"\x7fclean",
    "a pointer to itself": question("clean.example")[:12] + b"\xc0\x0c\0\1\0\1",
    "an answer": question("clean.example")[:2] + b"\x81" + question("clean.example")[3:],
    "less than a head": b"\x12\x34\1\0\0\1",
}
SILENT = (CASES["an answer"], CASES["less than a head"])


async def test_a_question_has_one_verdict_on_every_transport(at: Place) -> None:
    def ask(packet: bytes) -> dict[str, object]:
        return {kind: verdict(at.ask(kind, packet)) for kind in KINDS}

    for case, packet in CASES.items():
        verdicts = await asyncio.to_thread(ask, packet)
        assert set(map(repr, verdicts.values())) == {repr(verdicts["udp"])}, f"{case}: {verdicts}"
    assert verdict(at.ask("dot", CASES["a listed name"])) == LISTED
    assert verdict(at.ask("post/2", CASES["a clean name"])) == (0, None, ["clean.example."])
    # No client's address in the log.
    assert "127.0.0.1" not in at.edge.log


@pytest.mark.debian("kdig")
@pytest.mark.parametrize("transport", ["dot", "doh", "doh-get"])
async def test_kdig_is_content(at: Place, transport: str) -> None:
    port = at.ports["dot" if transport == "dot" else "doh"]
    at.authority.ca.cert_pem.write_to_path(str(at.edge.folder / "ca.pem"))
    how = {"dot": ["+tls"], "doh": ["+https=/dns-query"], "doh-get": ["+https=/dns-query", "+https-get"]}[transport]
    words = [
        "kdig", "@127.0.0.1", "-p", str(port), *how, f"+tls-ca={at.edge.folder / 'ca.pem'}",
        "+tls-hostname=dns.example", "+tls-sni=dns.example", "+retry=0", "+timeout=5",
    ]  # fmt: skip
    listed = await asyncio.to_thread(subprocess.check_output, [*words, "under.bad.example", "HTTPS"], text=True)
    assert "status: NXDOMAIN" in listed
    assert "EDE: 16 (Censored)" in listed
    assert "PADDING:" in listed
    clean = await asyncio.to_thread(subprocess.check_output, [*words, "clean.example"], text=True)
    assert "status: NOERROR" in clean
    for text in (listed, clean):
        assert ("(status: 200)" in text) is (transport != "dot")
        assert "WARNING" not in text
        assert ";; ERROR" not in text


async def test_an_encrypted_answer_hides_its_length_where_the_client_asks_for_it(at: Place) -> None:
    asked = dns.message.make_query("www.bad.example", "A")
    asked.use_edns(0, options=[dns.edns.GenericOption(dns.edns.OptionType.PADDING, bytes(20))])
    sizes = {kind: len(await asyncio.to_thread(at.ask, kind, asked.to_wire()) or b"") for kind in KINDS}
    # RFC 8467 4.1: blocks of 468.
    assert {kind: size for kind, size in sizes.items() if size != 468} == {"udp": sizes["udp"], "tcp": sizes["tcp"]}
    assert sizes["udp"] == sizes["tcp"] < 200


async def test_messages_may_come_together_in_pieces_or_slowly(at: Place) -> None:
    def talk() -> None:
        queries = [question(f"n{number}.bad.example", id=number) for number in range(500)]
        with at.connect("dot") as connection:
            connection.send(*queries)
            assert [read(connection.receive()).id for _ in queries] == list(range(500))
            # A record for each byte.
            for octet in framed(queries[7]):
                connection.sock.sendall(bytes([octet]))
            assert read(connection.receive()).id == 7
            # What waits for the upstream is overtaken.
            connection.send(question("fresh.example", id=1), queries[2])
            assert {read(connection.receive()).id for _ in range(2)} == {1, 2}

    await asyncio.to_thread(talk)


@pytest.mark.parametrize("http2", [True, False])
async def test_many_streams_at_once_are_all_answered(at: Place, http2: bool) -> None:
    # On one loop: the client's HTTP/2 connection is not made for several threads.
    names = [f"n{number}-{http2}.example" for number in range(200)]
    async with httpx.AsyncClient(
        http1=not http2, http2=http2, verify=at.authority.client(), trust_env=False, timeout=SECONDS,
        base_url=f"https://127.0.0.1:{at.ports['doh']}", limits=httpx.Limits(max_connections=16),
    ) as client:  # fmt: skip
        room = asyncio.Semaphore(16)

        async def one(name: str) -> bytes:
            async with room:
                response = await client.post("/dns-query", content=question(name), headers={"content-type": MEDIA})
                return response.content

        answers = [read(content) for content in await asyncio.gather(*map(one, names))]
    assert [str(answer.question[0].name) for answer in answers] == [f"{name}." for name in names]
    assert all(answer.answer for answer in answers)


async def test_what_comes_from_the_upstream_over_tcp_fits(at: Place) -> None:
    for kind in ("dot", "post/2", "get/1.1"):
        answer = read(await asyncio.to_thread(at.ask, kind, question("big.example", "TXT")))
        assert sum(len(record.to_text()) for record in answer.answer[0]) > 1232


async def test_http_says_how_long_an_answer_holds_and_what_is_wrong(at: Place) -> None:
    def talk(http2: bool) -> None:
        with at.client(http2=http2) as client:
            listed = post(client, question("bad.example", id=0))
            assert listed.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
            assert listed.headers["cache-control"] == "private, max-age=10"
            assert listed.headers["content-type"] == MEDIA
            clean = get(client, question("clean.example", id=0))
            seconds = int(clean.headers["cache-control"].removeprefix("private, max-age="))
            # Others have asked for it before.
            assert 0 < seconds <= 60
            assert post(client, question("fail.example")).headers["cache-control"] == "no-store"
            assert client.get("/").status_code == 404
            assert client.put("/dns-query").status_code == 405
            assert client.get("/dns-query").status_code == 400
            assert client.post("/dns-query", content=b"{}", headers={"content-type": "text/json"}).status_code == 415
            assert post(client, bytes(65_536)).status_code == 413
            assert client.get("/dns-query?dns=" + "A" * 6000).status_code == 414
            assert client.get("/dns-query", headers={"x": "a" * 17_000}).status_code == 431
            # Whatever was wrong, the next request is served.
            assert read(post(client, question("bad.example")).content).rcode() == 3

    for http2 in (True, False):
        await asyncio.to_thread(talk, http2)


async def test_a_profile_follows_server_name_or_path_and_never_an_unknown_name(at: Place) -> None:
    def rcode(answer: bytes | None) -> tuple[int, int | None]:
        message = read(answer)
        return int(message.rcode()), error_code(message)

    def talk() -> None:
        blocked, open_ = (3, 17), (0, None)
        assert rcode(at.ask("dot", SCHOOL_ONLY, "school.dns.example")) == blocked
        assert rcode(at.ask("dot", SCHOOL_ONLY, "School.DNS.Example")) == blocked
        for name in ("dns.example", "nowhere.example", None):
            assert rcode(at.ask("dot", SCHOOL_ONLY, name)) == open_
        for http2 in (True, False):
            with at.client(http2=http2) as client:
                assert rcode(post(client, SCHOOL_ONLY, "/dns-query/school").content) == blocked
                assert rcode(get(client, SCHOOL_ONLY).content) == open_
                # A connection of one name does not get at another's profile.
                wrong = client.get("/dns-query", headers={"host": "school.dns.example"})
                assert wrong.status_code == 421
                named = {
                    "extensions": {"sni_hostname": "school.dns.example"},
                    "headers": {"host": "school.dns.example"},
                }
            with at.client(http2=http2) as client:
                packet = base64.urlsafe_b64encode(SCHOOL_ONLY).rstrip(b"=").decode()
                answer = client.get(f"/dns-query?dns={packet}", **named)  # type: ignore[arg-type] # httpx's own
                assert rcode(answer.content) == blocked

    await asyncio.to_thread(talk)


async def test_a_session_is_resumed_under_the_same_name(at: Place) -> None:
    def talk() -> None:
        with at.connect("dot", "school.dns.example") as connection:
            connection.send(SCHOOL_ONLY)
            assert read(connection.receive()).rcode() == 3
            tls = connection.sock
            assert isinstance(tls, ssl.SSLSocket)
            session, trusting = tls.session, tls.context
        with (
            socket.create_connection(("127.0.0.1", at.ports["dot"]), timeout=SECONDS) as plain,
            trusting.wrap_socket(plain, server_hostname="school.dns.example", session=session) as sock,
        ):
            assert sock.session_reused
            again = Connection(sock)
            again.send(SCHOOL_ONLY)
            assert read(again.receive()).rcode() == 3

    await asyncio.to_thread(talk)


def shown(at: Place, kind: str) -> bytes | None:
    """The certificate that a new connection gets."""
    with at.connect(kind) as connection:
        assert isinstance(connection.sock, ssl.SSLSocket)
        return connection.sock.getpeercert(binary_form=True)


async def test_certificates_are_replaced_without_a_restart_and_broken_ones_are_not_taken(own: Place) -> None:
    before = own.edge.workers()
    with own.connect("dot") as kept:
        second = own.authority.issue()
        for kind in ("dot", "doh"):
            await until(lambda kind=kind: shown(own, kind) == second, f"the new certificate over {kind}")  # type: ignore[misc]
        # The key of another pair: what was good stays, and the log says so.
        key = own.authority.files.key.read_bytes()
        own.authority.issue()
        own.authority.files.key.write_bytes(key)
        await until(lambda: own.edge.log.count("a certificate cannot be used") == 2, "the alarm of both listeners")
        assert shown(own, "dot") == shown(own, "doh") == second

        def refused() -> bool:
            status = own.edge.status()
            certificates = status["workers"][0]["certificates"].values() if status and status["workers"] else ()
            return bool(certificates) and all(one["refused"] for one in certificates)

        await until(refused, "the status tells it")
        third = own.authority.issue()
        await until(lambda: shown(own, "doh") == third, "the next good certificate")
        # Nobody was thrown out meanwhile.
        kept.send(question("bad.example"))
        assert read(kept.receive()).rcode() == 3
    assert own.edge.workers() == before
    assert own.edge.log.count("a certificate cannot be used") == 2


async def test_a_dead_worker_is_replaced_though_its_certificate_is_broken(own: Place) -> None:
    [pid] = own.edge.workers()
    own.authority.files.key.write_bytes(b"")
    os.kill(pid, 9)
    await until(lambda: own.edge.workers() not in ([], [pid]), "another worker serves")
    # Names are still answered where no certificate is needed; elsewhere connections are closed at once.
    assert verdict(await asyncio.to_thread(own.ask, "udp", CASES["a listed name"])) == LISTED

    def closed() -> bool:
        with contextlib.suppress(OSError):
            shown(own, "dot")
            return False
        return True

    assert await asyncio.to_thread(closed)
    fresh = own.authority.issue()

    def served() -> bool:
        with contextlib.suppress(OSError):
            return shown(own, "dot") == fresh
        return False

    await until(served, "a good certificate is taken")


@pytest.mark.parametrize("patient", ["dot", "doh"])
async def test_limits_hold(tmp_path: Path, patient: str) -> None:
    # Each limit is met where all others are far: what ends a connection is told by which one ends.
    bounds = {"connections": 3, "handshake": "2s"}
    waiting = bounds | {"message": "300ms", "idle": "300s"}
    hurried = bounds | {"message": "60s", "idle": "500ms"}
    kinds = {"dot": hurried, "doh": hurried} | {patient: waiting}
    async with place(tmp_path, **kinds) as at:

        def talk(kind: str) -> None:
            address = ("127.0.0.1", at.ports[kind])
            # Silence instead of a handshake.
            silent = [socket.create_connection(address, timeout=SECONDS) for _ in range(3)]
            with contextlib.ExitStack() as stack:
                for sock in silent:
                    stack.enter_context(sock)
                with socket.create_connection(address, timeout=SECONDS) as beyond:
                    assert Connection(beyond).ended()
                assert all(Connection(sock).ended() for sock in silent)
            with at.connect(kind) as talking:
                if kind == patient:
                    talking.sock.sendall(b"\0" if kind == "dot" else b"GET /dns")
                while talking.sock.recv(1000):
                    pass

        await asyncio.gather(*(asyncio.to_thread(talk, kind) for kind in kinds))
        # UDP and TCP have room of their own.
        assert verdict(at.ask("tcp", CASES["a listed name"])) == LISTED


async def test_whoever_speaks_no_tls_is_sent_away_and_nobody_else_notices(at: Place) -> None:
    def talk() -> None:
        for data in (b"GET / HTTP/1.1\r\n\r\n", framed(SCHOOL_ONLY), b"\x16\3\1\0\5\1\0\0\1\0", os.urandom(300)):
            for kind in ("dot", "doh"):
                with socket.create_connection(("127.0.0.1", at.ports[kind]), timeout=SECONDS) as sock:
                    sock.sendall(data)
                    sock.shutdown(socket.SHUT_WR)
                    while sock.recv(1000):
                        pass
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname = False
        old.verify_mode = ssl.CERT_NONE
        old.minimum_version = ssl.TLSVersion.TLSv1_2
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with (
            socket.create_connection(("127.0.0.1", at.ports["dot"]), timeout=SECONDS) as plain,
            old.wrap_socket(plain) as sock,
        ):
            assert sock.version() == "TLSv1.2"

    await asyncio.to_thread(talk)
    assert verdict(await asyncio.to_thread(at.ask, "dot", CASES["a listed name"])) == LISTED
    assert "Traceback" not in at.edge.log
    assert "[error" not in at.edge.log


async def test_sockets_are_kept_through_the_supervisor_s_death_and_a_change_of_protocol(own: Place) -> None:
    before = own.edge.workers()
    own.edge.kill()
    assert verdict(await asyncio.to_thread(own.ask, "dot", CASES["a listed name"])) == LISTED
    await own.edge.start()
    assert own.edge.workers() == before
    assert verdict(await asyncio.to_thread(own.ask, "post/2", CASES["a listed name"])) == LISTED
    own.edge.kill()
    # DoT where DoH was, and the other way round.
    listens = own.edge.settings["listen"]
    listens[1]["port"], listens[2]["port"] = listens[2]["port"], listens[1]["port"]
    own.ports |= {"dot": own.ports["doh"], "doh": own.ports["dot"]}
    await own.edge.start()
    assert own.edge.workers() != before
    for kind in ("dot", "post/2", "get/1.1", "udp"):
        assert verdict(await asyncio.to_thread(own.ask, kind, CASES["a listed name"])) == LISTED


async def test_a_stopped_edge_says_goodbye(own: Place) -> None:
    def talk(stop: Callable[[], None]) -> None:
        with own.connect("dot") as connection, own.client() as client:
            connection.send(question("bad.example"))
            connection.receive()
            assert post(client, question("bad.example")).status_code == 200
            stop()
            # A goodbye, not a reset: an SSL socket would raise.
            assert connection.sock.recv(1) == b""

    assert own.edge.process is not None
    await asyncio.to_thread(talk, own.edge.process.terminate)
    assert await asyncio.to_thread(own.edge.process.wait, 15) == 0


async def test_a_certificate_that_cannot_be_used_is_told_before_anything_starts(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("dns.example")
    edge = Edge(tmp_path, [9], blocklist={"snapshot": "rules.snapshot"}, profiles=[{"name": "school"}])
    tls = {"certificate": "certificate.pem", "key": "key.pem"}
    edge.settings["listen"] += [
        {"address": "127.0.0.1", "port": 1, "protocol": "dot", "tls": tls | {"key": "certificate.pem"}},
        {"address": "127.0.0.1", "port": 2, "protocol": "doh", "tls": tls,
         "profiles": {"server_names": {"school.dns.example": "school"}}},
        {"address": "127.0.0.1", "port": 3, "protocol": "dot", "tls": tls | {"certificate": "missing.pem"}},
    ]  # fmt: skip
    edge.config.write_text(json.dumps(edge.settings))
    for verb in ("validate", "serve"):
        result = await edge.command(verb)
        assert result.returncode == 1
        for place in ("listen.1.tls", "listen.2.profiles.server_names.school.dns.example", "missing.pem"):
            assert place in result.stderr
        assert "Traceback" not in result.stderr
    assert not edge.runtime.exists()
