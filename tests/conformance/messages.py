"""Headers, questions and EDNS written octet by octet: RFC 1035, 2136, 6891, 6895, 8482, 8906 and what is no query."""

from __future__ import annotations

import struct

from tests.conformance.case import Case, Need, Want
from tests.conformance.packet import ECS, header, opt, option, query, question, wire
from tests.conformance.place import STRANGER

BARE = Want("FORMERR", flags="qr rd", question=False, answers=0, edns=False)
"""A header alone: what cannot be read is not repeated (RFC 8906 3.1.3)."""
CLEAN = Want(answers=1, edns=True, options=())
LISTED = Want("NXDOMAIN", answers=0, soa="bad.example.", edns=True, ede=16)
NAME = "www.ok.example"
ASK = question(NAME)


def rdata(options: bytes, length: int | None = None) -> bytes:
    """An OPT record whose length may lie."""
    return opt()[:-2] + struct.pack("!H", len(options) if length is None else length) + options


def one(ident: str, standard: str, title: str, packet: bytes, want: Want | None = BARE, alike: bool = True) -> Case:
    """A case of one packet."""
    return Case(ident, standard, title, want, packet, alike=alike)


# fmt: off
HEADERS = (
    one("1035-empty", "RFC 1035 4.1.1", "no octets but a few", b"\x12", None),
    one("1035-short", "RFC 1035 4.1.1", "a header cut short", header()[:11], None),
    one("1035-response", "RFC 5625 4.1", "an answer instead of a query", header("qr rd") + ASK, None),
    one("1035-response-listed", "RFC 5625 4.1", "an answer about a listed name", header("qr") + question("bad.example"), None),
    one("1035-qd0", "RFC 1035 4.1.2", "no question", header(counts=(0, 0, 0, 0))),
    one("7873-5.4-no-cookie", "RFC 7873 5.4", "no question and no cookie", header(counts=(0, 0, 0, 1)) + opt()),
    one("1035-qd2", "RFC 9619 4", "two questions", header(counts=(2, 0, 0, 0)) + ASK + ASK),
    one("1035-qd2-listed", "RFC 9619 4", "a clean question and a listed one", header(counts=(2, 0, 0, 0)) + ASK + question("bad.example")),
    one("1035-qdmany", "RFC 9619 4", "more questions than octets", header(counts=(65535, 0, 0, 0)) + ASK),
    one("1035-answer", "RFC 1035 4.1", "a query with an answer", header(counts=(1, 1, 0, 0)) + ASK + b"\xc0\x0c" + bytes(10)),
    one("1035-authority", "RFC 1035 4.1", "a query with an authority", header(counts=(1, 0, 1, 0)) + ASK + b"\xc0\x0c" + bytes(10)),
    one("1035-trailing", "RFC 1035 4.1", "octets behind the message", query(NAME) + b"\0"),
    one("1035-cut", "RFC 1035 4.1.2", "a question cut short", query(NAME, edns=None)[:-1]),
    one("1035-counted", "RFC 1035 4.1", "an additional record that is not there", header(counts=(1, 0, 0, 1)) + ASK),
    *(
        one(f"1035-opcode{opcode}", "RFC 8906 3.1.4", f"opcode {opcode}", header("rd", opcode) + ASK, Want("NOTIMP", flags="qr rd", question=False, answers=0, edns=False))
        for opcode in (1, 2, 3, 4, 5, 6, 7, 14, 15)
    ),
    one(
        "2136-update-listed",
        "RFC 2136 3.8",
        "an update of a listed name",
        header("", 5) + question("bad.example", "SOA"),
        Want("NOTIMP", flags="qr", question=False, answers=0, edns=False),
    ),
    one("1035-aa", "RFC 1035 4.1.1", "AA, TC and RA mean nothing in a query", query(NAME, flags="aa tc ra rd"), CLEAN),
    one("1035-id0", "RFC 1035 4.1.1", "an id of 0", query(NAME, ident=0), CLEAN),
    one("8906-3.1.3-z", "RFC 8906 3.1.3", "the reserved bit is not repeated", query(NAME, flags="rd z"), CLEAN),
)

