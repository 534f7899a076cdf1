"""How a call ends that is not answered."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from lachan import status
from lachan.status import Refusal, answering


class Context:
    """A call's context, as far as it is ended."""

    def __init__(self) -> None:
        self.code: grpc.StatusCode | None = None
        self.text = ""
        self.details: list[Any] = []

    async def abort(self, code: grpc.StatusCode, text: str, metadata: Any = ()) -> None:
        self.code, self.text = code, text
        self.details = list(status_pb2.Status.FromString(dict(metadata)["grpc-status-details-bin"]).details)
        raise grpc.aio.AbortError


def own(error: Exception) -> Refusal | None:
    if isinstance(error, LookupError):
        return Refusal(code_pb2.INVALID_ARGUMENT, "x", [("name", "none"), ("size", "too large")], retry=True)
    return None


async def ended(error: Exception, seconds: float = 10.0) -> Context:
    context: Any = Context()
    with pytest.raises(grpc.aio.AbortError):
        async with answering(context, own, seconds):
            raise error
    found: Context = context
    return found


async def test_a_refusal_names_fields_and_says_when_to_come_again() -> None:
    context = await ended(KeyError("secret"))
    assert context.code is grpc.StatusCode.INVALID_ARGUMENT
    request, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    assert context.details[0].Unpack(request)
    assert context.details[1].Unpack(retry)
    assert [(one.field, one.description) for one in request.field_violations] == [
        ("name", "none"),
        ("size", "too large"),
    ]
    assert 1000 <= retry.retry_delay.ToMilliseconds() <= 3000


async def test_what_is_not_foreseen_tells_nothing_of_the_inside() -> None:
    context = await ended(ZeroDivisionError("secret"))
    assert (context.code, context.text) == (grpc.StatusCode.INTERNAL, "the service failed")
    assert context.details == []


async def test_a_call_has_its_time() -> None:
    context: Any = Context()
    with pytest.raises(grpc.aio.AbortError):
        async with answering(context, own, 0.001):
            await asyncio.Event().wait()
    assert context.code is grpc.StatusCode.UNAVAILABLE


async def test_what_was_ended_already_stays_as_it_is() -> None:
    context: Any = Context()
    with pytest.raises(grpc.aio.AbortError):
        async with answering(context, own):
            await status.end(context, Refusal(code_pb2.NOT_FOUND, "nothing"))
    assert context.code is grpc.StatusCode.NOT_FOUND
