from __future__ import annotations

from typing import Any

import grpc
import pytest
import sqlalchemy.exc
from google.rpc import error_details_pb2, status_pb2

from compliance_api.errors import (
    BusyError,
    ComplianceError,
    InvalidRequestError,
    NotPermittedError,
    Violation,
)
from compliance_api.rpc.errors import answer
from lachan.tls import TlsError


class Aborted(Exception):  # noqa: N818 - as gRPC ends a handler
    pass


class Context:
    def __init__(self) -> None:
        self.code: grpc.StatusCode | None = None
        self.text = ""
        self.metadata: dict[str, Any] = {}

    async def abort(self, code: grpc.StatusCode, text: str, metadata: Any = ()) -> None:
        self.code, self.text, self.metadata = code, text, dict(metadata or ())
        raise Aborted


async def failed(error: Exception) -> Context:
    async def work() -> None:
        raise error

    context: Any = Context()
    with pytest.raises(Aborted):
        await answer(context, work())
    return context


def detail(context: Context, kind: Any) -> Any:
    found = kind()
    assert status_pb2.Status.FromString(context.metadata["grpc-status-details-bin"]).details[0].Unpack(found)
    return found


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TlsError("x"), grpc.StatusCode.UNAUTHENTICATED),
        (NotPermittedError("x"), grpc.StatusCode.PERMISSION_DENIED),
        (InvalidRequestError([]), grpc.StatusCode.INVALID_ARGUMENT),
        (BusyError("x"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (sqlalchemy.exc.TimeoutError("x"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (ComplianceError("x"), grpc.StatusCode.FAILED_PRECONDITION),
        (ConnectionRefusedError("x"), grpc.StatusCode.UNAVAILABLE),
        (TimeoutError("x"), grpc.StatusCode.UNAVAILABLE),
        (sqlalchemy.exc.OperationalError("SELECT secret", {}, Exception("x")), grpc.StatusCode.UNAVAILABLE),
        (KeyError("secret"), grpc.StatusCode.INTERNAL),
    ],
)
async def test_each_error_has_its_code_and_tells_nothing_of_the_inside(error: Exception, code: grpc.StatusCode) -> None:
    context = await failed(error)
    assert context.code is code
    assert "secret" not in context.text


async def test_a_violation_names_its_field() -> None:
    context = await failed(InvalidRequestError([Violation("reports[2].report.sequence", "at least 1")]))
    (violation,) = detail(context, error_details_pb2.BadRequest).field_violations
    assert (violation.field, violation.description) == ("reports[2].report.sequence", "at least 1")


async def test_who_comes_too_early_is_told_when_to_come_again() -> None:
    delays = {
        detail(await failed(BusyError("x")), error_details_pb2.RetryInfo).retry_delay.ToMilliseconds()
        for _ in range(20)
    }
    assert all(1000 <= delay <= 3000 for delay in delays)
    assert len(delays) > 1, "those refused together do not come back together"


async def test_an_answer_passes_through() -> None:
    async def work() -> int:
        return 7

    context: Any = Context()
    assert await answer(context, work()) == 7
