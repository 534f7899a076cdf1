"""A whole authority in a folder, with two operators and two probes, and the service as a real process on it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc.aio

from compliance_api.identity import pki
from lachan import channel, message, tls
from lachan.blocklist.v1 import sample_service_pb2 as samples
from lachan.blocklist.v1.sample_service_pb2_grpc import SampleServiceServicer, add_SampleServiceServicer_to_server
from lachan.compliance.v1 import probe_service_pb2 as probes
from lachan.compliance.v1 import report_pb2
from lachan.compliance.v1 import report_service_pb2 as report_service
from lachan.compliance.v1.probe_service_pb2_grpc import ProbeServiceStub
from lachan.compliance.v1.report_service_pb2_grpc import ReportServiceStub
from lachan.signing import OBSERVATION, RECEIPT, REPORT, SigningKey, VerifyKey

DEADLINE = 240.0
COMMAND = (sys.executable, "-c", "from compliance_api.cli import main; main()")
OPERATORS = ("a", "b")
PROBES = (("p1", "hcm-1", "net-1", "so"), ("p2", "hcm-2", "net-2", "partner"))
CONTROLS = tuple(f"control{number}.example" for number in range(4))

LAW: dict[str, Any] = {
    "id": "test-law",
    "effective_from": datetime(2020, 1, 1, tzinfo=UTC),
    "authority": {"vi": "Sở thử nghiệm", "en": "Test authority"},
    "period": "10m",
    "day": {"length": "4s", "closes_after": "4s", "recounted_within": "60s"},
    # A day of four seconds holds few questions, and nobody intercepts the loopback; two bad days accuse.
    "burden": {
        "bad": {"minimum_names": 4, "line_fault_rate": 0.000001},
        "days": {"honest": 0.024, "cheating": 0.99, "accusation": 20, "horizon": 30},
    },
    "report": {"window": "5s", "deadline": "20s", "first_within": "10m"},
    "list": {"block_deadline": "1s", "urgent_block_deadline": "1s", "maximum_age": "1s"},
    "confirmation": {"vantage_points": 2, "networks": 2, "custodians": 2, "sessions_apart": "1s"},
    "minimum": {"names": 6, "controls": 3, "windows": 3, "missed_names": 3},
    "counters": {"mismatched_windows": 2, "clock_tolerance": "0.5s"},
    "default_citation": {"vi": "Điều 1", "en": "Article 1"},
}


def label(text: str) -> dict[str, str]:
    return {"vi": text, "en": text}


class FakeListAuthority(SampleServiceServicer):
    """Two releases: old names under serial 1, new ones under serial 2, both due long ago."""

    def __init__(self, at: float) -> None:
        self.releases = {1: int(at) - 300, 2: int(at) - 200}
        self.calls = 0

    def listed(self) -> list[samples.ListedName]:
        return [
            samples.ListedName(
                name=f"{kind}{number}.bad.example",
                subtree=True,
                category=3,
                order="OR-1",
                added_serial=serial,
                added_at=self.releases[serial],
                mandated=True,
            )
            for serial, kind in ((1, "old"), (2, "new"))
            for number in range(6)
        ]

    async def SampleNames(  # noqa: N802 - gRPC's name
        self, request: samples.SampleNamesRequest, context: Any
    ) -> samples.SampleNamesResponse:
        assert str(channel.caller(context)) == "lachan://so/service/compliance"
        self.calls += 1
        names = [one for one in self.listed() if one.added_serial > request.added_after_serial]
        names = [one for one in names if one.control or not request.controls_only]
        return samples.SampleNamesResponse(serial=2, names=names[: request.count])

    async def ListReleases(  # noqa: N802 - gRPC's name
        self, request: samples.ListReleasesRequest, context: Any
    ) -> samples.ListReleasesResponse:
        del request, context
        return samples.ListReleasesResponse(
            releases=[
                samples.Release(serial=serial, records_digest=bytes([serial]) * 32, published_at=at, entries=6 * serial)
                for serial, at in sorted(self.releases.items(), reverse=True)
            ]
        )

    async def ListRemoved(  # noqa: N802 - gRPC's name
        self, request: samples.ListRemovedRequest, context: Any
    ) -> samples.ListRemovedResponse:
        del request, context
        return samples.ListRemovedResponse(serial=2)

    async def AreListed(  # noqa: N802 - gRPC's name
        self, request: samples.AreListedRequest, context: Any
    ) -> samples.AreListedResponse:
        del context
        listed = {one.name for one in self.listed()}
        found = [samples.NameStatus(listed=name in listed, binding=name in listed) for name in request.names]
        return samples.AreListedResponse(serial=2, statuses=found)


@dataclass
class Authority:
    """The folder with everybody's keys and the service's configuration."""

    folder: Path
    law: dict[str, Any] = field(default_factory=lambda: LAW)
    settings: dict[str, Any] = field(default_factory=dict)
    operators: Mapping[str, Sequence[str]] = field(default_factory=lambda: dict.fromkeys(OPERATORS, ("edge-1",)))
    """The names of each one's nodes."""

    def __post_init__(self) -> None:
        now = datetime.now(UTC)
        pki.init(self.folder / "ca", now)
        uris = ["so/service/compliance", "so/service/lists", "so/node/stranger"]
        uris += [f"{operator}/node/{node}" for operator, nodes in self.operators.items() for node in nodes]
        uris += [f"so/probe/{probe[0]}" for probe in PROBES]
        for uri in uris:
            self.certify(uri)
        self.receipt_key = SigningKey.generate()
        self.receipt_key.save(self.folder / "receipt.pem")
        self.keys = {uri: self._key(uri) for uri in uris[3:]}
        self._write("organisations.yaml", self.registry())
        self._write("law.yaml", {"laws": [self.law]})

    def certify(self, uri: str) -> None:
        out = self.folder / "tls" / uri.replace("/", "-")
        pki.issue(
            self.folder / "ca",
            out,
            f"lachan://{uri}",
            datetime.now(UTC),
            dns=["localhost"],
            addresses=["127.0.0.1"],
            days=1,
        )

    def _key(self, uri: str) -> SigningKey:
        made = SigningKey.generate()
        (self.folder / f"{uri.replace('/', '-')}.pub.pem").write_bytes(made.public.pem())
        return made

    def _write(self, name: str, value: Any) -> Path:
        path = self.folder / name
        # JSON is YAML, and never has an alias, which a configuration may not have.
        path.write_text(json.dumps(value, ensure_ascii=False, default=str))
        return path

    def registry(self) -> dict[str, Any]:
        return {
            "jurisdictions": [{"id": "hcm", "name": label("Thành phố Hồ Chí Minh")}],
            "organisations": [
                {
                    "id": "so",
                    "kind": "authority",
                    "name": label("Sở"),
                    "jurisdictions": ["hcm"],
                    "probes": [
                        {
                            "name": name,
                            "key": f"so-probe-{name}.pub.pem",
                            "vantage_point": vantage,
                            "access_network": network,
                            "custodian": custodian,
                        }
                        for name, vantage, network, custodian in PROBES
                    ],
                },
                {"id": "partner", "kind": "custodian", "name": label("Partner")},
                *(
                    {
                        "id": operator,
                        "kind": "operator",
                        "name": label(f"Operator {operator}"),
                        "jurisdictions": ["hcm"],
                        "nodes": [
                            {
                                "name": node,
                                "key": f"{operator}-node-{node}.pub.pem",
                                "resolvers": [{"address": "127.0.0.1", "port": 10053 + index}],
                            }
                            for node in nodes
                        ],
                    }
                    for index, (operator, nodes) in enumerate(self.operators.items())
                ),
            ],
        }

    def material(self, uri: str) -> tls.TlsMaterial:
        folder = self.folder / "tls" / uri.replace("/", "-")
        return tls.load(
            tls.TlsFiles(ca=folder / "ca.pem", certificate=folder / "certificate.pem", key=folder / "key.pem")
        )

    def configure(self, lists: int) -> Path:
        own = "tls/so-service-compliance"
        return self._write(
            "compliance.yaml",
            {
                "listen": "127.0.0.1:0",
                "tls": {"ca": f"{own}/ca.pem", "certificate": f"{own}/certificate.pem", "key": f"{own}/key.pem"},
                "receipt_key": "receipt.pem",
                "database": {"embedded": "db"},
                "list_authority": {"target": f"127.0.0.1:{lists}", "refresh": "1s"},
                "registry": "organisations.yaml",
                "law": "law.yaml",
                "assignments": {
                    "interval": "1s",
                    "listed": 12,
                    "spread": "1s",
                    "expires": "60s",
                    "reference": {"address": "127.0.0.1", "port": 5353},
                    "second_reference": {"address": "127.0.0.1", "port": 5354},
                    "controls": list(CONTROLS),
                },
                "judge": {"interval": "0.3s"},
                "metrics": {"listen": "127.0.0.1:0"},
                "console": {"listen": "127.0.0.1:0"},
                **self.settings,
            },
        )


