"""DNS over HTTPS beyond the message: RFC 8484's methods, statuses, types and times."""

from __future__ import annotations

import asyncio
import base64
import re
import socket
from collections.abc import Callable

import h2.config
import h2.connection
import h2.events
import httpx

from tests.conformance.case import Case, Need
from tests.conformance.packet import Seen, query, read
from tests.conformance.place import Place
from tests.conformance.transports import MEDIA, SECONDS, SERVER_NAME, Doh, Transport

Talk = Callable[[Place, httpx.Client], None]
PATH = "/dns-query"
POSTED = {"content-type": MEDIA, "accept": MEDIA}


def encoded(packet: bytes) -> str:
    """As a URL carries it, without padding (RFC 8484 6)."""
    return base64.urlsafe_b64encode(packet).rstrip(b"=").decode()


def get(client: httpx.Client, packet: bytes) -> httpx.Response:
    """A GET."""
    return client.get(PATH, params={"dns": encoded(packet)}, headers={"accept": MEDIA})


def post(client: httpx.Client, packet: bytes) -> httpx.Response:
    """A POST."""
    return client.post(PATH, content=packet, headers=POSTED)


def answered(response: httpx.Response) -> Seen:
    """A right answer's message."""
    assert (response.status_code, response.headers["content-type"]) == (200, MEDIA)
    return read(response.content)


def freshness(response: httpx.Response) -> int:
    """How long a cache may keep it, seconds."""
    control = response.headers.get("cache-control", "")
    found = re.search(r"max-age=(\d+)", control)
    assert found or "no-store" in control, f"cache-control: {control}"
    return int(found[1]) if found else 0


def both_methods(_: Place, client: httpx.Client) -> None:
    for name in ("bad.example", "alias-methods.ok.example"):
        packet = query(name, ident=0)
        assert answered(get(client, packet)).verdict() == answered(post(client, packet)).verdict()


def times(_: Place, client: httpx.Client) -> None:
    for name in ("alias-times.ok.example", "gone-times.ok.example", "bad.example"):
        response = get(client, query(name, ident=0))
        seen = answered(response)
        assert freshness(response) <= min(line.ttl for line in (*seen.answer, *seen.authority))


def failure(_: Place, client: httpx.Client) -> None:
    # A failure is the DNS's answer, not HTTP's (RFC 8484 4.2.1).
    response = get(client, query("fail-http.ok.example", ident=0))
    assert answered(response).rcode == "SERVFAIL"
    assert freshness(response) <= 5


def refused(client: httpx.Client, status: tuple[int, ...], method: str, path: str, **request: object) -> None:
    """Requests that are none; the connection goes on."""
    response = client.request(method, path, **request)  # type: ignore[arg-type] # whatever a case says
    assert response.status_code in status, f"{method} {path[:40]}: HTTP {response.status_code}"
    assert answered(post(client, query("bad.example"))).rcode == "NXDOMAIN"


def no_message(_: Place, client: httpx.Client) -> None:
    for value in ("", "A", "!!!!", "AAAA"):
        refused(client, (400,), "GET", f"{PATH}?dns={value}")
    refused(client, (400,), "GET", PATH)
    refused(client, (400,), "GET", f"{PATH}?name=bad.example")
    refused(client, (400,), "POST", PATH, content=b"", headers=POSTED)


def other_method(_: Place, client: httpx.Client) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        refused(client, (405, 501), method, PATH)


def other_path(_: Place, client: httpx.Client) -> None:
    for path in ("/", "/dns-query/x", "/DNS-QUERY", "//dns-query", "/resolve"):
        refused(client, (404,), "POST", path, content=query("bad.example"), headers=POSTED)


def other_type(_: Place, client: httpx.Client) -> None:
    refused(client, (415,), "POST", PATH, content=query("bad.example"), headers={"content-type": "application/json"})
    refused(client, (415,), "POST", PATH, content=query("bad.example"))


def too_large(_: Place, client: httpx.Client) -> None:
    # As much as the server's window lets a client send before it looks at an answer.
    refused(client, (413,), "POST", PATH, content=bytes(65_536), headers=POSTED)


