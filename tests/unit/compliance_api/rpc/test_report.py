from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from compliance_api.domain.reports.chain import Relation
from compliance_api.errors import (
    BusyError,
    ComplianceError,
    InvalidRequestError,
    NotPermittedError,
    UnavailableError,
)
from compliance_api.metrics import Metrics
from compliance_api.rpc import report
from compliance_api.rpc.report import ReportService
from compliance_api.usecases.reports.ingest import Acknowledged
from compliance_api.usecases.reports.standing import Logged
from lachan.compliance.v1 import report_pb2
from lachan.compliance.v1 import report_service_pb2 as pb
from lachan.tls import Identity, Role, TlsError
from tests.support.cases import NOW

CALLER = Identity("a", Role.NODE, "e1")


class Ingest:
    def __init__(self, *logged: Logged) -> None:
        self._logged = logged

    async def submit(self, caller: Identity, reports: Sequence[report_pb2.SignedReport]) -> list[Acknowledged]:
        assert caller == CALLER
        if not self._logged:
            raise NotPermittedError("x")
        assert len(reports) == len(self._logged)
        return [Acknowledged(report_pb2.SignedReceipt(receipt=bytes([one.index])), one) for one in self._logged]


class Context:
    async def abort(self, *_: object) -> None:
        raise ConnectionAbortedError


async def submit(metrics: Metrics, monkeypatch: pytest.MonkeyPatch, *logged: Logged) -> pb.SubmitReportsResponse:
    monkeypatch.setattr(report, "caller", lambda _: CALLER)
    ingest: Any = Ingest(*logged)
    context: Any = Context()
    request = pb.SubmitReportsRequest(reports=[report_pb2.SignedReport()] * max(1, len(logged)))
    return await ReportService(ingest, metrics).SubmitReports(request, context)


async def test_receipts_stand_in_order_and_results_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics()
    answer = await submit(
        metrics,
        monkeypatch,
        Logged(1, NOW, Relation.GAP, again=False),
        Logged(2, NOW, None, again=False),
        Logged(3, NOW, Relation.GAP, again=True),
    )
    assert [one.receipt for one in answer.receipts] == [b"\1", b"\2", b"\3"]
    with pytest.raises(ConnectionAbortedError):
        await submit(metrics, monkeypatch)
    for result in ("gap", "unverified", "again", "refused"):
        assert metrics.registry.get_sample_value("lachan_compliance_reports_total", {"result": result}) == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TlsError("x"), "unauthenticated"),
        (NotPermittedError("x"), "not_permitted"),
        (InvalidRequestError([]), "invalid"),
        (BusyError("x"), "busy"),
        (UnavailableError("x"), "unavailable"),
        (ComplianceError("x"), "precondition"),
        (KeyError("x"), "failed"),
        (asyncio.CancelledError(), "cancelled"),
    ],
)
async def test_a_refusal_is_counted_by_its_reason(
    error: BaseException, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        async def submit(self, *_: object) -> None:
            raise error

    monkeypatch.setattr(report, "caller", lambda _: CALLER)
    metrics, ingest, context = Metrics(), Refusing(), Context()
    service: Any = ReportService(ingest, metrics)  # type: ignore[arg-type] # it has what is called
    with pytest.raises((ConnectionAbortedError, asyncio.CancelledError)):
        await service.SubmitReports(pb.SubmitReportsRequest(reports=[report_pb2.SignedReport()]), context)
    sample = "lachan_compliance_refused_calls_total"
    assert metrics.registry.get_sample_value(sample, {"reason": reason}) == 1
