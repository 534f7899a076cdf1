"""What the list does to an answer: RFC 8020 and 6604, extended errors, every type and flag, chains and services."""

from __future__ import annotations

import json

from tests.conformance.case import Case, Want
from tests.conformance.packet import EDE, opt, option, query, read
from tests.conformance.place import SCHOOL, Place
from tests.conformance.transports import Transport

DO = opt(flags=0x8000)
FORGED = r"192\.0\.2\.66"


def blocked(owner: str = "bad.example.", *, flags: str = "qr ra rd", do: bool = False, ede: int = 16) -> Want:
    """The answer about a listed name."""
    return Want("NXDOMAIN", flags=flags, answers=0, soa=owner, ttl_most=10, edns=True, do=do, ede=ede)


def one(ident: str, standard: str, title: str, packet: bytes, want: Want, source: str = "127.0.0.1") -> Case:
    """A case of one packet."""
    return Case(ident, standard, title, want, packet, source=source)


def referred(at: Place, transport: Transport) -> None:
    """Who sends an empty extended error, over TLS, is told whom to turn to; over what could be forged nobody is."""
    answer = transport.ask(query("bad.example", edns=opt(options=option(EDE, b"\0\0"))), "127.0.0.1")
    assert answer is not None
    seen = read(answer)
    assert (seen.rcode, seen.ede) == ("NXDOMAIN", (16,))
    text = seen.options[EDE][2:]
    if transport.encrypted:
        told = json.loads(text)
        assert told["c"] == list(at.edge.settings["contacts"]["uris"])
        assert {"c", "j", "o", "l"} == told.keys()
    else:
        assert text == b""


CASES = (
    one("8020-listed", "RFC 8020 2", "a listed name does not exist", query("bad.example"), blocked()),
    one("8020-below", "RFC 8020 2", "nor anything below it: the SOA is the listed name's", query("a.b.c.bad.example"), blocked()),
    one("8020-deep", "RFC 8020 2", "however deep", query(".".join(["d"] * 100) + ".bad.example"), blocked()),
    one("8020-beside", "RFC 8020 2", "a name that only ends alike is another", query("notbad.example"), Want(answers=1, edns=True)),
    one("8020-parent", "RFC 8020 2", "what is above is untouched", query("example", "NS"), Want(edns=True)),
    *(
        one(f"8020-{rdtype}", "all types alike", f"{rdtype} of a listed name", query("www.bad.example", rdtype), blocked())
        for rdtype in ("AAAA", "HTTPS", "SVCB", "MX", "TXT", "NS", "SOA", "CNAME", "SRV", "DS", "DNSKEY", "CAA", "PTR")
    ),
    one("8020-do", "RFC 4035 3.2", "DO changes nothing but DO", query("www.bad.example", edns=DO), blocked(do=True)),
    one("8020-cd", "RFC 4035 3.2.2", "CD changes nothing but CD", query("www.bad.example", flags="rd cd"), blocked(flags="qr ra rd cd")),
    one("8020-ad", "RFC 6840 5.8", "AD is never set on an answer of policy", query("www.bad.example", flags="rd ad", edns=DO), blocked(do=True)),
    one(
        "8020-holed", "RFC 8020 2", "with an exception below, NODATA of the name asked", query("holed.example"),
        Want(answers=0, soa="holed.example.", ttl_most=10, edns=True, ede=16),
    ),
    one(
        "8020-holed-below", "RFC 8020 2", "and of what is beside the exception", query("other.holed.example"),
        Want(answers=0, soa="other.holed.example.", ttl_most=10, edns=True, ede=16),
    ),
    one("8020-excepted", "RFC 8020 2", "the exception lives", query("fine.holed.example"), Want(answers=1, edns=True)),
    one("8020-excepted-below", "RFC 8020 2", "and what is below it", query("www.fine.holed.example"), Want(answers=1, edns=True)),
    one(
        "8020-exact", "RFC 8020 2", "a rule on a name alone denies the name alone", query("exact.example"),
        Want(answers=0, soa="exact.example.", ttl_most=10, edns=True, ede=16),
    ),
    one("8020-exact-below", "RFC 8020 2", "what is below it lives", query("www.exact.example"), Want(answers=1, edns=True)),
    one("8914-16", "RFC 8914 4.17", "Censored: mandated", query("worse.example"), blocked("worse.example.")),
    one("8914-17", "RFC 8914 4.18", "Filtered: a school's wish", query("school-only.example"), blocked("school-only.example.", ede=17), SCHOOL),
    one("8914-mandated-school", "RFC 8914 4.17", "what is mandated stays Censored at school", query("bad.example"), blocked(), SCHOOL),
    Case("8914-referred", "draft-ietf-dnsop-structured-dns-error 5", "contacts, to who asks for them", probe=referred),
    one("8914-none", "RFC 8914 2", "nobody else is filtered by a school's wish", query("school-only.example"), Want(answers=1, edns=True)),
    one(
        "6604-cname", "RFC 6604 3", "a chain to a listed name: kept, RCODE and SOA of its end", query("chain-%T.ok.example"),
        Want("NXDOMAIN", answers=1, holds=(r"^chain-..\.ok\.example\. CNAME www\.bad\.example\.",), lacks=(FORGED,), soa="bad.example.", edns=True, ede=16),
    ),
    one(
        "6604-type", "RFC 6604 3", "for every type", query("chain-%T.ok.example", "AAAA"),
        Want("NXDOMAIN", answers=1, holds=("CNAME www.bad.example.",), soa="bad.example.", edns=True, ede=16),
    ),
    one(
        "6604-cname-type", "RFC 6604 3", "for CNAME itself", query("chain-%T.ok.example", "CNAME"),
        Want("NXDOMAIN", answers=1, holds=("CNAME www.bad.example.",), lacks=(FORGED,), soa="bad.example.", edns=True, ede=16),
    ),
    one(
        "6604-long", "RFC 6604 3", "a chain of three", query("far-%T.ok.example"),
        Want("NXDOMAIN", answers=3, holds=("CNAME hop", "CNAME next", "CNAME deep.bad"), lacks=(FORGED,), soa="bad.example.", edns=True, ede=16),
    ),
    one(
        "6604-dname", "RFC 6672 3.4", "a DNAME to a listed name", query("below-%T.sub.ok.example"),
        Want("NXDOMAIN", holds=(r"CNAME below-..\.bad\.example\.",), lacks=(FORGED,), soa="bad.example.", edns=True, ede=16),
    ),
    one(
        "6604-turn", "RFC 6604 3", "a chain without an end, by way of a listed name", query("turn-%T.ok.example"),
        Want("NXDOMAIN", answers=1, holds=("CNAME www.bad.example.",), soa="bad.example.", edns=True, ede=16),
    ),
    one(
        "6604-clean", "RFC 6604 2", "a chain to a clean name passes", query("alias-%T.ok.example"),
        Want(answers=2, holds=("CNAME hop.ok.example.", r"A 192\.0\.2\.1"), edns=True),
    ),
    one(
        "6604-no-opt", "RFC 6604 3", "without EDNS too", query("chain-%T.ok.example", "MX", edns=None),
        Want("NXDOMAIN", answers=1, soa="bad.example.", edns=False),
    ),
    one(
        "9460-target", "RFC 9460 2.4", "a service at a listed name: none of this type", query("service-%T.ok.example", "HTTPS"),
        Want(answers=0, lacks=("cdn",), edns=True, ede=16),
    ),
)  # fmt: skip
