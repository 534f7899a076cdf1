"""Real edges whose only upstream is reached by DNS over TLS or over HTTPS: another edge, and Debian's Unbound."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from deploy.demo.upstream import upstream
from lachan.message import NOERROR, NXDOMAIN
from resolver.upstream.settings import Upstream
from resolver.upstream.stream import StreamUpstreams
from tests.support.blocklist import built, entry
from tests.support.edge import Edge, free_port, until
from tests.support.packets import question, read, records
from tests.support.tls import Authority

TLS = {"certificate": "certificate.pem", "key": "key.pem"}
COMPLAINT = "an upstream does not answer as it should"


def folder(parent: Path, name: str, *listed: str) -> Path:
    made = parent / name
    made.mkdir()
    (made / "rules.snapshot").write_bytes(built(*(entry(one) for one in listed), serial=7))
    return made


def trusting(authority: Authority, protocol: str, port: int) -> dict[str, Any]:
    """An upstream as edge.yaml has it."""
    return {
        "address": "127.0.0.1",
        "port": port,
        "protocol": protocol,
        "server_name": "dns.example",
        "ca": str(authority.folder / "ca.pem"),
    }


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(folder(tmp_path, "far", "far-listed.example"))
    made.issue()
    made.ca.cert_pem.write_to_path(made.folder / "ca.pem")
    return made


@pytest.fixture
async def far(authority: Authority) -> AsyncIterator[tuple[Edge, dict[str, int]]]:
    """An edge that others ask, and its ports."""
    ports = {"dot": free_port(), "doh": free_port()}
    async with upstream() as clean:
        edge = Edge(authority.folder, [clean], blocklist={"snapshot": "rules.snapshot"})
        edge.settings["listen"] += [
            {"address": "127.0.0.1", "port": port, "protocol": protocol, "tls": TLS} for protocol, port in ports.items()
        ]
        try:
            await edge.start()
            yield edge, ports
        finally:
            await edge.stop()


@contextlib.asynccontextmanager
async def asking(*edges: Edge) -> AsyncIterator[None]:
    """Edges that serve, ended in every case."""
    try:
        await asyncio.gather(*(edge.start() for edge in edges))
        yield
    finally:
        await asyncio.gather(*(edge.stop() for edge in edges))


def near(parent: Path, protocol: str, upstream: dict[str, Any]) -> Edge:
    """An edge with this upstream."""
    edge = Edge(folder(parent, protocol, "bad.example"), [], blocklist={"snapshot": "rules.snapshot"})
    edge.settings["upstreams"] = [upstream]
    return edge


def counted(edge: Edge) -> dict[str, Any] | None:
    """What the supervisor knows of the connections to the upstream, once it has looked."""
    workers = (edge.status() or {}).get("workers") or []
    found: list[dict[str, Any]] = [one for worker in workers for one in worker["streams"] if one["asked"]]
    return found[0] if found else None


async def test_edges_answer_and_block_over_encrypted_upstreams_and_survive_their_restart(
    tmp_path: Path, authority: Authority, far: tuple[Edge, dict[str, int]]
) -> None:
    other, ports = far
    edges = [near(tmp_path, protocol, trusting(authority, protocol, port)) for protocol, port in ports.items()]
    async with asking(*edges):
        for edge in edges:
            for name in ("clean.example", "nx.example", "far-listed.example"):
                there, here = await other.ask(name), await edge.ask(name)
                assert (there.rcode, there.answers != ()) == (here.rcode, here.answers != ())
            listed = await edge.ask("www.bad.example")
            assert (listed.rcode, [error.code for error in listed.errors]) == (NXDOMAIN, [16])
            # Longer than a datagram: the stream upstream brings it whole, whoever asks by TCP gets it whole.
            assert (await edge.ask("big.example", "TXT")).tc
            assert sum(len(record.rdata) for record in (await edge.ask("big.example", "TXT", tcp=True)).answers) > 1232
            await asyncio.gather(*(edge.ask(f"n{number}.example") for number in range(200)))
            assert "an upstream" not in edge.log
        await other.stop()
        for number, edge in enumerate(edges):
            assert (await edge.ask(f"gone-{number}.example")).rcode not in (NOERROR, NXDOMAIN)
            assert (await edge.ask("bad.example")).rcode == NXDOMAIN
        await other.start()
        for number, edge in enumerate(edges):
            tries = iter(range(10_000))
            await until(
                lambda edge=edge, number=number, tries=tries: (
                    asyncio.run(edge.ask(f"back-{number}-{next(tries)}.example")).rcode == NOERROR
                ),
                "it asks the upstream that is back",
            )
            assert edge.log.count(COMPLAINT) == 1
            assert (await until(lambda edge=edge: counted(edge), "the status tells it"))["opened"] >= 1
            assert "Traceback" not in edge.log


UNBOUND = """
server:
    interface: 127.0.0.1@{dot}
    interface: 127.0.0.1@{doh}
    tls-port: {dot}
    https-port: {doh}
    tls-service-key: "{folder}/key.pem"
    tls-service-pem: "{folder}/certificate.pem"
    username: ""
    chroot: ""
    directory: "{folder}"
    pidfile: "{folder}/unbound.pid"
    do-daemonize: no
    use-syslog: no
    num-threads: 1
    module-config: "iterator"
    local-zone: "ok.example." static
    local-data: "www.ok.example. 300 IN A 192.0.2.1"
remote-control:
    control-enable: no
"""


def listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.mark.debian("unbound")
async def test_unbound_is_content_with_how_it_is_asked(authority: Authority) -> None:
    ports = {"dot": free_port(), "doh": free_port()}
    config = authority.folder / "unbound.conf"
    config.write_text(UNBOUND.format(folder=authority.folder, **ports))
    log = (authority.folder / "unbound.log").open("wb")
    process = subprocess.Popen(["unbound", "-c", str(config)], stdout=log, stderr=log)  # noqa: ASYNC220 # not awaited here
    upstreams = [Upstream.model_validate(trusting(authority, kind, port)) for kind, port in ports.items()]
    streams = StreamUpstreams(upstreams, 20.0)
    try:
        await until(lambda: listening(ports["dot"]) and listening(ports["doh"]), "unbound is up")
        packet = question("www.ok.example", edns=False)
        for number in range(2):
            answers = await asyncio.gather(*(streams.ask(number, packet, 1) for _ in range(300)))
            assert {tuple(records(read(answer))) for answer in answers} == {("www.ok.example. 300 IN A 192.0.2.1",)}
        assert [one["failures"] for one in streams.status()] == [{}, {}]
    finally:
        streams.close()
        process.terminate()
        process.wait(15)
        log.close()
