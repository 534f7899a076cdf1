"""An operator's own resolver reports: real logs of each kind, a killed agent, the real compliance service."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import signal
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as families

from lachan.compliance.v1 import report_pb2 as pb
from lachan.signing import REPORT, SigningKey
from lachan.tls import Role
from tests.support import compliance
from tests.support.authority import Authority
from tests.support.list_authority import Server
from tests.support.nameserver import nameserver
from tests.support.rpz_desk import Desk, list_by_knot, world
from tests.support.rpz_network import ADDRESS, ORIGIN, Daemon, bind, free_port, kresd, recursor, relay, stopped, unbound
from tests.support.wait import until

COMMAND = (sys.executable, "-c", "from resolver.rpzlog.cli import main; main()")
BLOCKED = {"www.bad.example": "NODATA", "www.gone.example": "NXDOMAIN", "ok.bad.example": "answered"}


def configure(folder: Path, desk: Desk, server: Server, log: dict[str, str], resolver: Daemon, **settings: Any) -> Path:
    """The configuration of an agent; JSON is YAML."""
    folder.mkdir(exist_ok=True)
    sync = desk.lists.settings(server)
    whole = {
        "organisation": "isp-a",
        "node": "edge-1",
        "state_dir": "state",
        "log": {"poll": "100ms", "settle": "300ms", **log},
        "zone": {"origin": ORIGIN, "resolver": f"{ADDRESS}:{resolver.port}", "ask": "300ms"},
        "sync": {"repository": sync.repository, "root": str(sync.root), "ca": str(sync.ca), "poll_interval": "500ms"},
        **settings,
    }
    path = folder / "rpz-hits.yaml"
    path.write_text(json.dumps(whole))
    return path


class Agent(Daemon):
    """`lachan-rpz-hits serve` as a process, which may be killed."""

    def run(self, config: Path) -> None:
        self.start(*COMMAND, "serve", "--config", str(config))

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


async def scraped(port: int) -> tuple[str, Any]:
    """What the agent tells Prometheus, and of its health."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        return (await client.get("/metrics")).text, (await client.get("/health")).json()


def blocked(authority: Authority) -> int:
    return sum(cell.count for report in authority.parsed() for cell in report.blocked)