def at_once(ident: str, *, http2: bool) -> Case:
    """Many requests of one client, none of which waits for another's answer."""
    names = [f"n{number}.ok.example" for number in range(60)]

    def probe(_: Place, transport: Transport) -> None:
        assert isinstance(transport, Doh)

        async def talk(transport: Doh) -> list[httpx.Response]:
            async with transport.async_client(http2=http2) as client:
                posts = (client.post(PATH, content=query(name), headers=POSTED) for name in names)
                return await asyncio.gather(*posts)

        answers = [answered(response) for response in asyncio.run(talk(transport))]
        assert [one.question for one in answers] == [(f"{name}. IN A",) for name in names]

    return Case(
        ident, "RFC 8484 5.2", f"many at once, {'HTTP/2' if http2 else 'HTTP/1.1'}", probe=probe, needs=(Need.HTTP,)
    )


def identical(_: Place, client: httpx.Client) -> None:
    # An id of 0 makes equal questions equal URLs, so that caches work (RFC 8484 4.1).
    assert answered(get(client, query("bad.example", ident=0))).ident == 0


def one_read(at: Place, transport: Transport) -> None:
    """A request that is refused by its head, and its end in the same read, do not end the connection."""
    assert isinstance(transport, Doh)
    context = transport.target.trust
    assert context is not None
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    fields = [(":scheme", "https"), (":authority", SERVER_NAME), (":path", PATH), ("content-type", MEDIA)]
    for number, method, body in ((1, "PUT", b""), (3, "DELETE", b"x"), (5, "POST", query("bad.example"))):
        client.send_headers(number, [(":method", method), *fields])
        client.send_data(number, body, end_stream=True)
    with socket.create_connection((at.target.address, transport.target.port), timeout=SECONDS) as plain:
        # A context of its own: httpx has told its own what it speaks.
        context.set_alpn_protocols(["h2"])
        with context.wrap_socket(plain, server_hostname=SERVER_NAME) as sock:
            sock.sendall(client.data_to_send())
            statuses = {}
            while len(statuses) < 3:
                data = sock.recv(65536)
                assert data, f"closed after {statuses}"
                for event in client.receive_data(data):
                    if isinstance(event, h2.events.ResponseReceived):
                        statuses[event.stream_id] = dict(event.headers)[b":status"]
    assert statuses == {1: b"405", 3: b"405", 5: b"200"}


def talk(ident: str, standard: str, title: str, how: Talk, *, http2: bool = True) -> Case:
    """A case that talks HTTP."""

    def probe(at: Place, transport: Transport) -> None:
        assert isinstance(transport, Doh)
        with transport.client(http2=http2) as client:
            how(at, client)

    return Case(ident, standard, title, probe=probe, needs=(Need.HTTP,))


CASES = (
    Case("9113-8.1", "RFC 9113 8.1", "a refused request's end in the same read", probe=one_read, needs=(Need.HTTP,)),
    *(
        talk(f"{ident}-{version}", standard, f"{title}, {name}", how, http2=http2)
        for version, name, http2 in (("h2", "HTTP/2", True), ("h1", "HTTP/1.1", False))
        for ident, standard, title, how in (
            ("8484-methods", "RFC 8484 4.1", "GET and POST are answered alike", both_methods),
            ("8484-id", "RFC 8484 4.1", "an id of 0 comes back", identical),
            ("8484-times", "RFC 8484 5.1", "kept no longer than the shortest TTL", times),
            ("8484-failure", "RFC 8484 4.2.1", "a failure is the DNS's answer", failure),
            ("8484-no-message", "RFC 8484 4.2.1", "what is no message is a bad request", no_message),
            ("8484-method", "RFC 9110 15.5.6", "another method", other_method),
            ("8484-path", "RFC 9110 15.5.5", "another path", other_path),
            ("8484-type", "RFC 9110 15.5.16", "another media type", other_type),
            ("8484-large", "RFC 9110 15.5.14", "a message beyond 65,535 octets", too_large),
        )
    ),
    at_once("8484-at-once-h2", http2=True),
    at_once("8484-at-once-h1", http2=False),
)
