"""What a person's machine is told, and what it makes of a refusal."""

from __future__ import annotations

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.registry.client import refusals


def refused(code: grpc.StatusCode, text: str, *fields: tuple[str, str]) -> str:
    violations = [error_details_pb2.BadRequest.FieldViolation(field=f, description=d) for f, d in fields]
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.BadRequest(field_violations=violations))
    status = status_pb2.Status(code=code.value[0], message=text, details=[detail] if fields else [])
    metadata = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    try:
        with refusals():
            raise grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, text)
    except CentralError as error:
        return str(error)
    return ""


def test_a_refusal_says_which_fields_are_wrong() -> None:
    told = refused(grpc.StatusCode.INVALID_ARGUMENT, "both", ("name", "none"), ("changes:7", "not sorted"))
    assert told == "refused by the registry: name: none\nchanges:7: not sorted"
    assert refused(grpc.StatusCode.PERMISSION_DENIED, "not you") == "refused by the registry: not you"
    assert refused(grpc.StatusCode.UNAVAILABLE, "away") == "the registry does not answer: away"