@pytest.mark.debian("knotd", "knotc", "unbound")
async def test_every_hit_in_unbounds_log_is_told_once_though_the_agent_is_killed(tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("unbound", "relay", "metrics")}
    authority = Authority(tmp_path / "authority")
    await authority.start()
    files = authority.papers.issue("isp-a", Role.NODE, "edge-1")
    uplink = {
        "target": authority.target,
        "tls": {"ca": str(files.ca), "certificate": str(files.certificate), "key": str(files.key)},
        "authority_key": str(authority.key_file),
        "backoff_max": "300ms",
    }
    async with nameserver(world) as upstream, list_by_knot(tmp_path, ports["relay"]) as (desk, knot):
        hop = relay(tmp_path, ports["relay"], knot.port, desk.key, ports["unbound"])
        un = unbound(tmp_path, ports["unbound"], hop.port, upstream.port)
        agent = Agent("agent", tmp_path, 0)
        log = un.folder / "unbound.log"
        log.touch()
        with desk.lists.serve() as server, stopped(hop, un, agent):
            report = {"window": "1s", "uplink": uplink}
            told_of = {"path": str(log), "form": "unbound"}
            listen = {"listen": f"127.0.0.1:{ports['metrics']}"}
            config = configure(agent.folder, desk, server, told_of, un, report=report, metrics=listen)
            agent.run(config)
            # The log's end is where counting begins: it is known once a window was told.
            await authority.until(lambda: bool(authority.reports), 30)
            hop.start("knotd", "-c", str(hop.folder / "knot.conf"))
            await until(lambda: hop.says(ORIGIN, "SOA") == "answered")
            un.start("unbound", "-d", "-c", str(un.folder / "unbound.conf"))
            await un.until_says(BLOCKED)
            for _ in range(2):
                for _ in range(10):
                    await asyncio.to_thread(un.says, "a.gone.example")
                agent.kill()
                for _ in range(10):
                    await asyncio.to_thread(un.says, "b.bad.example")
                agent.run(config)
            # As logrotate does it.
            log.rename(log.with_suffix(".log.1"))
            hits = len(re.findall(r"rpz-(?:nxdomain|nodata) ", log.with_suffix(".log.1").read_text()))
            assert hits >= 40
            await authority.until(lambda: blocked(authority) >= hits and authority.parsed()[-1].list.serial == 1, 30)
            exposed, health = await scraped(ports["metrics"])
            agent.stop()
    await authority.stop()
    reports = authority.parsed()
    assert blocked(authority) == hits
    told = {sample.name: sample for family in families(exposed) for sample in family.samples}
    # By the last process: what was asked while nobody read at least, and what those before it did not come to read.
    counted = [s.value for family in families(exposed) for s in family.samples if s.name == "lachan_rpz_hits_total"]
    assert 10 <= sum(counted) <= hits
    assert told["lachan_rpz_hits_total"].labels["category"] == "gambling"
    for name in ("hits_unknown", "hits_late", "lines_malformed", "log_gaps"):
        assert told[f"lachan_rpz_{name}_total"].value == 0
    assert (told["lachan_blocklist_serial"].value, told["lachan_rpz_resolver_serial"].value) == (1, 1)
    asked = int(told["lachan_rpz_resolver_asked_timestamp_seconds"].value)
    assert reports[0].window_start < asked <= time.time()
    assert told["lachan_report_receipt_age_seconds"].value >= 0
    assert told["lachan_blocklist_word_age_seconds"].value >= 0
    levels = [
        s.labels["alarm"] for family in families(exposed) for s in family.samples if s.name.endswith("alarm_level")
    ]
    assert {"no_list", "silent", "expired"} <= set(levels)
    assert told["lachan_report_spool_reports"].value >= 0
    assert health == {"status": "ok", "problems": []}
    # Neither a name nor a client is in it.
    assert "example" not in exposed
    assert "127.0.0.1" not in exposed
    assert {(cell.category, cell.action) for report in reports for cell in report.blocked} == {
        (pb.CATEGORY_GAMBLING, pb.ACTION_NXDOMAIN), (pb.CATEGORY_GAMBLING, pb.ACTION_NODATA)
    }  # fmt: skip
    # One chain, no window left out or told twice, and nothing in it that was not measured.
    digests = [hashlib.sha256(report.report).digest() for report in authority.reports]
    assert [report.previous_digest for report in reports] == [b"", *digests[:-1]]
    starts = [report.window_start for report in reports]
    assert starts == list(range(starts[0], starts[0] + len(starts)))
    for report in reports:
        assert report.HasField("hit_log")
        assert (report.hit_log.malformed, report.hit_log.late, report.hit_log.unknown) == (0, 0, 0)
        assert not report.queries
    assert bytes(reports[-1].list.records_digest) == desk.lists.release.release().digest
    public = SigningKey.load(agent.folder / "state" / "node.key").public
    for signed in authority.reports:
        public.verify(REPORT, signed.report, signed.signature)
        # Neither a name nor a client left.
        assert b"example" not in signed.report
        assert b"127.0.0.1" not in signed.report
    kept = (agent.folder / "state" / "hits.json").read_text()
    assert "example" not in kept
    assert "127.0.0.1" not in kept


@dataclass(frozen=True)
class Kept:
    """A resolver that an operator keeps, and the log that its hits stand in."""

    resolver: Daemon
    program: tuple[str, ...]
    log: str
    form: str


def four(folder: Path, ports: dict[str, int], desk: Desk, knot: Daemon, upstream: int) -> dict[str, Kept]:
    """One of each, as `deploy/` configures them; two of them live on what the relay took."""
    own = bind(folder, ports["bind"], desk.key_file, f'{ADDRESS} port {knot.port} key "isp-a-1"', upstream)
    un = unbound(folder, ports["unbound"], ports["relay"], upstream)
    powerdns = recursor(folder, ports["powerdns"], knot.port, desk.key, upstream)
    kr = kresd(folder, ports["knot"], folder / "relay" / "db" / "lachan.zone", upstream)
    return {
        "bind": Kept(own, ("named", "-f", "-n", "1", "-c", str(own.folder / "named.conf")), "rpz.log", "bind"),
        "unbound": Kept(un, ("unbound", "-d", "-c", str(un.folder / "unbound.conf")), "unbound.log", "unbound"),
        "powerdns": Kept(powerdns, ("pdns_recursor", f"--config-dir={powerdns.folder}"), "lachan-hits.log", "lachan"),
        "knot": Kept(
            kr, ("kresd", "-n", "-c", str(kr.folder / "kresd.conf"), str(kr.folder)), "lachan-hits.log", "lachan"
        ),
    }