class Service:
    """`lachan-compliance serve` as a process."""

    def __init__(self, config: Path, log: Path) -> None:
        self.config = config
        self._log = log.open("ab")
        self.log_path = log
        self._process: subprocess.Popen[str] | None = None
        self.addresses: dict[str, str] = {}

    def start(self) -> None:
        self._process = subprocess.Popen(
            [*COMMAND, "serve", "--config", str(self.config)],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("ready "), self.log_path.read_text()
        self.addresses = dict(part.split("=", 1) for part in line.split()[1:])

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._reap()

    def stop(self) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        return self._reap()

    def _reap(self) -> int:
        assert self._process is not None
        status = self._process.wait(DEADLINE)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        return status

    def close(self) -> None:
        if self._process is not None:
            self.kill()
        self._log.close()


@asynccontextmanager
async def list_authority(authority: Authority) -> Any:
    """A SampleService in this process; yields its port."""
    server = channel.server()
    add_SampleServiceServicer_to_server(FakeListAuthority(time.time()), server)
    port = channel.bind(server, "127.0.0.1:0", authority.material("so/service/lists"))
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


class NodeClient:
    """A node that signs whatever it is told to."""

    def __init__(self, authority: Authority, operator: str, target: str) -> None:
        uri = f"{operator}/node/edge-1"
        self.key = authority.keys[uri]
        self._receipts = VerifyKey.from_raw(authority.receipt_key.public.raw)
        self._channel = channel.connect(target, authority.material(uri), 500)
        self.stub = ReportServiceStub(self._channel)
        self.operator = operator
        self.epoch = os.urandom(16)
        self.sequence = 0
        self.previous = b""

    def report(self, window_start: int, *, serial: int = 2, blocked: int = 1000, **fields: Any) -> report_pb2.Report:
        """The next report of the chain, with fields overridden."""
        self.sequence += 1
        values: dict[str, Any] = {
            "organisation": self.operator,
            "node": "edge-1",
            "boot_epoch": self.epoch,
            "sequence": self.sequence,
            "previous_digest": self.previous,
            "window_start": window_start,
            "window_seconds": 5,
            "list": report_pb2.ListState(
                serial=serial, records_digest=bytes([serial]) * 32, activated_at=window_start - 100, checked_at=1
            ),
            "queries": [report_pb2.QueryCount(transport=1, profile="default", rcode=0, count=5000)],
            "blocked": [report_pb2.BlockCount(category=3, action=1, count=blocked)],
            "enforcing": True,
        }
        report = report_pb2.Report(**{**values, **fields})
        self.previous = hashlib.sha256(report.SerializeToString()).digest()
        return report

    def sign(self, report: report_pb2.Report, key: SigningKey | None = None) -> report_pb2.SignedReport:
        data = report.SerializeToString()
        signer = key or self.key
        return report_pb2.SignedReport(report=data, signature=signer.sign(REPORT, data), key_id=self.key.public.key_id)

    async def submit(self, *signed: report_pb2.SignedReport) -> list[report_pb2.SignedReceipt]:
        """Hands reports in and checks their receipts."""
        answer = await self.stub.SubmitReports(
            report_service.SubmitReportsRequest(reports=signed), timeout=DEADLINE, wait_for_ready=True
        )
        assert len(answer.receipts) == len(signed)
        for report, receipt in zip(signed, answer.receipts, strict=True):
            self._receipts.verify(RECEIPT, receipt.receipt, receipt.signature)
            opened = report_pb2.Receipt.FromString(receipt.receipt)
            assert opened.report_digest == hashlib.sha256(report.report).digest()
        return list(answer.receipts)

    async def close(self) -> None:
        await self._channel.close()


def packets(qname: str, qtype: int, *, blocked: bool) -> tuple[bytes, bytes]:
    """A query and the answer to it: NXDOMAIN with EDE 16, or an address."""
    query = message.query(qname, qtype, id=7)
    parsed = message.parse(query)
    answer = message.Record(parsed.questions[0].qname, message.A, message.IN, 60, bytes([192, 0, 2, 1]), "192.0.2.1")
    response = replace(
        parsed,
        is_response=True,
        rcode=message.NXDOMAIN if blocked else message.NOERROR,
        answers=() if blocked else (answer,),
        edns=message.Edns(options=(message.error_option(message.ExtendedError(16)),)) if blocked else None,
        errors=(),
    )
    return query, message.encode(response)


class ProbeClient:
    """A probe that invents what it saw, signed properly."""

    def __init__(self, authority: Authority, name: str, target: str) -> None:
        uri = f"so/probe/{name}"
        self.key = authority.keys[uri]
        self._channel = channel.connect(target, authority.material(uri), 500)
        self.stub = ProbeServiceStub(self._channel)

    async def take(self) -> probes.Assignment | None:
        answer = await self.stub.TakeAssignment(probes.TakeAssignmentRequest(), timeout=DEADLINE, wait_for_ready=True)
        return answer.assignment if answer.HasField("assignment") else None

    def observe(self, assignment: probes.Assignment, blocked: Sequence[str]) -> list[probes.SignedObservation]:
        """What it would have seen of a resolver that blocks names with these beginnings."""
        signed = []
        for question in assignment.questions:
            kept = question.qname.startswith(tuple(blocked))
            query, response = packets(question.qname, question.qtype, blocked=kept)
            _, alive = packets(question.qname, question.qtype, blocked=False)
            observation = probes.Observation(
                assignment_id=assignment.assignment_id,
                index=question.index,
                asked_at_us=int(time.time() * 1_000_000),
                resolver=probes.Exchange(outcome=1, query=query, response=response, tries=1, duration_us=900),
                reference=probes.Exchange(outcome=1, query=query, response=alive, tries=1, duration_us=900),
                second_reference=probes.Exchange(outcome=1, query=query, response=alive, tries=1, duration_us=900),
            )
            signed.append(self.sign(observation))
        return signed

    def sign(self, observation: probes.Observation) -> probes.SignedObservation:
        data = observation.SerializeToString()
        return probes.SignedObservation(
            observation=data, signature=self.key.sign(OBSERVATION, data), key_id=self.key.public.key_id
        )

    async def submit(self, signed: Sequence[probes.SignedObservation]) -> int:
        answer = await self.stub.SubmitObservations(
            probes.SubmitObservationsRequest(observations=signed), timeout=DEADLINE, wait_for_ready=True
        )
        return int(answer.stored)

    async def close(self) -> None:
        await self._channel.close()


def violated_fields(error: grpc.aio.AioRpcError) -> list[str]:
    """The fields that an INVALID_ARGUMENT names."""
    from google.rpc import error_details_pb2, status_pb2

    raw = next(value for key, value in error.trailing_metadata() or () if key == "grpc-status-details-bin")
    status = status_pb2.Status.FromString(raw)
    detail = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(detail)
    return [violation.field for violation in detail.field_violations]


async def eventually(condition: Any, what: str) -> Any:
    """Waits until an async condition brings something true."""
    deadline = time.monotonic() + DEADLINE
    while not (found := await condition()):
        assert time.monotonic() < deadline, f"never happened: {what}"
        await asyncio.sleep(0.05)
    return found
