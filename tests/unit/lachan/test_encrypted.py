"""One exchange by TLS or HTTPS, with real small servers."""

from __future__ import annotations

import asyncio

import pytest

from lachan.asking import Manner, Outcome, Server, Transport
from lachan.exchange import Exchange, exchange
from lachan.message import MAX_MESSAGE_BYTES, Edns, query
from tests.support.streams import Streams, Trusted, answer, http2, once, silent, streams
from tests.support.tls import Authority

ASKED = query("WwW.Ok.ExAmple", 1, id=0, edns=Edns(do=True))
JUNK = b"\x16\x03\x01 this is not DNS"


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Trusted:
    authority = Authority(tmp_path_factory.mktemp("tls"))
    authority.issue()
    return Trusted(authority)


def roots(trusted: Trusted) -> str:
    return trusted.authority.ca.cert_pem.bytes().decode()


async def ask(
    trusted: Trusted,
    server: Streams,
    transport: Transport,
    name: str = "dns.example",
    seconds: float = 5.0,
    tries: int = 1,
) -> Exchange:
    where = Server("127.0.0.1", server.port, transport, name, "/dns-query")
    return await exchange(where, ASKED, Manner(tries=tries, timeout=seconds, roots=roots(trusted)))


async def test_a_query_by_tls(trusted: Trusted) -> None:
    async with streams(context=trusted.serving()) as server:
        done = await ask(trusted, server, Transport.DOT)
    assert (done.outcome, done.transport, done.tries) == (Outcome.ANSWERED, Transport.DOT, 1)
    assert server.queries == [done.query]
    assert done.response == answer(done.query)
    assert done.certificate_holds
    assert len(done.certificate) > 200


async def test_a_query_by_https(trusted: Trusted) -> None:
    async with streams(http2(), trusted.serving("h2")) as server:
        done = await ask(trusted, server, Transport.DOH)
    assert (done.outcome, done.transport, done.certificate_holds) == (Outcome.ANSWERED, Transport.DOH, True)
    # RFC 8484 4.1.
    assert done.query[:2] == done.response[:2] == b"\0\0"
    (head,) = server.heads
    assert (head[b":method"], head[b":path"], head[b"content-type"]) == (
        b"POST",
        b"/dns-query",
        b"application/dns-message",
    )
    assert head[b":authority"] == f"dns.example:{server.port}".encode()
    # Nothing that would tell this client from another.
    assert set(head) == {b":method", b":scheme", b":authority", b":path", b"accept", b"content-type", b"content-length"}


@pytest.mark.parametrize("transport", [Transport.DOT, Transport.DOH])
async def test_an_address_is_enough_of_a_name(trusted: Trusted, transport: Transport) -> None:
    talk, protocols = (http2(), ("h2",)) if transport is Transport.DOH else (Streams(silent).talk, ())
    async with streams(
        talk if transport is Transport.DOH else once(answer_framed), trusted.serving(*protocols)
    ) as server:
        done = await ask(trusted, server, transport, name="")
    assert (done.outcome, done.certificate_holds) == (Outcome.ANSWERED, True)


def answer_framed(asked: bytes) -> bytes:
    said = answer(asked)
    return len(said).to_bytes(2, "big") + said


@pytest.mark.parametrize("transport", [Transport.DOT, Transport.DOH])
async def test_a_certificate_that_does_not_hold_is_told_and_the_answer_kept(
    trusted: Trusted, transport: Transport
) -> None:
    talk = http2() if transport is Transport.DOH else once(answer_framed)
    async with streams(talk, trusted.serving("h2", "dot")) as server:
        done = await ask(trusted, server, transport, name="elsewhere.example")
    assert (done.outcome, done.certificate_holds) == (Outcome.ANSWERED, False)
    assert done.certificate


