"""The list as a zone: Knot hands it over, BIND and Unbound block by it within seconds of a publication."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.tsig
import pytest
import trustme

from resolver.rpzlog.hits import Done, Form, reader
from tests.support.nameserver import nameserver
from tests.support.rpz_desk import list_by_knot, transfers, world
from tests.support.rpz_network import (
    ADDRESS,
    ORIGIN,
    Daemon,
    bind,
    example,
    free_port,
    kresd,
    recursor,
    relay,
    stopped,
    unbound,
)
from tests.support.wait import until

STATUS = "lachan-serial.rpz.so.example"


@pytest.mark.debian("knotd", "knotc", "named", "unbound")
async def test_bind_and_unbound_block_within_seconds_of_a_publication(tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("bind", "unbound", "relay")}
    async with nameserver(world) as upstream, list_by_knot(tmp_path, ports["bind"], ports["relay"]) as (desk, knot):
        hop = relay(tmp_path, ports["relay"], knot.port, desk.key, ports["unbound"])
        named = bind(tmp_path, ports["bind"], desk.key_file, f'{ADDRESS} port {knot.port} key "isp-a-1"', upstream.port)
        un = unbound(tmp_path, ports["unbound"], hop.port, upstream.port)
        with stopped(hop, named, un):
            hop.start("knotd", "-c", str(hop.folder / "knot.conf"))
            named.start("named", "-f", "-n", "1", "-c", str(named.folder / "named.conf"))
            await until(lambda: hop.says(ORIGIN, "SOA") == "answered")
            un.start("unbound", "-d", "-c", str(un.folder / "unbound.conf"))
            first = {
                "bad.example": "NODATA",  # an exception is below it: NXDOMAIN would deny that as well
                "www.bad.example": "NODATA",
                "gone.example": "NXDOMAIN",
                "ok.bad.example": "answered",
                "new.example": "answered",
            }
            for resolver in (named, un):
                await resolver.until_says(first)
            before = len(transfers(knot))
            assert desk.publish("||bad.example^", "||new.example^", "||deep.a.new.example^")["serial"] == 2
            second = {
                "www.bad.example": "NXDOMAIN",
                "ok.bad.example": "NXDOMAIN",
                "gone.example": "answered",
                "www.new.example": "NXDOMAIN",
                # Between two listed names: BIND takes no wildcard across a name that exists.
                "a.new.example": "NXDOMAIN",
                "x.a.new.example": "NXDOMAIN",
            }
            for resolver in (named, un):
                await resolver.until_says(second)
                answer = await asyncio.to_thread(resolver.ask, STATUS, "TXT")
                assert answer is not None
                assert '"serial=2"' in answer.answer[0].to_text()
            # What changed was sent, not all of it.
            assert set(transfers(knot)[before:]) == {"IXFR"}
            # What a resolver reads that takes a file.
            await until(lambda: "new.example" in (hop.folder / "db" / "lachan.zone").read_text())
            # Clients are not told by the zone's own names what is listed.
            for resolver in (named, un):
                assert await asyncio.to_thread(resolver.says, f"bad.example.{ORIGIN}") != "NXDOMAIN"


@pytest.mark.debian("knotd", "knotc", "pdns_recursor", "kresd")
async def test_powerdns_and_knot_resolver_block_and_write_lines_that_the_agent_reads(tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("recursor", "kresd", "relay")}
    async with nameserver(world) as upstream, list_by_knot(tmp_path, ports["recursor"], ports["relay"]) as (desk, knot):
        hop = relay(tmp_path, ports["relay"], knot.port, desk.key, free_port())
        file = hop.folder / "db" / "lachan.zone"
        powerdns = recursor(tmp_path, ports["recursor"], knot.port, desk.key, upstream.port)
        resolver = kresd(tmp_path, ports["kresd"], file, upstream.port)
        with stopped(hop, powerdns, resolver):
            hop.start("knotd", "-c", str(hop.folder / "knot.conf"))
            powerdns.start("pdns_recursor", f"--config-dir={powerdns.folder}")
            await until(file.exists)
            resolver.start("kresd", "-n", "-c", str(resolver.folder / "kresd.conf"), str(resolver.folder))
            for one in (powerdns, resolver):
                await one.until_says(
                    {"www.bad.example": "NODATA", "gone.example": "NXDOMAIN", "ok.bad.example": "answered"}
                )
                read = reader(Form.LACHAN, ORIGIN, "lachan")
                hits = [read(line) for line in (one.folder / "lachan-hits.log").read_bytes().splitlines()]
                assert {(hit.name, hit.done) for hit in hits if hit is not None} >= {
                    ("gone.example", Done.NXDOMAIN),
                    ("bad.example" if one is powerdns else "www.bad.example", Done.NODATA),
                }
                assert not [hit for hit in hits if hit is None or hit.name.startswith("ok.")]


@pytest.mark.debian("knotd", "knotc")
async def test_only_who_has_the_key_and_the_address_gets_the_zone(tmp_path: Path) -> None:
    async with list_by_knot(tmp_path) as (desk, knot):
        assert len(desk.axfr(desk.key, knot.port).nodes) == 8
        with pytest.raises(dns.tsig.PeerBadSignature):
            desk.axfr("A" * 43 + "=", knot.port)
        with pytest.raises(dns.tsig.PeerBadKey):
            desk.axfr(desk.key, knot.port, "127.0.0.2")
        query = dns.message.make_query(ORIGIN, "AXFR")
        assert dns.query.tcp(query, ADDRESS, 5, knot.port).rcode() == dns.rcode.NOTAUTH
        # Nor are strangers told whether a name is listed.
        asked = dns.message.make_query(f"bad.example.{ORIGIN}", "CNAME")
        assert dns.query.udp(asked, ADDRESS, 5, knot.port, source="127.0.0.2").rcode() != dns.rcode.NOERROR
        assert desk.key not in knot.log


@pytest.mark.debian("knotd", "knotc", "named", "dnsdist")
async def test_bind_takes_the_zone_over_tls_from_a_dnsdist_in_front(tmp_path: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "xot-ca.pem"))
    pair = ca.issue_cert("xot.so.example")
    pair.private_key_pem.write_to_path(str(tmp_path / "xot.key"))
    for pem in pair.cert_chain_pems:
        pem.write_to_path(str(tmp_path / "xot.pem"), append=True)
    port = free_port()
    async with nameserver(world) as upstream, list_by_knot(tmp_path, port) as (desk, knot):
        front = Daemon("dnsdist", tmp_path, free_port())
        changes = {
            "127.0.0.1:5300": f"{ADDRESS}:{free_port()}",
            '"192.0.2.0/24", "198.51.100.53/32", "2001:db8:a::/48"': '"127.0.0.1/32"',
            "192.0.2.1:853": f"{ADDRESS}:{front.port}",
            "/etc/lachan/tls": str(tmp_path),
            "192.0.2.1:53": f"{ADDRESS}:{knot.port}",
        }
        config = front.write("dnsdist.conf", example("knot/dnsdist-xot.conf", changes))
        primary = f'{ADDRESS} port {front.port} key "isp-a-1" tls lachan-xot'
        tls = f'tls lachan-xot {{ ca-file "{tmp_path / "xot-ca.pem"}"; remote-hostname "xot.so.example"; }};\n'
        named = bind(tmp_path, port, desk.key_file, primary, upstream.port, tls)
        with stopped(front, named):
            front.start("dnsdist", "-C", str(config), "--supervised", "--disable-syslog")
            await until(lambda: speaks_tls(front.port, tmp_path / "xot-ca.pem"))
            named.start("named", "-f", "-n", "1", "-c", str(named.folder / "named.conf"))
            await named.until_says({"www.gone.example": "NXDOMAIN", "ok.bad.example": "answered"})
            # What changes comes that way as well, at once, and alone.
            await until(lambda: bool(transfers(knot)))
            before = len(transfers(knot))
            desk.publish("||bad.example^", "||new.example^")
            await named.until_says({"www.new.example": "NXDOMAIN", "gone.example": "answered"})
            await until(lambda: len(transfers(knot)) > before)
            assert set(transfers(knot)[before:]) == {"IXFR"}
            # Nothing but transfers goes through.
            query = dns.message.make_query(f"bad.example.{ORIGIN}", "CNAME")
            context = ssl.create_default_context(cafile=str(tmp_path / "xot-ca.pem"))
            answer = dns.query.tls(query, ADDRESS, 5, front.port, ssl_context=context, server_hostname="xot.so.example")
            assert answer.rcode() == dns.rcode.REFUSED


def speaks_tls(port: int, ca: Path) -> bool:
    query = dns.message.make_query(ORIGIN, "SOA")
    context = ssl.create_default_context(cafile=str(ca))
    try:
        dns.query.tls(query, ADDRESS, 2, port, ssl_context=context, server_hostname="xot.so.example")
    except (OSError, EOFError, dns.exception.DNSException):
        return False
    return True
