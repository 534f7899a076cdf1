from __future__ import annotations

import asyncio
import ipaddress
import struct
from dataclasses import replace

import pytest

from deploy.demo import upstream
from deploy.demo.upstream import HTTPS, addresses, answer
from lachan.asking import Manner, Outcome, Server, Transport
from lachan.exchange import exchange
from lachan.message import (
    AAAA,
    BADVERS,
    CH,
    FORMERR,
    MX,
    NOERROR,
    NOTIFY,
    NOTIMP,
    NS,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    SOA,
    TXT,
    A,
    Edns,
    Message,
    encode,
    parse,
    query,
)


def ask(data: bytes, *, datagram: bool = True) -> Message:
    response = answer(data, datagram=datagram)
    assert response is not None
    return parse(response)


@pytest.mark.parametrize("qtype", [A, AAAA, HTTPS, MX, NS, SOA, TXT, 255])
def test_every_name_is_alive(qtype: int) -> None:
    found = ask(query("Tai-Xiu.Example", qtype, id=7))
    assert (found.id, found.rcode, found.tc) == (7, NOERROR, False)
    assert found.answers
    # The question keeps its case (draft-vixie-dnsext-dns0x20).
    assert found.question is not None
    assert found.question.qname == "Tai-Xiu.Example"


def test_addresses_are_for_documentation_and_stay() -> None:
    ipv4, ipv6 = addresses("thu-vien.example")
    assert addresses("THU-VIEN.example") == (ipv4, ipv6)
    assert any(ipaddress.ip_address(ipv4) in network for network in upstream._NETWORKS)
    assert ipaddress.ip_address(ipv6) in ipaddress.ip_network("2001:db8::/32")
    assert [one.data for one in ask(query("thu-vien.example", A, id=1)).answers] == [ipv4]
    assert [one.data for one in ask(query("thu-vien.example", AAAA, id=1)).answers] == [ipv6]


@pytest.mark.parametrize(
    ("name", "qtype", "rcode"), [("nx1.thu-vien.example", A, NXDOMAIN), ("thu-vien.example", 99, NOERROR)]
)
def test_what_is_not_there_has_an_soa(name: str, qtype: int, rcode: int) -> None:
    found = ask(query(name, qtype, id=1))
    assert found.rcode == rcode
    assert not found.answers
    assert [one.rtype for one in found.authority] == [SOA]
    assert found.authority[0].name == "thu-vien.example"


def test_a_failing_name_fails() -> None:
    assert ask(query("fail.thu-vien.example", A, id=1)).rcode == SERVFAIL


def test_a_large_answer_is_truncated_over_udp_and_whole_over_tcp() -> None:
    asked = query("big.example", TXT, id=1)
    small = ask(asked)
    assert small.tc
    assert not small.answers
    assert len(ask(asked, datagram=False).answers[0].rdata) > 3000


@pytest.mark.parametrize("edns", [None, Edns(size=100), Edns(size=65535)])
def test_a_datagram_is_as_small_as_the_client_wants(edns: Edns | None) -> None:
    response = answer(query("big.example", TXT, id=1, edns=edns), datagram=True)
    assert response is not None
    assert len(response) <= 512


@pytest.mark.parametrize(
    ("asked", "rcode"),
    [
        (query("thu-vien.example", A, id=1, edns=Edns(version=1)), BADVERS),
        (query("version.bind", TXT, id=1, qclass=CH), REFUSED),
        (encode(replace(parse(query("a.example", A, id=1)), opcode=NOTIFY)), NOTIMP),
        (encode(replace(parse(query("a.example", A, id=1)), questions=())), FORMERR),
        (query("thu-vien.example", A, id=1) + b"?", FORMERR),
    ],
)
def test_what_the_standards_ask_for(asked: bytes, rcode: int) -> None:
    assert ask(asked).rcode == rcode


@pytest.mark.parametrize("data", [b"", b"\0" * 11, encode(Message(1, True, 0, 0))])
def test_what_is_no_query_has_no_answer(data: bytes) -> None:
    assert answer(data, datagram=True) is None


async def test_it_serves_both_transports_on_one_port() -> None:
    async with upstream.upstream() as port:
        for transport in (Transport.UDP, Transport.TCP):
            found = await exchange(Server("127.0.0.1", port, transport), query("big.example", TXT, id=0))
            assert found.outcome is Outcome.ANSWERED
            assert found.transport is Transport.TCP
        udp = Server("127.0.0.1", port)
        plain = await exchange(udp, query("thu-vien.example", A, id=0), Manner(tries=1))
        assert plain.transport is Transport.UDP


async def test_a_connection_asks_many_and_ends_with_the_server() -> None:
    async with upstream.upstream() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        asked = query("thu-vien.example", A, id=1)
        writer.write((struct.pack("!H", len(asked)) + asked) * 3)
        for _ in range(3):
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            assert parse(await reader.readexactly(length)).answers
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await reader.readexactly(1)
    writer.close()


async def test_one_connection_too_many_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "CONNECTIONS_MAX", 0)
    async with upstream.upstream() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        writer.close()
