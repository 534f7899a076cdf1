"""Turns errors into gRPC statuses: rich ones, that name the field or say when to come again.

Holds always: a caller learns what to change or when to retry, and nothing about the inside of the service.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import grpc.aio
import sqlalchemy.exc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message

# Neither package carries types, and no stubs for them are locked.
from google.rpc import code_pb2, error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status  # type: ignore[import-untyped]

from lachan import log, postgres
from lachan.tls import TlsError

CALL_SECONDS = 20.0
RETRY_SECONDS = 2.0

_log = log.get()

T = TypeVar("T")
Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True)
class Refusal:
    """How a call ends that is not answered."""

    code: int
    """Of google.rpc.Code."""
    text: str
    violations: Sequence[tuple[str, str]] = ()
    """Fields of the request, and what is wrong with each."""
    retry: bool = False
    """The same call may succeed later."""
    after: float = 0.0
    """Seconds before which it cannot."""


Translate = Callable[[Exception], Refusal | None]
"""What a service's own errors mean; None for all others."""


def _invalid(violations: Sequence[tuple[str, str]]) -> error_details_pb2.BadRequest:
    return error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
            for field, description in violations
        ]
    )


def _retry(after: float) -> error_details_pb2.RetryInfo:
    # Spread, so that those refused together do not come back together. Not a secret.
    delay = duration_pb2.Duration()
    delay.FromMilliseconds(int(1000 * (after + RETRY_SECONDS * random.uniform(0.5, 1.5))))  # noqa: S311
    return error_details_pb2.RetryInfo(retry_delay=delay)


async def end(context: Context, refusal: Refusal) -> NoReturn:
    """Ends a call; gRPC's own exception leaves the handler."""
    details: list[Message] = []
    if refusal.violations:
        details.append(_invalid(refusal.violations))
    if refusal.retry:
        details.append(_retry(refusal.after))
    status = status_pb2.Status(code=refusal.code, message=refusal.text)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    rich = rpc_status.to_status(status)
    await context.abort(rich.code, rich.details, rich.trailing_metadata)
    raise AssertionError("abort raises")


def refusal_of(error: Exception, translate: Translate) -> Refusal:
    """How a call ends that raised `error`; what the caller may not know is logged."""
    if isinstance(error, TlsError):
        return Refusal(code_pb2.UNAUTHENTICATED, str(error))
    if (own := translate(error)) is not None:
        return own
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        # Every connection is busy, and was for long.
        return Refusal(code_pb2.RESOURCE_EXHAUSTED, "too much to do", retry=True)
    if isinstance(error, postgres.FAILURES):
        _log.error("a call failed for want of the database", error=type(error).__name__, reason=str(error)[:500])
        return Refusal(code_pb2.UNAVAILABLE, "the database does not answer", retry=True)
    _log.error("a call failed", error=type(error).__name__, exc_info=error)
    return Refusal(code_pb2.INTERNAL, "the service failed")


@asynccontextmanager
async def answering(context: Context, translate: Translate, seconds: float = CALL_SECONDS) -> AsyncIterator[None]:
    """Runs a block within `seconds`; whatever it raises becomes the call's status."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except grpc.aio.AbortError:
        raise
    except Exception as error:  # noqa: BLE001 - gRPC would tell the caller its text
        await end(context, refusal_of(error, translate))


async def answer(context: Context, work: Awaitable[T], translate: Translate, seconds: float = CALL_SECONDS) -> T:
    """What `work` brings, within `seconds`; whatever it raises becomes the call's status."""
    async with answering(context, translate, seconds):
        return await work
    raise AssertionError("the block returns or raises")
