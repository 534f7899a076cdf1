"""Answers that nobody asked for: RFC 5452. What is believed is the truth that comes behind the lie."""

from __future__ import annotations

import socket
import struct

from tests.conformance.case import Case, Need, Want
from tests.conformance.packet import query, read
from tests.conformance.place import OTHER_ADDRESS, Place
from tests.conformance.transports import SECONDS, Transport, Udp

TRUTH = Want(answers=1, holds=(r"A 192\.0\.2\.1$",), lacks=(r"192\.0\.2\.66",), edns=True)
LIES = (
    ("wrongid", "RFC 5452 4.3", "another id"),
    ("wrongname", "RFC 5452 4.2", "another name"),
    ("wrongtype", "RFC 5452 4.2", "another type"),
    ("wrongclass", "RFC 5452 4.2", "another class"),
    ("wrongport", "RFC 5452 4.1", "another source"),
    ("noquestion", "RFC 5452 9.1", "no question"),
    ("echo", "RFC 5452 9.1", "the query itself"),
    ("opcode", "RFC 5452 9.1", "another opcode"),
    ("broken", "RFC 5452 9.1", "cut short"),
    ("trailing", "RFC 5452 9.1", "octets behind it"),
)


def ports_and_ids(at: Place, transport: Transport) -> None:
    """Thirty questions leave by several ports and under as many ids."""
    for number in range(30):
        assert transport.ask(query(f"n{number}.{transport.name}.ports.ok.example"), "127.0.0.1")
    asked = [at.upstream.queries(f"n{number}.{transport.name}.ports.ok.example")[0] for number in range(30)]
    assert len({packet[:2] for packet in asked}) > 25


def port_zero(at: Place, _: Transport) -> None:
    """A query from port 0 cannot be answered, and silences nobody behind it."""
    packet = query("bad.example")
    header = struct.pack("!HHHH", 0, at.target.port, 8 + len(packet), 0)
    listening = Udp(at.target)
    with (
        listening.socket() as client,
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw,
    ):
        for number in range(20):
            raw.sendto(header + packet, (at.target.address, 0))
            client.send(query("bad.example", ident=number))
        assert [read(client.recv(4096)).ident for _ in range(20)] == list(range(20))


def wildcard(at: Place, _: Transport) -> None:
    """A socket bound to every address answers from the one that was asked."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(SECONDS)
        # A connected socket hears the address alone that it asked.
        sock.connect((OTHER_ADDRESS, at.wildcard.port))
        for name, rcode in (("bad.example", "NXDOMAIN"), ("wild.ok.example", "NOERROR")):
            sock.send(query(name))
            assert read(sock.recv(4096)).rcode == rcode


CASES = (
    *(
        Case(f"5452-{kind}", standard, f"an answer with {what} is passed over", TRUTH, query(f"{kind}-%T.ok.example"))
        for kind, standard, what in LIES
    ),
    Case("5452-random", "RFC 5452 4.4", "ids are drawn anew", probe=ports_and_ids),
    Case("6056-port0", "RFC 768", "a source port of 0", probe=port_zero, needs=(Need.DATAGRAM, Need.ROOT)),
    Case("1122-address", "RFC 1122 4.1.3.5", "answers leave from the address asked", probe=wildcard, needs=(Need.DATAGRAM,)),
)  # fmt: skip
