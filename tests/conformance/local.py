"""Names that the edge answers itself: RFC 6303, 6761, 7050, 9462, 9606, CHAOS, and the signals of browsers and devices."""

from __future__ import annotations

from tests.conformance.case import Case, Want
from tests.conformance.packet import query, read
from tests.conformance.place import RESOLVER_NAME, SCHOOL, VERSION, Place
from tests.conformance.transports import Transport

OWN = "qr aa ra rd"
"""The edge is the authority for what nobody else can answer."""
RESINFO = 261
INSIDE = (
    "host.invalid", "service.onion", "printer.local", "router.home.arpa", "name.alt", "host.test", "x.resolver.arpa",
    "1.0.0.10.in-addr.arpa", "1.1.168.192.in-addr.arpa", "1.0.64.100.in-addr.arpa", "9.0.0.127.in-addr.arpa",
)  # fmt: skip


def one(ident: str, standard: str, title: str, packet: bytes, want: Want, source: str = "127.0.0.1") -> Case:
    """A case of one packet."""
    return Case(ident, standard, title, want, packet, source=source)


def denied(zone: str, flags: str = OWN, ede: int = 0) -> Want:
    """The answer that there is no such name in a zone of the edge's."""
    return Want("NXDOMAIN", flags=flags, answers=0, soa=zone, edns=True, ede=ede)


def kept_inside(at: Place, transport: Transport) -> None:
    """None of these names reaches an upstream."""
    for name in INSIDE:
        answer = transport.ask(query(name, "PTR" if name.endswith("in-addr.arpa") else "A"), "127.0.0.1")
        assert answer is not None
        assert read(answer).rcode == "NXDOMAIN", name
        assert at.upstream.queries(name) == [], name


def forwarded(at: Place, transport: Transport) -> None:
    """The name by which DNS64 is found is the upstream's to answer."""
    assert transport.ask(query("ipv4only.arpa", "AAAA"), "127.0.0.1")
    assert at.upstream.queries("ipv4only.arpa")


# fmt: off
CASES = (
    one("6761-localhost", "RFC 6761 6.3", "localhost is this host", query("localhost"), Want(flags=OWN, answers=1, holds=(r"A 127\.0\.0\.1$",), edns=True)),
    one("6761-localhost-below", "RFC 6761 6.3", "and all below it", query("a.b.localhost", "AAAA"), Want(flags=OWN, answers=1, holds=("AAAA ::1$",), edns=True)),
    one("6761-localhost-type", "RFC 6761 6.3", "of no other type", query("localhost", "MX"), Want(flags=OWN, answers=0, soa="localhost.", edns=True)),
    one("6761-invalid", "RFC 6761 6.4", "invalid does not exist", query("host.invalid"), denied("invalid.")),
    one("7686-onion", "RFC 7686 2", "nor does onion", query("service.onion"), denied("onion.")),
    one("8375-home", "RFC 8375 4", "home.arpa is answered here", query("router.home.arpa"), denied("home.arpa.")),
    one("6303-private", "RFC 6303 4.1", "private reverse zones are answered here", query("1.0.0.10.in-addr.arpa", "PTR"), denied("10.in-addr.arpa.")),
    one("6303-loopback", "RFC 6303 4.2", "the loopback leads back to localhost", query("1.0.0.127.in-addr.arpa", "PTR"), Want(flags=OWN, answers=1, holds=(r"PTR localhost\.",), edns=True)),
    one("6303-v6", "RFC 6303 4.4", "so are those of IPv6", query("1.0.d.f.ip6.arpa", "PTR"), denied("d.f.ip6.arpa.")),
    one("6303-rd0", "RFC 6303 3", "without recursion as well", query("1.0.0.10.in-addr.arpa", "PTR", flags=""), denied("10.in-addr.arpa.", "qr aa ra")),
    Case("6303-inside", "RFC 6303 3", "none of it is forwarded", probe=kept_inside),
    Case("7050-3", "RFC 7050 3", "ipv4only.arpa is forwarded", probe=forwarded),
    one("9462-4", "RFC 9462 4", "where this resolver is found encrypted", query("_dns.resolver.arpa", "SVCB"), Want(flags=OWN, holds=(rf"SVCB 1 {RESOLVER_NAME}\. alpn=",), edns=True)),
    one("9462-6.4", "RFC 9462 6.4", "resolver.arpa is answered here", query("x.resolver.arpa"), denied("resolver.arpa.")),
    one("9606-3", "RFC 9606 3", "what this resolver says of itself", query("resolver.arpa", RESINFO), Want(flags=OWN, answers=1, holds=("exterr=",), edns=True)),
    one("4892-version", "RFC 4892 2", "CHAOS: the version that was configured", query("version.bind", "TXT", rdclass=3), Want(flags=OWN, answers=1, holds=(VERSION,), edns=True)),
    one("4892-hostname", "RFC 4892 2", "and nothing that was not", query("hostname.bind", "TXT", rdclass=3), Want("REFUSED", answers=0, edns=True, ede=None)),
    one("4892-in", "RFC 4892 2", "in class IN they are names like any other", query("version.bind", "TXT"), Want(edns=True)),
    one("canary", "browsers' canary", "a browser keeps to this resolver", query("use-application-dns.net"), denied("use-application-dns.net.", "qr ra rd")),
    one("relay", "private relay", "at school, no relay", query("mask.icloud.com"), denied("mask.icloud.com.", "qr ra rd", 17), SCHOOL),
    one("relay-elsewhere", "private relay", "elsewhere it is nobody's business", query("mask.icloud.com"), Want(answers=1, edns=True)),
    one("safe-search", "SafeSearch", "at school, a search is safe", query("www.google.com"), Want(holds=(r"CNAME forcesafesearch\.google\.com\.",), edns=True, ede=None), SCHOOL),
    one("safe-search-elsewhere", "SafeSearch", "elsewhere it is as it is", query("www.google.com"), Want(answers=1, lacks=("forcesafesearch",), edns=True)),
)
# fmt: on
