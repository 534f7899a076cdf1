"""What is answered here, as configured: the standards' zones, signals, the operator's data, the resolver's names."""

from __future__ import annotations

import dns.message
import dns.rcode
import pytest

from lachan.config import ConfigError, parse
from lachan.labels import wire_name
from resolver import localzones
from resolver.designated import Endpoint
from resolver.local import CheckPage, LocalSettings, compile_locals
from tests.support.packets import error_code, question, read

PROFILES = ("default", "school")
OWN = LocalSettings(name="DNS.operator.example.", addresses=("192.0.2.53", "2001:db8::53"))
ENDPOINTS = (Endpoint("dot", 853), Endpoint("doh", 443))


def look(
    name: str, rdtype: str = "A", *, settings: LocalSettings = OWN, profile: int = 0, rdclass: str = "IN"
) -> tuple[str, dns.message.Message]:
    table = compile_locals(settings, PROFILES, ENDPOINTS)
    way, answer = table.lookup(question(name, rdtype, rdclass=rdclass), profile)
    return way, read(answer) if way == "answer" else dns.message.Message()


def told(name: str, rdtype: str = "A", *, settings: LocalSettings = OWN, profile: int = 0) -> str:
    """`on`, `ask`, or RCODE and owner of the SOA, or the records' data."""
    way, message = look(name, rdtype, settings=settings, profile=profile)
    if way != "answer":
        return way
    if message.answer:
        return " ".join(rrset[0].to_text() for rrset in message.answer)
    return f"{dns.rcode.to_text(message.rcode())} {message.authority[0].name}"


def settings(text: str) -> LocalSettings:
    return parse(text, LocalSettings)


@pytest.mark.parametrize(
    ("name", "rdtype", "expected"),
    [
        # RFC 6761, 6762, 7686, 8375, 9476.
        ("localhost", "A", "127.0.0.1"),
        ("a.b.localhost", "AAAA", "::1"),
        ("a.localhost", "MX", "NOERROR localhost."),
        ("www.test", "A", "NXDOMAIN test."),
        ("test", "A", "NOERROR test."),
        ("x.invalid", "A", "NXDOMAIN invalid."),
        ("x.onion", "A", "NXDOMAIN onion."),
        ("printer.local", "A", "NXDOMAIN local."),
        ("router.home.arpa", "A", "NXDOMAIN home.arpa."),
        ("home.arpa", "DS", "on"),
        ("x.alt", "A", "NXDOMAIN alt."),
        # Not special to a resolver.
        ("www.example", "A", "on"),
        ("ipv4only.arpa", "AAAA", "on"),
        ("arpa", "NS", "on"),
        # RFC 6303, RFC 7793.
        ("1.2.0.10.in-addr.arpa", "PTR", "NXDOMAIN 10.in-addr.arpa."),
        ("1.0.16.172.in-addr.arpa", "PTR", "NXDOMAIN 16.172.in-addr.arpa."),
        ("1.0.32.172.in-addr.arpa", "PTR", "on"),
        ("1.1.168.192.in-addr.arpa", "PTR", "NXDOMAIN 168.192.in-addr.arpa."),
        ("1.1.127.100.in-addr.arpa", "PTR", "NXDOMAIN 127.100.in-addr.arpa."),
        ("1.1.128.100.in-addr.arpa", "PTR", "on"),
        ("1.2.0.192.in-addr.arpa", "PTR", "NXDOMAIN 2.0.192.in-addr.arpa."),
        ("255.255.255.255.in-addr.arpa", "PTR", "NOERROR 255.255.255.255.in-addr.arpa."),
        ("1.0.0.127.in-addr.arpa", "PTR", "localhost."),
        ("2.0.0.127.in-addr.arpa", "PTR", "NXDOMAIN 127.in-addr.arpa."),
        (f"1.{'0.' * 31}ip6.arpa", "PTR", "localhost."),
        (f"2.{'0.' * 31}ip6.arpa", "PTR", "on"),
        ("1.d.f.ip6.arpa", "PTR", "NXDOMAIN d.f.ip6.arpa."),
        ("1.a.e.f.ip6.arpa", "PTR", "NXDOMAIN a.e.f.ip6.arpa."),
        ("1.c.e.f.ip6.arpa", "PTR", "on"),
        ("10.in-addr.arpa", "SOA", "10.in-addr.arpa. nobody.invalid. 1 3600 1200 604800 10800"),
        ("10.in-addr.arpa", "NS", "10.in-addr.arpa."),
        # RFC 9462: all of it.
        ("resolver.arpa", "A", "NOERROR resolver.arpa."),
        ("x.resolver.arpa", "A", "NXDOMAIN resolver.arpa."),
        ("_dns.resolver.arpa", "A", "NOERROR resolver.arpa."),
        # Signals.
        ("use-application-dns.net", "A", "NXDOMAIN use-application-dns.net."),
        ("mask.icloud.com", "A", "on"),
        ("www.google.com", "A", "on"),
        # The resolver's own.
        ("dns.operator.example", "A", "192.0.2.53"),
        ("dns.operator.example", "AAAA", "2001:db8::53"),
        ("dns.operator.example", "CAA", "on"),
        ("health.dns.operator.example", "TXT", '"ok"'),
        ("health.dns.operator.example", "A", "127.0.0.1"),
        ("4f9a1c2e7b.whoami.dns.operator.example", "TXT", "ask"),
        ("other.dns.operator.example", "A", "on"),
    ],
)
def test_what_is_answered_by_default(name: str, rdtype: str, expected: str) -> None:
    assert told(name, rdtype) == expected


