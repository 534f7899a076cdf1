"""A real edge over TLS and HTTPS: the same verdict on every transport, whatever the connection is like."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import dns.edns
import dns.message
import httpx
import pytest
import pytest_asyncio

from tests.support.encrypted import (
    KINDS,
    LISTED,
    LISTED_NAME,
    MEDIA,
    SCHOOL_ONLY,
    SECONDS,
    Connection,
    Place,
    get,
    place,
    post,
    verdict,
)
from tests.support.framing import framed
from tests.support.packets import error_code, question, read

# The upstream lives in the loop of all tests.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """One edge for all who only ask."""
    async with place(tmp_path_factory.mktemp("edge")) as made:
        yield made


CASES = {
    "a listed name": LISTED_NAME,
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


async def test_a_question_has_one_verdict_on_every_transport(at: Place) -> None:
    def ask(packet: bytes) -> dict[str, object]:
        return {kind: verdict(at.ask(kind, packet)) for kind in KINDS}

    for case, packet in CASES.items():
        verdicts = await asyncio.to_thread(ask, packet)
        assert set(map(repr, verdicts.values())) == {repr(verdicts["udp"])}, f"{case}: {verdicts}"
    assert verdict(at.ask("dot", LISTED_NAME)) == LISTED
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
        assert verdict(at.ask("tcp", LISTED_NAME)) == LISTED


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
    assert verdict(await asyncio.to_thread(at.ask, "dot", LISTED_NAME)) == LISTED
    assert "Traceback" not in at.edge.log
    assert "[error" not in at.edge.log
