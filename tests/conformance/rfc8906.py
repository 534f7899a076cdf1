"""RFC 8906 section 8, test by test, with the commands of the RFC itself.

A recursive server is asked: `+rec` stands where the RFC asks an authoritative server with `+norec`, and AA is not
expected. Each is asked of a clean name and, where an answer of policy could differ, of a listed one.
"""

from __future__ import annotations

from tests.conformance.case import Case, Need, Want
from tests.conformance.packet import NSID

SOA = r"^ok.example. SOA "
OPT_100 = 100
NEEDS = (Need.DIG,)
PLAIN = ("+noedns", "+noad")
EDNS = ("+nocookie", "+edns=0", "+noad")
LATER = ("+nocookie", "+edns=1", "+noednsneg", "+noad")
ZONE = ("+rec", "soa", "ok.example")
BADVERS = Want("BADVERS", answers=0, lacks=("SOA",), edns=True)


def dig(number: str, title: str, words: tuple[str, ...], want: Want, datagram: Want | None = None) -> Case:
    """A test of section 8."""
    return Case(f"8906-{number}", f"RFC 8906 {number}", title, want, dig=words, datagram=datagram, needs=NEEDS)


CASES = (
    dig("8.1.1", "an existing type, without EDNS", (*PLAIN, *ZONE), Want(holds=(SOA,), edns=False)),
    dig("8.1.2", "an unknown type", (*PLAIN, "+rec", "type1000", "ok.example"), Want(answers=0, edns=False)),
    dig("8.1.3.1", "CD=1", (*PLAIN, "+cd", *ZONE), Want(flags="qr rd ra cd", holds=(SOA,), edns=False)),
    dig("8.1.3.2", "AD=1", ("+noedns", "+ad", *ZONE), Want(holds=(SOA,), edns=False)),
    dig("8.1.3.3", "the reserved bit", (*PLAIN, "+zflag", *ZONE), Want(holds=(SOA,), edns=False)),
    dig("8.1.3.4", "RD=1", (*PLAIN, *ZONE), Want(holds=(SOA,), edns=False)),
    dig(
        "8.1.4", "an unknown opcode", (*PLAIN, "+opcode=15", "+norec", "+header-only"),
        Want("NOTIMP", flags="qr", question=False, answers=0, edns=False),
    ),
    dig("8.1.5", "the same by TCP", (*PLAIN, "+tcp", *ZONE), Want(holds=(SOA,), edns=False)),
    dig("8.2.1", "EDNS", (*EDNS, *ZONE), Want(holds=(SOA,), edns=True, options=())),
    dig("8.2.2", "an unknown EDNS version", (*LATER, *ZONE), BADVERS),
    dig("8.2.3", "an unknown option", (*EDNS, "+ednsopt=100", *ZONE), Want(holds=(SOA,), edns=True, options=())),
    dig("8.2.4", "unknown EDNS flags", (*EDNS, "+ednsflags=0x40", *ZONE), Want(holds=(SOA,), edns=True)),
    dig("8.2.5", "another version with unknown flags", (*LATER, "+ednsflags=0x40", *ZONE), BADVERS),
    dig("8.2.6", "another version with an unknown option", (*LATER, "+ednsopt=100", *ZONE), BADVERS),
    dig(
        "8.2.7", "an answer that does not fit", (*EDNS, "+rec", "+dnssec", "+bufsize=512", "+ignore", "txt", "big.ok.example"),
        Want(answers=1, edns=True, do=True),
        datagram=Want(flags="qr rd ra tc", answers=0, edns=True, do=True),
    ),
    dig("8.2.8", "DO=1", (*EDNS, "+dnssec", *ZONE), Want(holds=(SOA,), edns=True, do=True)),
    dig(
        "8.2.9", "another version with DO=1", (*LATER, "+dnssec", *ZONE),
        Want("BADVERS", answers=0, lacks=("SOA",), edns=True, do=True),
    ),
    dig(
        "8.2.10", "several options that are known somewhere",
        ("+edns=0", "+noad", "+nocookie", "+nsid", "+expire", "+subnet=0.0.0.0/0", *ZONE),
        Want(holds=(SOA,), edns=True, options=()),
    ),
    dig(
        "8.2.11", "all of it together",
        ("+edns=0", "+nocookie", "+ad", "+cd", "+zflag", "+dnssec", "+ednsflags=0x40", f"+ednsopt={NSID}", "+ednsopt=100", *ZONE),
        Want(flags="qr rd ra cd", holds=(SOA,), edns=True, do=True, options=()),
    ),
    # The same of a listed name: policy answers as any other part of the edge does.
    dig(
        "8.1.2-listed", "an unknown type of a listed name", (*PLAIN, "+rec", "type1000", "www.bad.example"),
        Want("NXDOMAIN", answers=0, soa="bad.example.", edns=False),
    ),
    dig(
        "8.1.3-listed", "every flag, of a listed name", ("+noedns", "+ad", "+cd", "+zflag", "+rec", "a", "www.bad.example"),
        Want("NXDOMAIN", flags="qr rd ra cd", answers=0, soa="bad.example.", edns=False),
    ),
    dig("8.2.2-listed", "an unknown EDNS version, of a listed name", (*LATER, "+rec", "a", "www.bad.example"), BADVERS),
    dig(
        "8.2.11-listed", "all of EDNS, of a listed name",
        ("+edns=0", "+nocookie", "+noad", "+dnssec", "+ednsflags=0x40", "+ednsopt=100", "+subnet=0.0.0.0/0", "+rec", "a", "www.bad.example"),
        Want("NXDOMAIN", answers=0, soa="bad.example.", edns=True, do=True, ede=16, options=()),
    ),
)  # fmt: skip