@pytest.mark.parametrize("transport", [Transport.DOT, Transport.DOH])
async def test_where_tls_is_not_spoken_nobody_was_asked(trusted: Trusted, transport: Transport) -> None:
    async def plain(server: Streams, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del server
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 no TLS here\r\n\r\n")

    async with streams(plain) as server:
        done = await ask(trusted, server, transport, tries=2)
        port = server.port
    assert (done.outcome, done.tries, done.response) == (Outcome.UNREACHABLE, 2, b"")
    gone = await exchange(Server("127.0.0.1", port, transport), ASKED, Manner(tries=1))
    assert gone.outcome is Outcome.UNREACHABLE


async def test_a_listener_that_never_shakes_hands_is_unreachable(trusted: Trusted) -> None:
    async with streams(silent) as server:
        done = await ask(trusted, server, Transport.DOT, seconds=0.1)
    assert done.outcome is Outcome.UNREACHABLE


@pytest.mark.parametrize("transport", [Transport.DOT, Transport.DOH])
async def test_silence_after_the_question_is_a_timeout(trusted: Trusted, transport: Transport) -> None:
    talk = silent if transport is Transport.DOT else http2(lambda _: None)
    async with streams(talk, trusted.serving("h2", "dot")) as server:
        done = await ask(trusted, server, transport, seconds=0.3, tries=2)
        assert len(server.queries) == 2
    assert (done.outcome, done.tries) == (Outcome.TIMEOUT, 2)


async def test_a_server_without_http2_does_not_offer_doh(trusted: Trusted) -> None:
    async with streams(silent, trusted.serving("http/1.1")) as server:
        done = await ask(trusted, server, Transport.DOH)
    assert done.outcome is Outcome.UNREACHABLE


@pytest.mark.parametrize(
    ("status", "media_type", "body", "outcome"),
    [
        (b"404", b"text/html", b"not here", Outcome.UNREACHABLE),
        (b"451", b"text/html", b"by order", Outcome.MALFORMED),
        (b"200", b"text/html", b"by order", Outcome.MALFORMED),
        (b"200", b"application/dns-message", b"no DNS", Outcome.MALFORMED),
        (b"200", b"application/dns-message; charset=x", b"", Outcome.MALFORMED),
    ],
)
async def test_http_that_is_no_answer(
    trusted: Trusted, status: bytes, media_type: bytes, body: bytes, outcome: Outcome
) -> None:
    def said(_: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
        return [(b":status", status), (b"content-type", media_type)], body

    async with streams(http2(said), trusted.serving("h2")) as server:
        done = await ask(trusted, server, Transport.DOH)
    assert done.outcome is outcome
    assert (body in done.response) == (outcome is Outcome.MALFORMED)
    if outcome is Outcome.MALFORMED and media_type == b"text/html":
        assert done.response.startswith(b"HTTP/2 " + status)


async def test_a_response_without_an_end_is_bounded(trusted: Trusted) -> None:
    async def flood(server: Streams, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        import h2.config
        import h2.connection
        import h2.events

        http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        http.initiate_connection()
        asked = False
        while True:
            for event in http.receive_data(await reader.read(65536)):
                if isinstance(event, h2.events.RequestReceived):
                    http.send_headers(1, [(b":status", b"200"), (b"content-type", b"application/dns-message")])
                    asked = True
            while asked and (room := min(http.local_flow_control_window(1), 16384)) > 0:
                http.send_data(1, bytes(room))
                server.connections += room
            writer.write(http.data_to_send())
            await writer.drain()

    async with streams(flood, trusted.serving("h2")) as server:
        done = await ask(trusted, server, Transport.DOH, seconds=20)
        assert server.connections < 8 * MAX_MESSAGE_BYTES
    assert done.outcome is Outcome.MALFORMED
    assert len(done.response) <= MAX_MESSAGE_BYTES + 1


@pytest.mark.parametrize("transport", [Transport.DOT, Transport.DOH])
async def test_garbage_is_malformed_or_nothing(trusted: Trusted, transport: Transport) -> None:
    async def junk(server: Streams, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del server
        await reader.read(1)
        writer.write(JUNK)
        await writer.drain()

    async with streams(junk, trusted.serving("h2", "dot")) as server:
        done = await ask(trusted, server, transport)
    assert done.outcome in {Outcome.MALFORMED, Outcome.UNREACHABLE}
    assert done.message is None