def test_every_special_name_is_answered() -> None:
    for name in (*localzones.PRIVATE_ZONES, *localzones.SPECIAL_NAMES, localzones.RESOLVER_ARPA):
        assert look(name, "SOA")[0] == "answer", name
        assert look(f"x.y.{name}", "SRV")[0] == "answer", name


def test_names_for_trials_can_be_forwarded() -> None:
    chosen = settings("{special_names: [localhost, invalid], private_zones: false}")
    assert told("www.test", settings=chosen) == "on"
    assert told("1.0.0.10.in-addr.arpa", "PTR", settings=chosen) == "on"
    assert told("localhost", settings=chosen) == "127.0.0.1"
    assert told("localhost", settings=settings("special_names: []")) == "on"


def test_an_operators_own_reverse_zone_is_forwarded() -> None:
    chosen = settings("{forwarded: [20.10.in-addr.arpa], zones: [corp.example]}")
    assert told("1.20.10.in-addr.arpa", "PTR", settings=chosen) == "on"
    assert told("1.21.10.in-addr.arpa", "PTR", settings=chosen) == "NXDOMAIN 10.in-addr.arpa."
    assert told("x.corp.example", settings=chosen) == "NXDOMAIN corp.example."


def test_devices_that_ask_whether_they_may_pass_are_told_no_in_schools() -> None:
    for name in ("mask.icloud.com", "x.mask-h2.icloud.com"):
        _, message = look(name, profile=1)
        assert dns.rcode.to_text(message.rcode()) == "NXDOMAIN"
        assert error_code(message) == 17
        assert not message.answer
    assert told("icloud.com", profile=1) == "on"
    chosen = settings("bypass: {canary: false, private_relay_profiles: []}")
    assert told("use-application-dns.net", settings=chosen) == "on"
    assert told("mask.icloud.com", settings=chosen, profile=1) == "on"


def test_search_engines_have_their_aliases_in_schools() -> None:
    table = compile_locals(OWN, PROFILES)
    for rdtype in ("A", "AAAA", "HTTPS", "TXT"):
        query = question("WWW.google.com.vn", rdtype)
        assert table.lookup(query, 1) == ("rewrite", wire_name("forcesafesearch.google.com"))
        assert table.lookup(query, 0) == ("on", b"")
    # Only where the profile is: an edge without schools has no aliases.
    assert compile_locals(OWN, ("default",)).lookup(question("www.google.com.vn"), 0) == ("on", b"")


def test_the_operators_records() -> None:
    chosen = settings(
        """
        records:
          - {name: Portal.Example, type: A, value: 192.0.2.7, ttl: 60}
          - {name: portal.example, type: AAAA, value: "2001:db8::7"}
          - {name: www.portal.example, type: CNAME, value: portal.example.}
          - {name: note.example, type: TXT, value: "xin chào"}
          - {name: 7.2.0.192.in-addr.arpa, type: PTR, value: portal.example}
          - {name: help.example, type: A, value: 192.0.2.8, profiles: [school]}
          - {name: away.example, type: CNAME, value: elsewhere.example}
        """
    )
    assert told("portal.example", settings=chosen) == "192.0.2.7"
    assert told("portal.example", "MX", settings=chosen) == "NOERROR portal.example."
    assert told("www.portal.example", "AAAA", settings=chosen) == "portal.example. 2001:db8::7"
    assert told("note.example", "TXT", settings=chosen) == '"xin ch\\195\\160o"'
    assert told("7.2.0.192.in-addr.arpa", "PTR", settings=chosen) == "portal.example."
    assert told("6.2.0.192.in-addr.arpa", "PTR", settings=chosen) == "NXDOMAIN 2.0.192.in-addr.arpa."
    assert told("help.example", settings=chosen) == "on"
    assert told("help.example", settings=chosen, profile=1) == "192.0.2.8"
    assert told("away.example", settings=chosen) == "rewrite"


