"""What this edge offers: by its settings where a setting makes it, by its answers where it is always there or never.

Holds always: an edge whose settings have a transport or a feature is held to it; nothing leaves the table because it
failed.
"""

from __future__ import annotations

from tests.conformance.case import Need
from tests.conformance.packet import COOKIE, opt, option, query, read
from tests.conformance.place import Place
from tests.conformance.transports import Doh, Dot, Tcp, Transport, Udp

LETTERS = {kind.name: kind.letters for kind in (Udp, Tcp, Dot, Doh)}


def transports(at: Place) -> list[Transport]:
    """An adapter for each transport."""
    found: list[Transport] = [Udp(at.target), Tcp(at.target)]
    if "dot" in at.encrypted:
        found.append(Dot(at.encrypted["dot"]))
    if "doh" in at.encrypted:
        found.append(Doh(at.encrypted["doh"]))
    return found


def of_transport(transport: Transport) -> frozenset[Need]:
    """What a transport has by its nature."""
    has = {
        Need.STREAM: isinstance(transport, Tcp),
        Need.TCP: transport.name == "tcp",
        Need.DATAGRAM: transport.datagram,
        Need.HTTP: isinstance(transport, Doh),
        Need.PADDING: transport.encrypted,
    }
    return frozenset(need for need, there in has.items() if there)


def needs(at: Place) -> frozenset[Need]:
    """What the edge has whatever the transport."""
    found = set()
    cookie = query("bad.example", edns=opt(options=option(COOKIE, bytes(range(8)))))
    answer = Udp(at.target).ask(cookie, "127.0.0.1")
    if answer is not None and COOKIE in read(answer).options:
        found.add(Need.COOKIES)
    if at.raw:
        found.add(Need.ROOT)
    return frozenset(found)
