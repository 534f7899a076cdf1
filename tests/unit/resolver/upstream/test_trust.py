"""Whom an upstream's TLS is believed: real handshakes in memory."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lachan.tls import TlsError
from resolver.channel import TlsChannel
from resolver.upstream.settings import Upstream
from resolver.upstream.trust import ClientChannel, Trust, context, pin_of, reason
from tests.support.tls import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path)
    made.issue()
    made.ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return made


def serving(authority: Authority, *protocols: str) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(authority.files.certificate, authority.files.key)
    if protocols:
        made.set_alpn_protocols(list(protocols))
    return made


def upstream(authority: Authority, **changes: object) -> Upstream:
    given = {"server_name": "dns.example", "ca": authority.folder / "ca.pem", "protocol": "dot"} | changes
    return Upstream.model_validate({"address": "127.0.0.1"} | given)


def pin(authority: Authority) -> str:
    certificate = x509.load_pem_x509_certificate(authority.files.certificate.read_bytes())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


def shaken(client: ClientChannel, server_context: ssl.SSLContext) -> TlsChannel:
    server = TlsChannel(server_context, server_side=True)
    for _ in range(3):
        server.receive(client.take())
        client.receive(server.take())
    return server


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"server_name": None},
        {"server_name": None, "ca": None, "pins": "own"},
        {"server_name": "elsewhere.example", "ca": None, "pins": "own"},
        {"pins": "own"},
    ],
)
def test_whoever_is_who_they_should_be_is_believed(authority: Authority, changes: dict[str, object]) -> None:
    if changes.get("pins"):
        changes = changes | {"pins": ("A" * 43 + "=", pin(authority))}
    destination = upstream(authority, **changes)
    client = ClientChannel(context(destination), destination, None)
    shaken(client, serving(authority))
    assert client.open


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"server_name": "other.example"}, "not valid for 'other.example'"),
        ({"address": "127.0.0.2", "server_name": None}, "not valid for '127.0.0.2'"),
        ({"ca": None}, "unable to get local issuer certificate"),
        ({"pins": ("A" * 43 + "=",)}, "the key is none of those that are pinned"),
        ({"pins": ("A" * 43 + "=",), "ca": None}, "the key is none of those that are pinned"),
        ({"pins": "own", "server_name": "other.example"}, "not valid for 'other.example'"),
    ],
)
def test_whoever_is_not_is_told_in_a_sentence(authority: Authority, changes: dict[str, object], said: str) -> None:
    if changes.get("pins") == "own":
        changes = changes | {"pins": (pin(authority),)}
    destination = upstream(authority, **changes)
    client = ClientChannel(context(destination), destination, None)
    with pytest.raises(ssl.SSLError) as raised:
        shaken(client, serving(authority))
    kind, text = reason(raised.value, destination)
    assert kind == "certificate"
    assert said in text


def test_an_expired_certificate_is_not_believed(authority: Authority) -> None:
    authority.issue(expired=True)
    destination = upstream(authority)
    client = ClientChannel(context(destination), destination, None)
    with pytest.raises(ssl.SSLError) as raised:
        shaken(client, serving(authority))
    assert reason(raised.value, destination) == (
        "certificate",
        "its certificate for dns.example is not good: certificate has expired",
    )


def test_what_is_no_tls_is_not_a_matter_of_certificates(authority: Authority) -> None:
    destination = upstream(authority)
    client = ClientChannel(context(destination), destination, None)
    with pytest.raises(ssl.SSLError) as raised:
        client.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert reason(raised.value, destination)[0] == "tls"


def test_old_tls_is_not_spoken(authority: Authority) -> None:
    assert context(upstream(authority)).minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(("protocol", "chosen"), [("dot", None), ("doh", "h2")])
def test_the_protocol_within_is_agreed_on_where_there_is_a_choice(
    authority: Authority, protocol: str, chosen: str | None
) -> None:
    destination = upstream(authority, protocol=protocol)
    client = ClientChannel(context(destination), destination, None)
    shaken(client, serving(authority, "h2", "dot"))
    assert client.application_protocol == chosen


def test_a_session_is_taken_up_again(authority: Authority) -> None:
    trust = Trust(upstream(authority))
    server_context = serving(authority)
    first = trust.channel()
    shaken(first, server_context)
    assert not first.resumed
    first.close()
    trust.keep(first)
    second = trust.channel()
    shaken(second, server_context)
    assert second.resumed
    trust.drop()
    third = trust.channel()
    shaken(third, server_context)
    assert not third.resumed


def test_a_pin_holds_for_a_session_that_is_taken_up_again(authority: Authority) -> None:
    trust = Trust(upstream(authority, pins=(pin(authority),), ca=None))
    server_context = serving(authority)
    for resumed in (False, True):
        channel = trust.channel()
        shaken(channel, server_context)
        assert (channel.open, channel.resumed) == (True, resumed)
        channel.close()
        trust.keep(channel)


def test_authorities_are_read_again_when_they_change(authority: Authority, tmp_path: Path) -> None:
    destination = upstream(authority)
    trust = Trust(destination)
    old = trust.channel()
    shaken(old, serving(authority))
    other = Authority(tmp_path, trustme.CA())
    other.issue()
    fresh = tmp_path / "ca.new"
    other.ca.cert_pem.write_to_path(fresh)
    fresh.rename(tmp_path / "ca.pem")
    channel = trust.channel()
    shaken(channel, serving(other))
    assert channel.open
    # A session of before belongs to who was trusted before.
    trust.keep(old)
    shaken(trust.channel(), serving(other))


def test_a_file_in_the_middle_of_being_replaced_leaves_those_trusted_before(authority: Authority) -> None:
    trust = Trust(upstream(authority))
    trust.channel()
    (authority.folder / "ca.pem").write_text("half of a")
    channel = trust.channel()
    shaken(channel, serving(authority))
    assert channel.open
    (authority.folder / "ca.pem").unlink()
    shaken(trust.channel(), serving(authority))


@pytest.mark.parametrize("content", [None, "", "no certificate", "é"])
def test_whom_to_trust_must_be_there_to_begin_with(authority: Authority, content: str | None) -> None:
    path = authority.folder / "ca.pem"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(TlsError, match=r"ca\.pem"):
        Trust(upstream(authority)).channel()


def test_a_pin_is_the_hash_of_the_key() -> None:
    now = dt.datetime.now(dt.UTC)
    made = trustme.CA().issue_cert("dns.example", not_after=now + dt.timedelta(days=1))
    der = ssl.PEM_cert_to_DER_cert(made.cert_chain_pems[0].bytes().decode())
    key = x509.load_der_x509_certificate(der).public_key()
    assert pin_of(der) == hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
