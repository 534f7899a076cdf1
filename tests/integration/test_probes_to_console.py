"""From a question on the wire to a verdict on the page: probes, service, database and console as real processes."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from lachan.message import NXDOMAIN, Message, Record, encode, parse
from tests.support.compliance import COMMAND, DEADLINE, PROBES, Authority, NodeClient, Service, list_authority
from tests.support.framing import framed
from tests.support.nameserver import nameserver

A = 1


def answering(query: bytes, *blocked: str) -> Iterable[bytes]:
    """One answer: NXDOMAIN for names with these beginnings, an address for all others."""
    asked = parse(query)
    question = asked.questions[0]
    refused = question.qname.startswith(blocked) if blocked else False
    address = Record(question.qname, A, 1, 60, bytes([192, 0, 2, 7]), "192.0.2.7")
    yield encode(
        Message(
            id=asked.id,
            is_response=True,
            opcode=0,
            rcode=NXDOMAIN if refused else 0,
            rd=True,
            ra=True,
            questions=asked.questions,
            answers=() if refused else (address,),
        )
    )


class Place(Authority):
    """An authority whose operators answer on ports the kernel chose, with probes that can be run."""

    ports: dict[str, int]

    def registry(self) -> dict[str, Any]:
        registry = super().registry()
        for organisation in registry["organisations"]:
            for node in organisation.get("nodes", ()):
                node["resolvers"][0]["port"] = self.ports[organisation["id"]]
        return registry

    def probe(self, name: str, target: str) -> Path:
        uri = f"so-probe-{name}"
        self.keys[f"so/probe/{name}"].save(self.folder / f"{uri}.pem")
        own = f"tls/{uri}"
        return self._write(
            f"{uri}.yaml",
            {
                "service": target,
                "tls": {"ca": f"{own}/ca.pem", "certificate": f"{own}/certificate.pem", "key": f"{own}/key.pem"},
                "line": "consumer",
                "signing_key": f"{uri}.pem",
                "spool": f"{uri}.spool",
                "journal": f"{uri}.journal",
                "measure": {"timeout": "1s", "same_name_gap": "10ms"},
                "uplink": {"poll": "200ms", "submit_every": "200ms", "backoff_first": "100ms", "backoff_most": "1s"},
            },
        )


@contextmanager
def running(config: Path) -> Iterator[None]:
    command = [sys.executable, "-c", "from compliance_api.probe.cli import main; main()", "run", "--config", config]
    with config.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0, config.with_suffix(".log").read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(DEADLINE)


def exported(config: Path) -> list[str]:
    """The observations as OONI's measurements, by the verb, of a service that is down."""
    command = [
        *COMMAND,
        "observations",
        "export",
        "--config",
        str(config),
        "--since",
        "2020-01-01",
        "--until",
        "2100-01-01",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=DEADLINE).stdout.splitlines()


def kinds(operator: dict[str, Any]) -> set[str]:
    return {finding["kind"] for finding in operator["findings"]}


async def verdicts(
    console: httpx.AsyncClient, holds: Callable[[dict[str, dict[str, Any]]], bool]
) -> dict[str, dict[str, Any]]:
    """The operators by name, once the condition holds for them."""
    deadline = time.monotonic() + DEADLINE
    while True:
        document = (await console.get("/api/v1/verdicts")).json()
        found = {one["organisation"]: one for one in document["operators"]}
        if set(found) == {"a", "b"} and holds(found):
            return found
        assert time.monotonic() < deadline, yaml.safe_dump(document)
        await asyncio.sleep(0.1)


async def report_windows(*nodes: NodeClient) -> None:
    """Hands in the reports of the last windows, all of them claiming the current list."""
    last = int(time.time()) // 5 * 5
    for node in nodes:
        await node.submit(*(node.sign(node.report(last - 5 * back)) for back in range(5, 0, -1)))


async def test_an_honest_and_a_cheating_operator_are_told_apart(tmp_path: Path) -> None:
    async with (
        nameserver(udp=lambda query: answering(query, "old", "new")) as honest,
        # It says that it runs release 2, and blocks what release 1 held.
        nameserver(udp=lambda query: answering(query, "old")) as cheat,
        nameserver(udp=answering, tcp=lambda query: map(framed, answering(query))) as reference,
    ):
        Place.ports = {"a": honest.port, "b": cheat.port}
        place = Place(tmp_path)
        place.settings["assignments"] = {
            "interval": "1s",
            "listed": 12,
            "spread": "1s",
            "expires": "60s",
            "reference": {"address": "127.0.0.1", "port": reference.port},
            "second_reference": {"address": "127.0.0.1", "port": reference.port, "transport": "tcp"},
            "controls": [f"control{number}.example" for number in range(4)],
        }
        async with list_authority(place) as lists:
            service = Service(place.configure(lists), tmp_path / "service.log")
            nodes: list[NodeClient] = []
            try:
                service.start()
                target = service.addresses["grpc"]
                nodes += [NodeClient(place, operator, target) for operator in ("a", "b")]
                one, two = (place.probe(name, target) for name, *_ in PROBES)
                with running(one), running(two):
                    await report_windows(*nodes)
                    address = service.addresses["console"]
                    base = address if "://" in address else f"http://{address}"
                    async with httpx.AsyncClient(base_url=base, timeout=20) as console:
                        found = await verdicts(
                            console,
                            lambda now: now["a"]["verdict"] == "compliant" and "stale_list" in kinds(now["b"]),
                        )
                        front = (await console.get("/")).text
                        details = (await console.get("/operators/b?lang=en")).text
            finally:
                for node in nodes:
                    await node.close()
                service.close()

    published = [json.loads(line) for line in exported(service.config)]
    assert {one["annotations"]["operator"] for one in published} == {"a", "b"}
    assert {one["test_keys"]["queries"][0]["engine"] for one in published} == {"udp"}
    shown = {(one["test_keys"]["shape"], one["test_keys"]["queries"][0]["failure"]) for one in published}
    assert shown >= {("answer", None), ("nxdomain", "dns_nxdomain_error")}
    assert found["a"]["findings"] == []
    assert found["b"]["verdict"] == "not_compliant"
    assert found["a"]["coverage"]["listed_missed"] == 0
    assert found["b"]["coverage"]["vantage_points"] == 2
    assert "Danh sách đã cũ" in front
    assert "bản phát hành 1" in front
    assert "Out-of-date list" in details
    # Pornography is a category whose names an auditor may read.
    assert "new0.bad.example" in details or "new1.bad.example" in details
    # Whatever left the line was an ordinary question.
    assert all(parse(query).rd for server in (honest, cheat, reference) for _, query, _ in server.queries)
