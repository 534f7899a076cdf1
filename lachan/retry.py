"""When a server that refused a call wants the same again (google.rpc.RetryInfo), for whoever calls.

Holds always: what a server asks for is bounded, so that one that is wrong, or somebody else, silences nobody for long.
"""

from __future__ import annotations

import contextlib

import grpc.aio
from google.protobuf.message import DecodeError

# This package comes with stubs for its modules but is not marked as typed.
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

MAX_SECONDS = 3600.0
_DETAILS = "grpc-status-details-bin"


def asked_delay(error: grpc.aio.AioRpcError) -> float:
    """How many seconds the server asked to wait, 0 where it did not; bounded."""
    for key, value in error.trailing_metadata() or ():
        if key != _DETAILS or not isinstance(value, bytes):
            continue
        with contextlib.suppress(DecodeError):
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.RetryInfo()
                if detail.Unpack(info):
                    seconds = float(info.retry_delay.seconds) + float(info.retry_delay.nanos) / 1e9
                    return min(max(0.0, seconds), MAX_SECONDS)
    return 0.0
