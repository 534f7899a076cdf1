from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from lachan.retry import MAX_SECONDS, asked_delay


def refused(*details: Any, raw: bytes | None = None) -> grpc.aio.AioRpcError:
    status = status_pb2.Status(code=8)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    found = ("grpc-status-details-bin", status.SerializeToString() if raw is None else raw)
    return grpc.aio.AioRpcError(grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.aio.Metadata(), grpc.aio.Metadata(found))


def after(seconds: int, nanos: int = 0) -> Any:
    return error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=seconds, nanos=nanos))


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (refused(after(2, 500_000_000)), 2.5),
        (refused(error_details_pb2.BadRequest(), after(3)), 3.0),
        (refused(after(10**9)), MAX_SECONDS),
        (refused(after(-5)), 0.0),
        (refused(), 0.0),
        (refused(raw=b"\xff\xff"), 0.0),
    ],
)
def test_what_is_asked_for_is_bounded(error: grpc.aio.AioRpcError, seconds: float) -> None:
    assert asked_delay(error) == seconds
