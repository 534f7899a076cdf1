"""Turns errors into gRPC statuses: rich ones, that name the field or say when to come again.

Holds always: a caller learns what to change or when to retry, and nothing about the inside of the service.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from typing import Any, NoReturn, TypeVar

import grpc.aio
import sqlalchemy.exc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message

# Neither package carries types, and no stubs for them are locked.
from google.rpc import code_pb2, error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status  # type: ignore[import-untyped]

from compliance_api.errors import BusyError, ComplianceError, InvalidRequestError, NotPermittedError
from lachan import log, postgres
from lachan.tls import TlsError

CALL_SECONDS = 20.0
RETRY_SECONDS = 2.0

_log = log.get()

T = TypeVar("T")
Context = grpc.aio.ServicerContext[Any, Any]


def _invalid(error: InvalidRequestError) -> error_details_pb2.BadRequest:
    violations = [
        error_details_pb2.BadRequest.FieldViolation(field=one.field, description=one.description)
        for one in error.violations
    ]
    return error_details_pb2.BadRequest(field_violations=violations)


def _retry() -> error_details_pb2.RetryInfo:
    # Spread, so that those refused together do not come back together. Not a secret.
    delay = duration_pb2.Duration()
    delay.FromMilliseconds(int(1000 * RETRY_SECONDS * random.uniform(0.5, 1.5)))  # noqa: S311
    return error_details_pb2.RetryInfo(retry_delay=delay)


async def _abort(context: Context, code: int, text: str, detail: Message | None = None) -> NoReturn:
    status = status_pb2.Status(code=code, message=text)
    if detail is not None:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    rich = rpc_status.to_status(status)
    await context.abort(rich.code, rich.details, rich.trailing_metadata)


async def answer(context: Context, work: Awaitable[T]) -> T:
    """What `work` brings, within `CALL_SECONDS`; whatever it raises becomes the call's status."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            return await work
    except TlsError as error:
        await _abort(context, code_pb2.UNAUTHENTICATED, str(error))
    except NotPermittedError as error:
        await _abort(context, code_pb2.PERMISSION_DENIED, str(error))
    except InvalidRequestError as error:
        await _abort(context, code_pb2.INVALID_ARGUMENT, str(error), _invalid(error))
    except BusyError as error:
        await _abort(context, code_pb2.RESOURCE_EXHAUSTED, str(error), _retry())
    except ComplianceError as error:
        await _abort(context, code_pb2.FAILED_PRECONDITION, str(error))
    except sqlalchemy.exc.TimeoutError:
        # Every connection is busy, and was for long.
        await _abort(context, code_pb2.RESOURCE_EXHAUSTED, "too much to do", _retry())
    except postgres.FAILURES as error:
        _log.error("a call failed for want of the database", error=type(error).__name__, reason=str(error)[:500])
        await _abort(context, code_pb2.UNAVAILABLE, "the database does not answer", _retry())
    except Exception as error:  # noqa: BLE001 - gRPC would tell the caller its text
        _log.exception("a call failed", error=type(error).__name__)
        await _abort(context, code_pb2.INTERNAL, "the service failed")
