"""A pair of files as a server shows it: taken over when it changes, kept when the next one is broken."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lachan.config import ConfigError
from lachan.tls import TlsError
from resolver.check import check
from resolver.edgefile import EdgeFile
from resolver.listeners.certificate import (
    DOH_PROTOCOLS,
    DOT_PROTOCOLS,
    LOOK_SECONDS,
    RENEW_SECONDS,
    Certificate,
    context,
)
from resolver.settings import Edge, normalise
from tests.support.tls import Authority, Client, opened


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path)
    made.issue()
    return made


def shown(certificate: Certificate, authority: Authority) -> bytes | None:
    """What a client sees."""
    assert certificate.context is not None
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = certificate.context.wrap_bio(incoming, outgoing, server_side=True)
    client = Client(authority.client())

    def receive(data: bytes) -> None:
        incoming.write(data)
        try:
            server.do_handshake()
        except ssl.SSLWantReadError:
            return

    opened(client, receive, outgoing.read)
    return client.tls.getpeercert(binary_form=True)


def test_a_new_pair_is_shown_from_the_next_look_on(authority: Authority) -> None:
    first = authority.issue()
    certificate = Certificate(authority.files, DOT_PROTOCOLS, 0.0)
    assert shown(certificate, authority) == first
    second = authority.issue()
    assert shown(certificate, authority) == first
    certificate.look(LOOK_SECONDS)
    assert shown(certificate, authority) == second
    assert not certificate.refused


def test_files_that_do_not_change_are_not_read_again(authority: Authority) -> None:
    certificate = Certificate(authority.files, DOT_PROTOCOLS, 0.0)
    before = certificate.context
    certificate.look(LOOK_SECONDS)
    assert certificate.context is before


def test_the_keys_of_tickets_are_made_anew_though_the_files_are_the_same(authority: Authority) -> None:
    certificate = Certificate(authority.files, DOT_PROTOCOLS, 0.0)
    before = certificate.context
    certificate.look(RENEW_SECONDS + 1)
    assert certificate.context is not before


@pytest.mark.parametrize("broken", ["key of another", "no PEM", "missing", "expired", "empty", "too large"])
def test_a_broken_pair_keeps_the_one_before_and_is_told_once(authority: Authority, broken: str) -> None:
    before = authority.issue()
    certificate = Certificate(authority.files, DOT_PROTOCOLS, 0.0)
    if broken == "key of another":
        key = authority.files.key.read_bytes()
        authority.issue()
        authority.files.key.write_bytes(key)
    elif broken == "missing":
        authority.files.key.unlink()
    elif broken == "expired":
        authority.issue(expired=True)
    else:
        authority.files.certificate.write_bytes(
            {"no PEM": b"certificate", "empty": b"", "too large": b"x" * 70_000}[broken]
        )
    with capture_logs() as logs:
        certificate.look(1.0)
        # Two files are not replaced in one moment.
        assert logs == []
        for second in range(2, 9):
            certificate.look(float(second))
    assert [(line["log_level"], line["event"]) for line in logs] == [("error", "a certificate cannot be used")]
    assert str(authority.folder) in logs[0]["reason"]
    assert certificate.refused
    assert shown(certificate, authority) == before
    after = authority.issue()
    with capture_logs() as logs:
        certificate.look(10.0)
    assert [(line["log_level"], line["event"]) for line in logs] == [("info", "certificate replaced")]
    assert shown(certificate, authority) == after
    assert not certificate.refused


def test_a_pair_that_was_restored_is_not_refused_any_more(authority: Authority) -> None:
    certificate = Certificate(authority.files, DOT_PROTOCOLS, 0.0)
    path = authority.files.certificate
    aside = path.with_suffix(".aside")
    path.rename(aside)
    certificate.look(1.0)
    assert certificate.refused
    aside.rename(path)
    certificate.look(2.0)
    assert not certificate.refused


def test_a_server_without_a_pair_says_so_and_takes_the_first_good_one(authority: Authority) -> None:
    authority.files.key.unlink()
    with capture_logs() as logs:
        certificate = Certificate(authority.files, DOT_PROTOCOLS, 0.0)
        certificate.look(1.0)
    assert len(logs) == 1
    assert certificate.context is None
    authority.issue()
    certificate.look(2.0)
    assert certificate.context is not None


def test_an_expired_pair_serves_where_there_is_no_other(authority: Authority) -> None:
    authority.issue(expired=True)
    with capture_logs() as logs:
        certificate = Certificate(authority.files, DOT_PROTOCOLS, 0.0)
    assert certificate.context is not None
    assert [line["event"] for line in logs] == ["a certificate has expired"]


def test_an_encrypted_key_asks_nobody_for_its_password(authority: Authority) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(authority.files.key.read_bytes(), None)
    authority.files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(TlsError, match=r"key\.pem"):
        context(authority.files, DOH_PROTOCOLS)


def test_nothing_older_than_tls_1_2_is_spoken(authority: Authority) -> None:
    made = context(authority.files, DOT_PROTOCOLS)
    assert made.minimum_version is ssl.TLSVersion.TLSv1_2
    assert made.options & ssl.OP_NO_RENEGOTIATION
    assert made.options & ssl.OP_NO_COMPRESSION


def edge(*listens: dict[str, object]) -> EdgeFile:
    return EdgeFile.model_validate(
        {
            "organisation": "a",
            "node": "edge-1",
            "listen": [{"address": "127.0.0.1"}, *listens],
            "upstreams": [{"address": "192.0.2.1"}],
            "profiles": [{"name": "school", "networks": ["198.51.100.0/24"]}],
            "blocklist": {"snapshot": "rules.snapshot"},
        }
    )


def listen(folder: Path, *names: str) -> dict[str, object]:
    return {
        "address": "127.0.0.1",
        "protocol": "dot",
        "tls": {"certificate": folder / "certificate.pem", "key": folder / "key.pem"},
        "profiles": {"server_names": dict.fromkeys(names, "school")},
    }


def test_a_good_configuration_passes(authority: Authority) -> None:
    authority.issue("dns.example", "*.school.dns.example")
    check(normalise(edge(listen(authority.folder, "dns.example", "a.school.dns.example"))), "edge.yaml")


def test_every_certificate_that_cannot_be_used_is_told_with_its_place(authority: Authority, tmp_path: Path) -> None:
    other = listen(tmp_path / "nowhere") | {"address": "::1"}
    with pytest.raises(ConfigError) as raised:
        check(normalise(edge(listen(authority.folder, "other.example", "a.b.dns.example"), other)), "edge.yaml")
    assert [problem.path for problem in raised.value.problems] == [
        "listen.1.profiles.server_names.other.example",
        "listen.1.profiles.server_names.a.b.dns.example",
        "listen.2.tls",
    ]


def test_a_page_s_certificate_speaks_for_its_name_and_for_every_mark(authority: Authority) -> None:
    listen = {"address": "127.0.0.1", "tls": authority.files.model_dump()}

    def edge(**pages: object) -> Edge:
        settings = {
            "organisation": "a",
            "node": "edge-1",
            "listen": [{"address": "127.0.0.1"}],
            "upstreams": [{"address": "192.0.2.1"}],
            "blocklist": {"snapshot": "rules.snapshot"},
            "pages": {"listen": [listen], "operator": "A"} | pages,
        }
        return normalise(EdgeFile.model_validate(settings))

    authority.issue("check.isp.example")
    check(edge(), "edge.yaml")
    with pytest.raises(ConfigError, match=r"pages\.listen\.0\.tls: .* speak for \*\.check\.isp\.example"):
        check(edge(name="check.isp.example"), "edge.yaml")
    authority.issue("check.isp.example", "*.check.isp.example")
    check(edge(name="check.isp.example"), "edge.yaml")
    authority.files.key.unlink()
    with pytest.raises(ConfigError, match=r"pages\.listen\.0\.tls: .*key\.pem"):
        check(edge(), "edge.yaml")
