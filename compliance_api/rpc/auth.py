"""Who may call: looked up for every call, before any of the services sees it.

Holds always: a service is called only by a party that the membership knows at a moment after the call came, with a
certificate that was verified against its organisation's authorities and not revoked, within its own and its
organisation's share; whoever is revoked while an answer streams to them is cut off there. Health and reflection say
nothing of anybody, and answer whoever TLS lets in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn

import grpc
import grpc.aio

# It carries no types, and no stubs for it are locked.
from google.rpc import code_pb2  # type: ignore[import-untyped]

from compliance_api.domain.parties.credential import Membership, Objection, Shown
from compliance_api.identity.anchors import Anchors
from compliance_api.rpc.errors import Context, answer, end
from compliance_api.usecases.membership.membership import Directory
from compliance_api.usecases.membership.share import Shares
from lachan import channel
from lachan.errors import LachanError
from lachan.status import Refusal
from lachan.tls import TlsError

_OPEN = ("/grpc.health.v1.Health/", "/grpc.reflection.")
_WORDS = {
    Objection.UNKNOWN: "is not in the registry",
    Objection.REVOKED: "was revoked",
    Objection.NOT_ISSUED: "was not issued this certificate here",
}


class TurnedAwayError(LachanError):
    """Somebody may not call; told by its reason."""

    def __init__(self, objection: Objection, text: str) -> None:
        self.objection = objection
        super().__init__(text)


def weight(request: Any) -> int:
    """How many reports or observations a request brings."""
    return max((len(getattr(request, name, ())) for name in ("reports", "observations")), default=0)


class _Session:
    """A call whose answer is a stream."""

    def __init__(self, shown: Shown) -> None:
        self.shown = shown
        self.ended = asyncio.Event()


class Guard(grpc.aio.ServerInterceptor):
    """Stands before every service."""

    def __init__(
        self,
        directory: Directory,
        own: Callable[[], bytes],
        shares: Shares,
        clock: Callable[[], datetime],
        refused: Callable[[Objection], None],
    ) -> None:
        """Stands guard.

        Args:
            directory: The membership.
            own: This system's own authorities (PEM), as they stand now.
            shares: What each caller may take.
            clock: The time.
            refused: Told of everybody who is turned away.
        """
        self._directory = directory
        self._own = own
        self._shares = shares
        self._clock = clock
        self._refused = refused
        self._anchors = Anchors()
        self._sessions: set[_Session] = set()
        directory.tell(self._look_again)

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """The service's handler with the guard before it."""
        handler = await continuation(details)
        if handler is None or details.method.startswith(_OPEN):
            return handler
        codec = handler.request_deserializer, handler.response_serializer
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(self._single(handler.unary_unary), *codec)
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(self._stream(handler.unary_stream), *codec)
        # Nothing here takes a stream from a caller; what nobody has thought through is not answered.
        return None

    def _single(self, inner: Callable[[Any, Context], Awaitable[Any]]) -> Callable[[Any, Context], Awaitable[Any]]:
        async def call(request: Any, context: Context) -> Any:
            await self._admitted(request, context)
            return await inner(request, context)

        return call

    def _stream(
        self, inner: Callable[[Any, Context], AsyncIterator[Any]]
    ) -> Callable[[Any, Context], AsyncIterator[Any]]:
        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            with self._session(await self._admitted(request, context)) as session:
                source = aiter(inner(request, context))
                ended = asyncio.ensure_future(session.ended.wait())
                try:
                    while (step := await _next_unless(source, ended)) is not None:
                        yield step[0]
                finally:
                    ended.cancel()
                if session.ended.is_set():
                    await self._turn_away(context, self._objection(session.shown))

        return call

    @contextmanager
    def _session(self, shown: Shown) -> Iterator[_Session]:
        session = _Session(shown)
        self._sessions.add(session)
        try:
            yield session
        finally:
            self._sessions.discard(session)

    def _look_again(self, membership: Membership) -> None:
        for session in self._sessions:
            if membership.objection(session.shown) is not None:
                session.ended.set()

    def _objection(self, shown: Shown) -> TurnedAwayError:
        objection = self._directory.last.objection(shown) or Objection.REVOKED
        return TurnedAwayError(objection, f"{shown.identity} {_WORDS[objection]}")

    async def _admitted(self, request: Any, context: Context) -> Shown:
        shown = await answer(context, self._admit(context))
        if isinstance(shown, TurnedAwayError):
            await self._turn_away(context, shown)
        wait = await answer(context, self._shares.take(shown.identity, weight(request)))
        if wait:
            self._refused(Objection.LIMIT)
            text = f"{shown.identity} asks for more than its share"
            await end(context, Refusal(code_pb2.RESOURCE_EXHAUSTED, text, retry=True, after=wait))
        return shown

    async def _admit(self, context: Context) -> Shown | TurnedAwayError:
        membership = await self._directory.fresh()
        try:
            return self.judge(membership, *channel.peer(context))
        except TurnedAwayError as error:
            return error

    def judge(self, membership: Membership, leaf: bytes, between: bytes) -> Shown:
        """Who shows this certificate, with these between it and an authority; all PEM.

        Raises:
            TurnedAwayError: They may not call.
        """
        try:
            shown = self._anchors.shown(leaf)
        except TlsError as error:
            raise TurnedAwayError(Objection.NAMELESS, str(error)) from error
        roots = membership.roots(shown.identity.organisation)
        if roots is None:
            raise TurnedAwayError(Objection.UNKNOWN, f"{shown.identity} {_WORDS[Objection.UNKNOWN]}")
        try:
            self._anchors.verify(leaf, between, roots or self._own(), self._clock())
        except TlsError as error:
            raise TurnedAwayError(Objection.UNTRUSTED, f"{shown.identity}: {error}") from error
        objection = membership.objection(shown)
        if objection is not None:
            raise TurnedAwayError(objection, f"{shown.identity} {_WORDS[objection]}")
        return shown

    async def _turn_away(self, context: Context, error: TurnedAwayError) -> NoReturn:
        self._refused(error.objection)
        known = error.objection not in {Objection.NAMELESS, Objection.UNTRUSTED}
        code = code_pb2.PERMISSION_DENIED if known else code_pb2.UNAUTHENTICATED
        await end(context, Refusal(code, str(error)))


async def _next_unless(source: AsyncIterator[Any], ended: asyncio.Future[Any]) -> tuple[Any] | None:
    """What comes next, None at the end or where `ended` came first."""
    step = asyncio.ensure_future(anext(source, ended))
    try:
        await asyncio.wait({step, ended}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not step.done():
            step.cancel()
            await asyncio.wait({step})
    if ended.done() or step.result() is ended:
        return None
    return (step.result(),)
