"""TLS from memory to memory, both ends."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from resolver.channel import TlsChannel
from tests.support.tls import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path)
    made.issue()
    return made


def server_context(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.files.certificate, authority.files.key)
    context.set_alpn_protocols(["dot"])
    return context


def pair(authority: Authority, name: str = "dns.example") -> tuple[TlsChannel, TlsChannel]:
    client = TlsChannel(authority.client("dot"), server_hostname=name)
    return client, TlsChannel(server_context(authority), server_side=True)


def shaken(client: TlsChannel, server: TlsChannel) -> None:
    client.receive(b"")
    for _ in range(4):
        server.receive(client.take())
        client.receive(server.take())


def test_both_ends_open_and_hear_each_other(authority: Authority) -> None:
    client, server = pair(authority)
    assert not client.open
    shaken(client, server)
    assert (client.open, server.open) == (True, True)
    assert (client.application_protocol, server.application_protocol) == ("dot", "dot")
    client.send(b"question")
    assert server.receive(client.take()) == b"question"
    server.send(bytes(100_000))
    assert server.unsent > 100_000
    assert client.receive(server.take()) == bytes(100_000)


def test_nothing_is_read_during_the_handshake(authority: Authority) -> None:
    client, server = pair(authority)
    client.receive(b"")
    hello = client.take()
    assert server.receive(hello[:50]) == b""
    assert server.receive(hello[50:]) == b""
    assert not server.open


def test_what_is_no_tls_is_an_error_with_an_alert(authority: Authority) -> None:
    _, server = pair(authority)
    with pytest.raises(ssl.SSLError):
        server.receive(b"GET / HTTP/1.1\r\n\r\n")


def test_a_name_that_the_certificate_does_not_speak_for_is_an_error(authority: Authority) -> None:
    client, server = pair(authority, "other.example")
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(client, server)
    assert client.unsent


def test_a_goodbye_is_heard_once_all_before_it_is(authority: Authority) -> None:
    client, server = pair(authority)
    shaken(client, server)
    server.send(b"last")
    server.close()
    assert client.receive(server.take()) == b"last"
    assert client.ended
    client.close()
    server.receive(client.take())
    assert server.ended