def each_query_is_a_line(kept: Kept) -> None:
    """Whatever was answered from a cache before, and by DO=1: or a challenge would find the counts short."""

    def lines() -> int:
        return sum(b"gone.example" in line for line in (kept.resolver.folder / kept.log).read_bytes().splitlines())

    before, asked = lines(), [(qtype, do) for qtype in ("A", "AAAA", "HTTPS") for do in (False, True)] * 5
    answered = [kept.resolver.ask("x.gone.example", qtype, do=do) is not None for qtype, do in asked]
    # One that was answered too late was counted all the same.
    assert sum(answered) <= lines() - before <= len(asked)


def report_to(
    authority: compliance.Authority, operator: str, service: compliance.Service, agent: Agent
) -> dict[str, Any]:
    """The agent's key and its road to the service."""
    own = authority.folder / "tls" / f"{operator}-node-edge-1"
    (agent.folder / "state").mkdir(mode=0o700)
    authority.keys[f"{operator}/node/edge-1"].save(agent.folder / "state" / "node.key")
    return {
        "window": "1s",
        "uplink": {
            "target": service.addresses["grpc"],
            "tls": {name: str(own / f"{name}.pem") for name in ("ca", "certificate", "key")},
            "authority_key": str(authority.folder / "receipt.pub"),
            "backoff_max": "300ms",
        },
    }


@pytest.mark.debian("knotd", "knotc", "named", "unbound", "pdns_recursor", "kresd")
async def test_the_compliance_service_takes_what_each_log_says_and_what_it_does_not_say(tmp_path: Path) -> None:
    names = ("bind", "unbound", "powerdns", "knot")
    ports = {name: free_port() for name in (*names, "relay")}
    authority = compliance.Authority(tmp_path / "so", operators=dict.fromkeys(names, ("edge-1",)))
    (authority.folder / "receipt.pub").write_bytes(authority.receipt_key.public.pem())
    told = (ports["bind"], ports["powerdns"], ports["relay"])
    async with (
        nameserver(world) as upstream,
        compliance.list_authority(authority) as samples,
        list_by_knot(tmp_path, *told) as (desk, knot),
    ):
        hop = relay(tmp_path, ports["relay"], knot.port, desk.key, ports["unbound"])
        kept = four(tmp_path, ports, desk, knot, upstream.port)
        agents = {name: Agent(f"agent-{name}", tmp_path, 0) for name in names}
        service = compliance.Service(authority.configure(samples), tmp_path / "service.log")
        daemons = (hop, *(one.resolver for one in kept.values()), *agents.values())
        with desk.lists.serve() as server, stopped(*daemons), contextlib.closing(service):
            hop.start("knotd", "-c", str(hop.folder / "knot.conf"))
            service.start()
            await until((hop.folder / "db" / "lachan.zone").exists)
            for name, one in kept.items():
                one.resolver.start(*one.program)
                report = report_to(authority, name, service, agents[name])
                place = {"path": str(one.resolver.folder / one.log), "form": one.form}
                config = configure(
                    agents[name].folder, desk, server, place, one.resolver, organisation=name, report=report
                )
                agents[name].run(config)
            for one in kept.values():
                await one.resolver.until_says(BLOCKED)
                await asyncio.to_thread(each_query_is_a_line, one)
            async with httpx.AsyncClient(base_url=f"http://{service.addresses['console']}") as console:

                async def reported(name: str) -> bool:
                    await asyncio.to_thread(kept[name].resolver.says, "www.gone.example")
                    page = (await console.get(f"/operators/{name}", params={"lang": "en"})).text
                    # Node and reports: how many queries there were is not known, and not told as none.
                    return re.search(r"not measured</td>\s*<td class=\"num\">[1-9]", page) is not None

                said = (compliance.eventually(partial(reported, name), f"{name}'s hits are told") for name in names)
                await asyncio.gather(*said)