QUESTIONS = (
    one("1035-case", "RFC 1035 2.3.3", "the question's letters come back", query("wWw.OK.eXample"), CLEAN),
    one("1035-case-listed", "RFC 1035 2.3.3", "and those of a listed name", query("wWw.BAD.eXample"), LISTED),
    one("1035-root", "RFC 1035 3.1", "the root", query(".", "NS"), Want(edns=True), alike=False),
    one("1035-label63", "RFC 1035 2.3.4", "a label of 63 octets", query("a" * 63 + ".ok.example"), CLEAN),
    one("1035-label64", "RFC 1035 2.3.4", "a label of 64", header() + b"\x40" + b"a" * 64 + b"\0\0\1\0\1"),
    one("1035-name255", "RFC 1035 2.3.4", "a name of 255 octets", query(".".join(["a" * 63] * 3 + ["b" * 61]), edns=None), Want(answers=1, edns=False)),
    one("1035-name256", "RFC 1035 2.3.4", "a name of 256", header() + question(".".join(["a" * 63] * 3 + ["b" * 62]))),
    one("1035-labels127", "RFC 1035 2.3.4", "127 labels", query(".".join(["a"] * 127)), Want(edns=True), alike=False),
    one("1035-pointer", "RFC 1035 4.1.4", "a compressed question", header() + b"\xc0\x0c\0\1\0\1"),
    one("1035-pointer-header", "RFC 1035 4.1.4", "compressed against the header", header() + b"\1a\xc0\x00\0\1\0\1"),
    one("1035-label80", "RFC 6891 5", "an extended label", header() + b"\x41" + bytes(40)),
    one("2181-binary", "RFC 2181 11", "octets that are no letters", header() + b"\4\0\xff.\\\2ok\7example\0\0\1\0\1", Want(edns=False), alike=False),
    one("6895-type0", "RFC 6895 3.1", "type 0", query(NAME, 0)),
    one("6895-class0", "RFC 6895 3.2", "class 0", query(NAME, rdclass=0)),
    one("6891-type-opt", "RFC 6891 6.1.1", "OPT as a type", query(NAME, 41)),
    *(
        one(f"6895-class{number}", "RFC 6895 3.2", f"class {word}", query(NAME, rdclass=number), Want("REFUSED", answers=0, edns=True), alike=True)
        for number, word in ((2, "2, unassigned"), (3, "CH"), (4, "HS"), (254, "NONE"), (255, "ANY"), (65280, "65280, private"))
    ),
    one("6895-class-listed", "RFC 6895 3.2", "the list speaks of class IN alone", query("bad.example", rdclass=3), Want("REFUSED", answers=0, edns=True, lacks=("SOA",))),
    *(
        one(f"3597-type{number}", "RFC 3597 3", f"type {number}", query(NAME, number), Want(answers=0, soa="ok.example.", edns=True))
        for number in (256, 1000, 32770, 65280, 65534)
    ),
    *(
        one(f"6895-{name}", standard, f"{name}, a type of more than one", query(NAME, number), Want("NOTIMP", answers=0, edns=True))
        for name, number, standard in (
            ("TKEY", 249, "RFC 2930"),
            ("TSIG", 250, "RFC 8945"),
            ("IXFR", 251, "RFC 1995"),
            ("AXFR", 252, "RFC 5936 2.2"),
            ("MAILB", 253, "RFC 6895 3.1"),
            ("MAILA", 254, "RFC 6895 3.1"),
        )
    ),
    one("8482-any", "RFC 8482 4.2", "ANY is answered minimally", query(NAME, "ANY"), Want(answers=1, holds=(r'HINFO "RFC8482" ""',), edns=True, soa="")),
    one("8482-any-do", "RFC 8482 4.2", "with DO too", query(NAME, "ANY", edns=opt(flags=0x8000)), Want(answers=1, edns=True, do=True)),
    one("8482-any-listed", "RFC 8482 4.2", "of a listed name the list speaks", query("bad.example", "ANY"), LISTED),
)

RECURSION = (
    one("1035-rd0", "RFC 5358 4", "RD=0 asks what others asked: refused", query(NAME, flags=""), Want("REFUSED", flags="qr ra", answers=0, edns=True, ede=18)),
    one(
        "1035-rd0-listed",
        "RFC 8906 3.1.3",
        "of a listed name there is an answer here",
        query("bad.example", flags=""),
        Want("NXDOMAIN", flags="qr ra", answers=0, soa="bad.example.", edns=True, ede=16),
    ),
    one("1035-rd0-any", "RFC 5358 4", "RD=0 and ANY", query(NAME, "ANY", flags=""), Want("REFUSED", flags="qr ra", answers=0, edns=True, ede=18)),
    Case("5358-stranger", "RFC 5358 4", "a stranger is refused, whatever it asks", Want("REFUSED", answers=0, edns=True, ede=18), query("bad.example"), source=STRANGER),
    Case(
        "5358-stranger-broken",
        "RFC 5358 4",
        "and what it sends is not read further",
        Want("REFUSED", flags="qr rd", question=False, edns=False),
        query(NAME) + b"\0",
        source=STRANGER,
    ),
    Case("5358-stranger-answer", "RFC 5358 4", "a stranger's answer gets silence", None, header("qr") + ASK, source=STRANGER),
)

