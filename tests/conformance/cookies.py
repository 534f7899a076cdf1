"""DNS cookies: RFC 7873 and 9018, where the edge has them."""

from __future__ import annotations

from tests.conformance.case import Case, Need, Want
from tests.conformance.packet import COOKIE, Seen, header, opt, option, query, read
from tests.conformance.place import Place
from tests.conformance.transports import Transport

CLIENT = bytes(range(8))
NEEDS = (Need.COOKIES,)
BROKEN = Want("FORMERR", flags="qr rd", question=False, answers=0, edns=None)


def ask(transport: Transport, cookie: bytes, name: str = "bad.example") -> Seen:
    """The answer to a query with a cookie."""
    answer = transport.ask(query(name, edns=opt(options=option(COOKIE, cookie))), "127.0.0.1")
    assert answer is not None
    return read(answer)


def given(_: Place, transport: Transport) -> None:
    """A client's cookie comes back, a server's behind it."""
    cookie = ask(transport, CLIENT).options[COOKIE]
    assert cookie[:8] == CLIENT
    assert 16 <= len(cookie) <= 40


def taken(_: Place, transport: Transport) -> None:
    """A cookie that was given is good."""
    cookie = ask(transport, CLIENT).options[COOKIE]
    again = ask(transport, cookie)
    assert again.rcode == "NXDOMAIN"
    assert again.options[COOKIE][:8] == CLIENT


def of_another(_: Place, transport: Transport) -> None:
    """A cookie of another client's is replaced by a good one (RFC 7873 5.2.3, 5.2.4)."""
    cookie = ask(transport, CLIENT).options[COOKIE]
    forged = b"another!" + cookie[8:]
    answer = ask(transport, forged)
    assert answer.rcode in {"NXDOMAIN", "BADCOOKIE"}
    assert answer.options[COOKIE][:8] == b"another!"
    assert answer.options[COOKIE] != forged


def interoperable(_: Place, transport: Transport) -> None:
    """Version 1, three reserved octets, a time and a hash (RFC 9018 4.2)."""
    server = ask(transport, CLIENT).options[COOKIE][8:]
    assert len(server) == 16
    assert server[:4] == b"\1\0\0\0"


def alone(_: Place, transport: Transport) -> None:
    """No question but a cookie: a cookie (RFC 7873 5.4)."""
    packet = header("", counts=(0, 0, 0, 1)) + opt(options=option(COOKIE, CLIENT))
    answer = transport.ask(packet, "127.0.0.1")
    assert answer is not None
    seen = read(answer)
    assert (seen.rcode, seen.question) == ("NOERROR", ())
    assert seen.options[COOKIE][:8] == CLIENT


def broken(length: int) -> Case:
    """A cookie of a length that none has."""
    return Case(
        f"7873-length{length}", "RFC 7873 5.2.2", f"a cookie of {length} octets", BROKEN,
        query("bad.example", edns=opt(options=option(COOKIE, bytes(length)))), needs=NEEDS,
    )  # fmt: skip


CASES = (
    Case("7873-5.2.3", "RFC 7873 5.2.3", "a client's cookie is answered by one", probe=given, needs=NEEDS),
    Case("7873-5.2.5", "RFC 7873 5.2.5", "which is good from then on", probe=taken, needs=NEEDS),
    Case("7873-5.2.4", "RFC 7873 5.2.4", "for this client alone", probe=of_another, needs=NEEDS),
    Case("7873-5.4", "RFC 7873 5.4", "no question but a cookie", probe=alone, needs=NEEDS),
    Case("9018-4.2", "RFC 9018 4.2", "others of an anycast set can read it", probe=interoperable, needs=NEEDS),
    *(broken(length) for length in (0, 1, 7, 9, 15, 41)),
)
