"""ReportService: takes what nodes claim."""

from __future__ import annotations

import asyncio
import time

from compliance_api.errors import BusyError, ComplianceError, InvalidRequestError, NotPermittedError, UnavailableError
from compliance_api.metrics import Metrics
from compliance_api.rpc.errors import Context, answer
from compliance_api.usecases.reports.ingest import Acknowledged, Ingest
from lachan.channel import caller
from lachan.compliance.v1 import report_service_pb2 as pb
from lachan.compliance.v1.report_service_pb2_grpc import ReportServiceServicer
from lachan.tls import TlsError

_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (TlsError, "unauthenticated"),
    (NotPermittedError, "not_permitted"),
    (InvalidRequestError, "invalid"),
    (BusyError, "busy"),
    (UnavailableError, "unavailable"),
    (ComplianceError, "precondition"),
    # The caller has gone, or the time for one call is over.
    (asyncio.CancelledError, "cancelled"),
    (Exception, "failed"),
)


def _result(one: Acknowledged) -> str:
    if one.logged.again:
        return "again"
    return str(one.logged.relation or "unverified")


def _reason(error: BaseException) -> str:
    """A label from a closed set."""
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "failed")


class ReportService(ReportServiceServicer):
    """The gRPC face of `compliance_api.usecases.reports.ingest`."""

    def __init__(self, ingest: Ingest, metrics: Metrics) -> None:
        self._ingest = ingest
        self._metrics = metrics

    async def SubmitReports(  # noqa: N802 - gRPC's name
        self, request: pb.SubmitReportsRequest, context: Context
    ) -> pb.SubmitReportsResponse:
        """Stores each report once and answers with its receipt."""
        return await answer(context, self._submit(request, context))

    async def _submit(self, request: pb.SubmitReportsRequest, context: Context) -> pb.SubmitReportsResponse:
        began = time.monotonic()
        try:
            acknowledged = await self._ingest.submit(caller(context), request.reports)
        except BaseException as error:
            self._metrics.ingest.refused.labels(_reason(error)).inc()
            self._metrics.reports.labels("refused").inc(len(request.reports))
            raise
        for one in acknowledged:
            self._metrics.reports.labels(_result(one)).inc()
        self._metrics.ingest.call.observe(time.monotonic() - began)
        return pb.SubmitReportsResponse(receipts=[one.receipt for one in acknowledged])