def test_chaos_is_told_what_was_configured_and_nothing_else() -> None:
    for name in ("version.bind", "version.server", "hostname.bind", "id.server"):
        assert look(name, "TXT", rdclass="CH")[0] == "on"
    chosen = settings("chaos: {version: none of your business}")
    for name, way in {"version.bind": "answer", "version.server": "answer", "id.server": "on"}.items():
        assert look(name, "TXT", settings=chosen, rdclass="CH")[0] == way
    _, message = look("version.bind", "TXT", settings=chosen, rdclass="CH")
    assert [rrset.to_text() for rrset in message.answer] == ['version.bind. 0 CH TXT "none of your business"']
    # In another class the name is another's.
    assert look("version.bind", "TXT", settings=chosen)[0] == "on"


def test_encrypted_endpoints_are_told_by_the_address_and_by_the_name() -> None:
    for name in ("_dns.resolver.arpa", "_dns.dns.operator.example"):
        _, message = look(name, "SVCB")
        hints = 'ipv4hint="192.0.2.53" ipv6hint="2001:db8::53"'
        assert [rrset[0].to_text() for rrset in message.answer] == [
            f'1 dns.operator.example. alpn="dot" {hints}',
            f'2 dns.operator.example. alpn="h2" {hints} dohpath="/dns-query{{?dns}}"',
        ]
        assert [rrset[0].to_text() for rrset in message.additional] == ["192.0.2.53", "2001:db8::53"]


def test_without_a_name_there_is_nobody_to_designate() -> None:
    nameless = LocalSettings()
    assert told("_dns.resolver.arpa", "SVCB", settings=nameless) == "NXDOMAIN resolver.arpa."
    assert told("resolver.arpa", "SVCB", settings=nameless) == "NOERROR resolver.arpa."
    assert nameless.whoami_zone is None
    assert OWN.whoami_zone == "whoami.dns.operator.example"


def test_the_resolver_tells_about_itself() -> None:
    chosen = settings(
        "{name: dns.operator.example, information: {qname_minimisation: true, info_url: https://dns.operator.example/}}"
    )
    for name in ("resolver.arpa", "dns.operator.example"):
        assert told(name, "RESINFO", settings=chosen) == (
            '"qnamemin" "exterr=3,13,14,15,16,17,18,19,22" "infourl=https://dns.operator.example/"'
        )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name: .", "root"),
        ("name: a..b", "label"),
        ("records: [{name: a.example, type: A, value: '2001:db8::1'}]", "2001:db8::1"),
        ("records: [{name: a.example, type: CNAME, value: b..c}]", "label"),
        ("records: [{name: a.example, type: MX, value: b}]", "type"),
        ("records: [{name: a.example, type: A, value: 192.0.2.1, ttl: -1}]", "ttl"),
        ("records: [{name: a.x, type: CNAME, value: b.x}, {name: b.x, type: CNAME, value: a.x}]", "no end"),
        ("records: [{name: a.x, type: CNAME, value: b.x}, {name: a.x, type: A, value: 192.0.2.1}]", "nothing else"),
        ("information: {info_url: http://dns.operator.example}", "info_url"),
        ("addresses: [dns.operator.example]", "addresses"),
        ("chaos: {secret: 1}", "secret"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        settings(text)


def test_what_contradicts_itself_for_one_profile_is_refused() -> None:
    alias, address = "name: a.x, type: CNAME, value: b.x", "name: a.x, type: A, value: 192.0.2.1"
    settings(f"records: [{{{alias}, profiles: [school]}}, {{{address}, profiles: [office]}}]")
    with pytest.raises(ConfigError, match="holds nothing else"):
        settings(f"records: [{{{alias}, profiles: [school]}}, {{{address}, profiles: [school]}}]")


def test_records_name_so_many_profiles_and_no_more() -> None:
    records = ",".join(f"{{name: a.x, type: A, value: 192.0.2.1, profiles: [p{number}]}}" for number in range(8))
    with pytest.raises(ConfigError, match="8 profiles"):
        settings(f"records: [{records}]")


def test_a_school_s_page_and_every_name_below_it_are_found_here_and_kept_by_nobody() -> None:
    page = CheckPage("check.operator.example", ("192.0.2.80", "2001:db8::80"))
    table = compile_locals(OWN, PROFILES, ENDPOINTS, page)
    for name in ("check.operator.example", "0123456789abcdef.check.operator.example", "A.B.Check.Operator.Example"):
        for rdtype, data in (("A", "192.0.2.80"), ("AAAA", "2001:db8::80")):
            way, answer = table.lookup(question(name, rdtype), 1)
            assert way == "answer"
            (rrset,) = read(answer).answer
            assert (rrset.ttl, rrset[0].to_text(), rrset.name.to_text().lower()) == (0, data, f"{name.lower()}.")
    way, answer = table.lookup(question("0123456789abcdef.check.operator.example", "HTTPS"), 0)
    assert (way, dns.rcode.to_text(read(answer).rcode()), read(answer).authority[0].ttl) == ("answer", "NOERROR", 0)
    assert table.lookup(question("dns.operator.example", "A"), 0)[0] == "answer"
    assert table.lookup(question("www.operator.example", "A"), 0)[0] == "on"
