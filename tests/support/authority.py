"""A real small ReportService over mutual TLS: keeps what it is given, and answers wrongly or not at all if told to."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import grpc
import grpc.aio
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from compliance_api.identity import pki
from lachan import channel, signing, tls
from lachan.compliance.v1 import report_pb2 as pb
from lachan.compliance.v1 import report_service_pb2 as service
from lachan.compliance.v1 import report_service_pb2_grpc as stubs
from lachan.signing import SigningKey
from lachan.tls import Identity, Role, TlsFiles

Spoil = Callable[[pb.SignedReceipt, SigningKey], pb.SignedReceipt | None]
"""From a right receipt to what is sent in its place, None for nothing."""
Verdict = Callable[[pb.Report], grpc.StatusCode | None]


class Papers:
    """A certificate authority in a folder, and what it issues."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca"
        if not self.ca.exists():
            pki.init(self.ca, datetime.now(UTC))

    def issue(self, organisation: str, role: Role, name: str) -> TlsFiles:
        """The files of a party; issued once."""
        out = self.folder / f"{organisation}-{role}-{name}"
        if not out.exists():
            uri = str(Identity(organisation, role, name))
            pki.issue(self.ca, out, uri, datetime.now(UTC), dns=("localhost",), addresses=("127.0.0.1",), days=1)
        return TlsFiles(ca=out / "ca.pem", certificate=out / "certificate.pem", key=out / "key.pem")


class Authority(stubs.ReportServiceServicer):
    """Stores each report once. Its switches may be turned at any time.

    Attributes:
        reports: Reports accepted, in the order of their arrival.
        calls: How many reports each call carried.
        spoil: What to do to receipts.
        verdict: Which reports make the whole call fail, and how.
        gate: Calls wait until it is set.
    """

    def __init__(self, folder: Path) -> None:
        self.papers = Papers(folder)
        self.key = SigningKey.generate()
        self.key_file = folder / "authority.pem"
        self.key_file.write_bytes(self.key.public.pem())
        self.reports: list[pb.SignedReport] = []
        self.calls: list[int] = []
        self.callers: set[str] = set()
        self.spoil: Spoil | None = None
        self.verdict: Verdict = lambda _: None
        self.gate = asyncio.Event()
        self.gate.set()
        self.retry_seconds = 0.0
        self.port = 0
        self._known: dict[bytes, int] = {}
        self._changed = asyncio.Condition()
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Serves, on the same port every time."""
        self._server = channel.server()
        stubs.add_ReportServiceServicer_to_server(self, self._server)
        self.serve_more(self._server)
        material = tls.load(self.papers.issue("authority", Role.SERVICE, "compliance"))
        self.port = channel.bind(self._server, f"127.0.0.1:{self.port}", material)
        await self._server.start()

    def serve_more(self, server: grpc.aio.Server) -> None:
        """For who has more services."""

    async def stop(self) -> None:
        """Is gone; calls under way are cut off."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    @property
    def target(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    def parsed(self) -> list[pb.Report]:
        """The reports accepted, read."""
        return [pb.Report.FromString(report.report) for report in self.reports]

    async def until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        """Waits until a call made the condition true."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(condition)

    async def SubmitReports(  # noqa: N802 - the contract's name
        self, request: service.SubmitReportsRequest, context: grpc.aio.ServicerContext
    ) -> service.SubmitReportsResponse:
        """As the contract says, unless told otherwise."""
        await self.gate.wait()
        self.callers.add(str(channel.caller(context)))
        self.calls.append(len(request.reports))
        for report in request.reports:
            code = self.verdict(pb.Report.FromString(report.report))
            if code is not None:
                await self._changed_now()
                await self._abort(context, code)
        receipts = [self._store(report) for report in request.reports]
        if self.spoil is not None:
            receipts = [spoilt for receipt in receipts if (spoilt := self.spoil(receipt, self.key)) is not None]
        await self._changed_now()
        return service.SubmitReportsResponse(receipts=receipts)

    async def _changed_now(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _abort(self, context: grpc.aio.ServicerContext, code: grpc.StatusCode) -> None:
        status = status_pb2.Status(code=code_pb2.Code.Value(code.name), message="told to")
        if self.retry_seconds:
            delay = duration_pb2.Duration()
            delay.FromMilliseconds(int(self.retry_seconds * 1000))
            detail = any_pb2.Any()
            detail.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
            status.details.append(detail)
        await context.abort(code, "told to", (("grpc-status-details-bin", status.SerializeToString()),))

    def _store(self, report: pb.SignedReport) -> pb.SignedReceipt:
        digest = hashlib.sha256(report.report).digest()
        if digest not in self._known:
            self._known[digest] = len(self.reports)
            self.reports.append(report)
        receipt = pb.Receipt(report_digest=digest, index=self._known[digest], accepted_at=1).SerializeToString()
        return pb.SignedReceipt(
            receipt=receipt, signature=self.key.sign(signing.RECEIPT, receipt), key_id=self.key.public.key_id
        )
