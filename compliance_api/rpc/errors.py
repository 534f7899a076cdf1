"""What this service's errors mean to whoever called.

Holds always: a caller learns what to change or when to retry, and nothing about the inside of the service.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

# It carries no types, and no stubs for it are locked.
from google.rpc import code_pb2  # type: ignore[import-untyped]

from compliance_api.errors import (
    BusyError,
    ComplianceError,
    InvalidRequestError,
    NotFoundError,
    NotPermittedError,
    UnavailableError,
)
from lachan import status
from lachan.status import Context, Refusal, end

T = TypeVar("T")

__all__ = ["Context", "answer", "end"]


def _translate(error: Exception) -> Refusal | None:
    if isinstance(error, NotPermittedError):
        return Refusal(code_pb2.PERMISSION_DENIED, str(error))
    if isinstance(error, NotFoundError):
        return Refusal(code_pb2.NOT_FOUND, str(error))
    if isinstance(error, InvalidRequestError):
        violations = [(one.field, one.description) for one in error.violations]
        return Refusal(code_pb2.INVALID_ARGUMENT, str(error), violations)
    if isinstance(error, BusyError):
        return Refusal(code_pb2.RESOURCE_EXHAUSTED, str(error), retry=True)
    if isinstance(error, UnavailableError):
        return Refusal(code_pb2.UNAVAILABLE, "the database does not answer", retry=True)
    if isinstance(error, ComplianceError):
        return Refusal(code_pb2.FAILED_PRECONDITION, str(error))
    return None


async def answer(context: Context, work: Awaitable[T]) -> T:
    """What `work` brings, within `status.CALL_SECONDS`; whatever it raises becomes the call's status."""
    return await status.answer(context, work, _translate)