EDNS = (
    one("6891-none", "RFC 6891 7", "no OPT to who sent none", query(NAME, edns=None), Want(answers=1, edns=False)),
    one("6891-none-listed", "RFC 6891 7", "and none in an answer of policy", query("bad.example", edns=None), Want("NXDOMAIN", soa="bad.example.", edns=False)),
    one("6891-size0", "RFC 6891 6.2.3", "a size of 0 means 512", query(NAME, edns=opt(0)), CLEAN),
    one("6891-size-most", "RFC 6891 6.2.3", "a size of 65535", query(NAME, edns=opt(65535)), CLEAN),
    one("6891-two", "RFC 6891 6.1.1", "two OPT", header(counts=(1, 0, 0, 2)) + ASK + opt() + opt()),
    one("6891-owner", "RFC 6891 6.1.2", "an OPT that has an owner", header(counts=(1, 0, 0, 1)) + ASK + opt(owner=wire("a"))),
    one("6891-section", "RFC 6891 6.1.1", "an OPT among the answers", header(counts=(1, 1, 0, 0)) + ASK + opt()),
    one("6891-cut", "RFC 6891 6.1.2", "an OPT cut short", query(NAME)[:-1]),
    one("6891-rdlength", "RFC 6891 6.1.2", "options beyond the message", header(counts=(1, 0, 0, 1)) + ASK + rdata(b"", 4)),
    one("6891-option-cut", "RFC 6891 6.1.2", "half an option", header(counts=(1, 0, 0, 1)) + ASK + rdata(b"\0\x64")),
    one("6891-option-length", "RFC 6891 6.1.2", "an option longer than its OPT", header(counts=(1, 0, 0, 1)) + ASK + rdata(b"\0\x64\0\5abcd")),
    one("6891-option-empty", "RFC 6891 6.1.2", "an option without data", query(NAME, edns=opt(options=option(100))), CLEAN),
    one("6891-options-many", "RFC 6891 6.1.2", "a hundred options", query(NAME, edns=opt(options=option(100, b"ab") * 100)), CLEAN),
    one(
        "6891-version-options",
        "RFC 6891 6.1.3",
        "options of another version are not read",
        query(NAME, edns=opt(version=1, options=b"\0\x64\0\xff")[:-4] + b"\0\x64\0\0"),
        Want("BADVERS", answers=0, edns=True),
    ),
    one("6891-version255", "RFC 6891 6.1.3", "version 255", query(NAME, edns=opt(version=255)), Want("BADVERS", answers=0, edns=True)),
    one("6891-flags", "RFC 6891 6.1.4", "flags without a meaning are not repeated", query(NAME, edns=opt(flags=0x7FFF)), CLEAN),
    one("6891-do", "RFC 3225 3", "DO comes back", query(NAME, edns=opt(flags=0x8000)), Want(answers=1, edns=True, do=True)),
    one("6891-rcode", "RFC 6891 6.1.3", "an extended RCODE in a query means nothing", query(NAME, edns=opt()[:5] + b"\xff" + opt()[6:]), CLEAN),
    one("1035-additional", "RFC 1035 4.1", "another additional record does no harm", header(counts=(1, 0, 0, 2)) + ASK + opt() + b"\0\xff\0\0\xff\0\0\0\0\0\0", CLEAN),
    one("6891-additionals", "RFC 1035 4.1", "nine additional records", header(counts=(1, 0, 0, 9)) + ASK + b"\0\0\xfa\0\xff\0\0\0\0\0\0" * 9),
    one("7871-echo", "RFC 7871 7.2.1", "client subnet is not answered", query(NAME, edns=opt(options=option(ECS, b"\0\1\x18\0\xc0\0\2"))), CLEAN),
    one("7830-plain", "RFC 7830 6", "padding is taken without a word", query(NAME, edns=opt(options=option(12, bytes(60)))), Want(answers=1, edns=True), alike=False),
    one("8914-asked", "RFC 8914 2", "an extended error in a query means nothing", query(NAME, edns=opt(options=option(15, b"\0\0"))), CLEAN),
)

# Each transport may pad an encrypted answer; a plain one is never padded.
PADDING = (
    Case(
        "8467-padded",
        "RFC 8467 4.1",
        "an encrypted answer is padded to 468 octets where padding was asked for",
        Want(answers=1, edns=True, options=(12,), size=(468, 468)),
        query(NAME, edns=opt(options=option(12))),
        needs=(Need.PADDING,),
    ),
    Case(
        "8467-padded-listed",
        "RFC 8467 4.1",
        "of a listed name too",
        Want("NXDOMAIN", edns=True, ede=16, options=(12,), size=(468, 468)),
        query("bad.example", edns=opt(options=option(12))),
        needs=(Need.PADDING,),
    ),
    Case("8467-not-asked", "RFC 7830 4", "and is not where it was not", Want(answers=1, edns=True, options=()), query(NAME), needs=(Need.PADDING,)),
)
# fmt: on

CASES = (*HEADERS, *QUESTIONS, *RECURSION, *EDNS, *PADDING)
