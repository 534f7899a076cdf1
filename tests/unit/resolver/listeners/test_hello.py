"""The server name that a client asked for, read from bytes that OpenSSL wrote, cut and changed in every place."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.listeners.hello import server_name
from tests.support.tls import Client


def flight(name: str | None, *, older: bool = False) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname = name is not None
    if older:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2", "http/1.1"])
    client = Client(context, name)
    client.receive(b"")
    return client.take()


HELLO = flight("School.DNS.example")


@pytest.mark.parametrize("older", [False, True])
def test_the_name_is_what_the_client_asked_for_in_lower_case(older: bool) -> None:
    assert server_name(flight("School.DNS.example", older=older)) == "school.dns.example"
    assert server_name(flight(None, older=older)) is None


def test_an_address_is_no_server_name() -> None:
    assert server_name(flight("127.0.0.1")) is None


def test_what_follows_the_hello_does_not_matter() -> None:
    assert server_name(HELLO + b"\x14\3\3\0\1\1" + bytes(100)) == "school.dns.example"


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_hello_may_be_spread_over_records(size: int) -> None:
    body = HELLO[5:]
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    assert server_name(b"".join(b"\x16\3\1" + len(part).to_bytes(2, "big") + part for part in parts)) == (
        "school.dns.example"
    )


def test_what_is_cut_off_has_no_name() -> None:
    for size in range(len(HELLO)):
        assert server_name(HELLO[:size]) is None


def test_what_is_no_hello_has_no_name() -> None:
    assert server_name(b"GET / HTTP/1.1\r\n\r\n") is None
    assert server_name(b"\x16\3\1\0\4\2\0\0\0") is None
    assert server_name(HELLO.replace(b"School.DNS", b"Sch\xf6ol.DNS")) is None


@given(st.integers(0, len(HELLO) - 1), st.integers(0, 255))
def test_a_changed_byte_changes_a_name_at_most(at: int, value: int) -> None:
    changed = HELLO[:at] + bytes([value]) + HELLO[at + 1 :]
    found = server_name(changed)
    assert found is None or found == found.lower()


@given(st.binary(max_size=200))
def test_whatever_the_bytes_are_nothing_is_raised(data: bytes) -> None:
    server_name(data)
    server_name(b"\x16\3\1" + len(data).to_bytes(2, "big") + data)
