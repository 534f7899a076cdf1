"""How the registry's calls run: each bounded in time, logged with its caller and how it ended, its errors told.

Holds always: every call is logged under its method's name, whoever makes it and however it ends, never with a name of
the list; what it raises becomes a status that says what to change, and nothing about the inside of the service.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

# It carries no types, and no stubs for it are locked.
from google.rpc import code_pb2  # type: ignore[import-untyped]

from blocklist_sync.central.canonical import CanonicalError
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log.changes import ChangesError
from blocklist_sync.central.rails import rails
from blocklist_sync.central.rails.rails import Finding, RailError
from blocklist_sync.central.registry.errors import (
    BusyError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    NotPermittedError,
)
from lachan import channel, log, status
from lachan.status import Context, Refusal

MAX_UPLOADS = 4
UPLOAD_SECONDS = 900.0
IDLE_SECONDS = 60.0
DOWNLOAD_SECONDS = 900.0
# What a call's end carries is bounded by gRPC's headers.
MAX_RAILS_TOLD = 6
MAX_RAIL_CHARACTERS = 300

_log = log.get()

Request = TypeVar("Request")
Response = TypeVar("Response")


class Serving(Protocol):
    """A service whose calls these are."""

    @property
    def uploads(self) -> asyncio.Semaphore:
        """How many uploads may be on their way at once."""


Service = TypeVar("Service", bound=Serving)


def translate(error: Exception) -> Refusal | None:
    """What the registry's errors mean to whoever called."""
    text = str(error)
    if isinstance(error, InvalidRequestError):
        return Refusal(code_pb2.INVALID_ARGUMENT, text, error.violations)
    if isinstance(error, ChangesError):
        return Refusal(code_pb2.INVALID_ARGUMENT, text, [(f"changes:{error.line}", error.reason)])
    if isinstance(error, CanonicalError):
        return Refusal(code_pb2.INVALID_ARGUMENT, text, [("header", text)])
    if isinstance(error, RailError):
        shown = [(f"rails.{one.rail}", _told(one)) for one in error.findings[:MAX_RAILS_TOLD]]
        reasons = "; ".join(f"{rail.removeprefix('rails.')}: {detail}" for rail, detail in shown)
        return Refusal(code_pb2.INVALID_ARGUMENT, f"rails stand against it: {reasons}", shown)
    if isinstance(error, NotPermittedError):
        return Refusal(code_pb2.PERMISSION_DENIED, text)
    if isinstance(error, NotFoundError):
        return Refusal(code_pb2.NOT_FOUND, text)
    if isinstance(error, ConflictError):
        return Refusal(code_pb2.ALREADY_EXISTS, text)
    if isinstance(error, BusyError):
        return Refusal(code_pb2.RESOURCE_EXHAUSTED, text, retry=True)
    if isinstance(error, CentralError):
        return Refusal(code_pb2.FAILED_PRECONDITION, text)
    return None


def _told(finding: Finding) -> str:
    """What a rail found, and whether the proposal may go on with two approvers."""
    advice = " (override it, and two people have to approve)" if rails.overridable([finding]) else ""
    return finding.detail[:MAX_RAIL_CHARACTERS] + advice


@asynccontextmanager
async def _made(context: Context, method: str, seconds: float) -> AsyncIterator[None]:
    try:
        caller = str(channel.caller(context))
    except Exception as error:  # noqa: BLE001  whatever is wrong with it, it is said below
        caller = type(error).__name__
    async with status.answering(context, translate, seconds):
        try:
            yield
        except CentralError as error:
            # Only the kind: the text may hold a name.
            _log.warning("registry call refused", method=method, caller=caller, reason=type(error).__name__)
            raise
        _log.info("registry call", method=method, caller=caller)


def unary(
    work: Callable[[Service, Request, Context], Awaitable[Response]], seconds: float = status.CALL_SECONDS
) -> Callable[[Service, Request, Context], Coroutine[Any, Any, Response]]:
    """A call with one question and one answer."""

    @functools.wraps(work)
    async def answer(self: Service, request: Request, context: Context) -> Response:
        async with _made(context, work.__name__, seconds):
            return await work(self, request, context)
        raise AssertionError("the block returns or raises")

    return answer


def weighing(
    work: Callable[[Service, Request, Context], Awaitable[Response]],
) -> Callable[[Service, Request, Context], Coroutine[Any, Any, Response]]:
    """The same, where the answer takes as much reading as an upload."""
    return unary(work, UPLOAD_SECONDS)


def upload(
    work: Callable[[Service, AsyncIterator[Request], Context], Awaitable[Response]],
) -> Callable[[Service, AsyncIterator[Request], Context], Coroutine[Any, Any, Response]]:
    """A call whose question comes in parts; few of them at once."""

    @functools.wraps(work)
    async def answer(self: Service, request_iterator: AsyncIterator[Request], context: Context) -> Response:
        async with _made(context, work.__name__, UPLOAD_SECONDS):
            if self.uploads.locked():
                raise BusyError(f"{MAX_UPLOADS} uploads are on their way already")
            async with self.uploads:
                return await work(self, _within(request_iterator), context)
        raise AssertionError("the block returns or raises")

    return answer


def download(
    work: Callable[[Service, Request, Context], AsyncIterator[Response]],
) -> Callable[[Service, Request, Context], AsyncIterator[Response]]:
    """A call whose answer goes in parts."""

    @functools.wraps(work)
    async def answer(self: Service, request: Request, context: Context) -> AsyncIterator[Response]:
        async with _made(context, work.__name__, DOWNLOAD_SECONDS):
            async for part in work(self, request, context):
                yield part

    return answer


async def _within(requests: AsyncIterator[Request]) -> AsyncIterator[Request]:
    """The messages of a stream, none of which may be waited for longer than `IDLE_SECONDS`."""
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                message = await anext(requests)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise InvalidRequestError([("part", f"nothing came for {IDLE_SECONDS:.0f} s")]) from error
        yield message
