"""A list authority with Knot DNS: publishes, writes the zone, has Knot told; and the world that resolvers ask."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.query
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.tsigkeyring
import dns.xfr
import dns.zone
from typer.testing import CliRunner

from blocklist_sync.central.cli import app
from tests.support.list_authority import ListAuthority
from tests.support.rpz_network import ADDRESS, ORIGIN, Daemon, knot_authority, stopped
from tests.support.wait import until

SIGNATURE = "A 13 2 60 20371231235959 20200101000000 12345 example. " + "A" * 86 + "=="


def world(query: bytes) -> Iterable[bytes]:
    """Every name has an address, and a signature for those who ask for signatures."""
    asked = dns.message.from_wire(query)
    answer = dns.message.make_response(asked, recursion_available=True)
    question = asked.question[0]
    if question.rdtype == dns.rdatatype.A:
        answer.answer.append(dns.rrset.from_text(question.name, 1, "IN", "A", "192.0.2.1"))
        if asked.ednsflags & dns.flags.DO:
            answer.answer.append(dns.rrset.from_text(question.name, 1, "IN", "RRSIG", SIGNATURE))
    return [answer.to_wire()]


class Desk:
    """The list authority: publishes, writes the zone, has Knot told."""

    def __init__(self, folder: Path, told: list[int]) -> None:
        self.lists = ListAuthority(folder)
        self.zones = folder / "zones"
        self.zones.mkdir()
        config, self.include = folder / "operators.yaml", folder / "operators.conf"
        operator = {"name": "isp-a", "zones": [ORIGIN], "addresses": ["127.0.0.1/32"]}
        operator["notify"] = [f"{ADDRESS}:{port}" for port in told]
        zones = [{"origin": ORIGIN, "file": "lachan.zone"}]
        config.write_text(json.dumps({"storage": "zones", "keys": "tsig", "zones": zones, "operators": [operator]}))
        drawn = self._run("rpz-operators", "--config", str(config), "--out", str(self.include))
        self.key_file = Path(drawn["keys"][0]["file"])
        found = re.search(r'secret "([^"]+)"', self.key_file.read_text())
        assert found is not None
        self.key = found[1]
        self.knot: Daemon | None = None

    def _run(self, *arguments: str) -> dict[str, Any]:
        ended = CliRunner().invoke(app, [*arguments, "--json"])
        assert ended.exception is None, ended.exception
        told: dict[str, Any] = json.loads(ended.stdout)
        return told

    def publish(self, *rules: str) -> dict[str, Any]:
        """A release, its zone, and Knot told of it."""
        self.lists.publish(*rules)
        options = ["--release", str(self.lists.release.folder), "--out", str(self.zones / "lachan.zone")]
        if self.knot is not None:
            options += ["--reload", f"knotc -c {self.knot.folder / 'knot.conf'} zone-reload {ORIGIN}"]
        return self._run("rpz", *options, "--origin", ORIGIN)

    def start(self, folder: Path) -> Daemon:
        """Knot, with the zone published first."""
        self.knot = knot_authority(folder, self.include)
        self.knot.start("knotd", "-c", str(self.knot.folder / "knot.conf"))
        return self.knot

    def axfr(self, secret: str, port: int, source: str = ADDRESS) -> dns.zone.Zone:
        """The zone, for whoever signs with this secret."""
        assert self.knot is not None
        zone = dns.zone.Zone(ORIGIN)
        ring = dns.tsigkeyring.from_text({"isp-a-1": secret})
        query, _ = dns.xfr.make_query(zone, keyring=ring, keyname="isp-a-1", keyalgorithm=dns.tsig.HMAC_SHA256)
        dns.query.inbound_xfr(ADDRESS, zone, query, port, timeout=5, source=source)
        return zone


def transfers(knot: Daemon) -> list[str]:
    return re.findall(r"\b([AI]XFR), outgoing, .*, finished", knot.log)


@asynccontextmanager
async def list_by_knot(
    folder: Path, *told: int, rules: Sequence[str] = ("||bad.example^", "||gone.example^", "@@||ok.bad.example^")
) -> AsyncIterator[tuple[Desk, Daemon]]:
    """A desk whose first release Knot serves."""
    desk = Desk(folder, list(told))
    desk.publish(*rules)
    knot = desk.start(folder)
    with stopped(knot):
        await until(lambda: knot.says(ORIGIN, "SOA") == "answered")
        yield desk, knot
