"""ReleaseService: new releases announced to edges over streams, over mutual TLS.

Holds always: only nodes are answered; a stream keeps no queue, it is told what is offered when it can take it; streams
are bounded for each node and in all, and one that takes nothing for `write_timeout` ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from blocklist_sync.central.serving.admission import Admission
from blocklist_sync.central.serving.bulletin import Bulletin
from blocklist_sync.central.serving.counting import CallCounter
from blocklist_sync.central.serving.membership import Shown
from blocklist_sync.central.serving.metrics import Metrics
from blocklist_sync.central.serving.settings import PushSettings
from lachan import channel, log, tls
from lachan.blocklist.v1 import release_service_pb2 as pb
from lachan.blocklist.v1 import release_service_pb2_grpc as rpc
from lachan.tls import TlsError

CLOSE_SECONDS = 1.0
SPARE_CALLS = 256
_CODES = {"closing": grpc.StatusCode.UNAVAILABLE, "revoked": grpc.StatusCode.PERMISSION_DENIED}

Context = grpc.aio.ServicerContext[Any, Any]


class _Stream:
    """One edge that listens."""

    def __init__(self, shown: Shown) -> None:
        self.shown = shown
        self.node = shown.identity
        self.wake = asyncio.Event()
        self.ended = ""


class ReleaseService(rpc.ReleaseServiceServicer):
    """Announces what a bulletin says."""

    def __init__(self, bulletin: Bulletin, settings: PushSettings, admission: Admission) -> None:
        self._bulletin = bulletin
        self._admission = admission
        if admission.followed is not None:
            admission.followed.tell(self._look_again)
        self._settings = settings
        # By age: the first of a node is its oldest.
        self._streams: list[_Stream] = []
        self._closed = False
        self.dropped: Counter[str] = Counter()
        """Streams ended or refused here, by reason."""

    @property
    def streams(self) -> int:
        """How many there are."""
        return len(self._streams)

    def close(self) -> None:
        """Ends every stream, so that edges look for another server at once."""
        self._closed = True
        for stream in self._streams:
            self._end(stream, "closing")

    def _look_again(self) -> None:
        """Ends the streams of who was ended, or is let in no more."""
        for stream in self._streams:
            if self._admission.refusal(stream.shown, people=False) is not None:
                self._end(stream, "revoked")

    @staticmethod
    def _end(stream: _Stream, reason: str) -> None:
        stream.ended = reason
        stream.wake.set()

    async def WatchReleases(  # type: ignore[override]  # noqa: N802  # writes itself: a generator could not time a write
        self, request: pb.WatchReleasesRequest, context: Context
    ) -> None:
        """Announces until the edge leaves."""
        del request
        async with self._admitted(context) as stream:
            while not stream.ended:
                stream.wake.clear()
                now = self._bulletin.current
                message = pb.WatchReleasesResponse(
                    serial=now.serial, records_digest=now.records_digest, urgent=now.urgent
                )
                try:
                    async with asyncio.timeout(self._settings.write_timeout):
                        await context.write(message)
                except TimeoutError:
                    stream.ended = "slow"
                    break
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stream.wake.wait(), self._settings.heartbeat)
            self.dropped[stream.ended] += 1
            code = _CODES.get(stream.ended, grpc.StatusCode.RESOURCE_EXHAUSTED)
            await context.abort(code, f"ended by the server: {stream.ended}")

    @contextlib.asynccontextmanager
    async def _admitted(self, context: Context) -> AsyncIterator[_Stream]:
        shown = await self._caller(context)
        own = [stream for stream in self._streams if stream.node == shown.identity and not stream.ended]
        if len(own) >= self._settings.max_streams_per_node:
            # Rather a connection that is dead and does not know it than the edge that has just come back.
            self._end(own[0], "replaced")
        elif self._closed or len(self._streams) >= self._settings.max_streams:
            self.dropped["full"] += 1
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no more streams here")
        stream = _Stream(shown)
        self._streams.append(stream)
        forget = self._bulletin.subscribe(stream.wake.set)
        try:
            yield stream
        finally:
            forget()
            self._streams.remove(stream)

    async def _caller(self, context: Context) -> Shown:
        try:
            shown = Shown.of(channel.peer(context)[0])
        except TlsError as error:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
        refusal = self._admission.refusal(shown, people=False)
        if refusal is not None:
            log.get().warning("caller refused", caller=str(shown.identity), reason=refusal)
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, refusal)
        return shown


class Announcements:
    """The server that edges listen to, and the bulletin behind it."""

    def __init__(
        self, server: grpc.aio.Server, service: ReleaseService, watching: asyncio.Task[None], port: int
    ) -> None:
        self._server = server
        self._service = service
        self._watching = watching
        self.port = port

    async def stop(self) -> None:
        """Ends every stream, then the server."""
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        self._service.close()
        await self._server.stop(CLOSE_SECONDS)


async def start(
    settings: PushSettings, repository: Path, metrics: Metrics, admission: Admission | None = None
) -> Announcements:
    """Serves announcements of what is published in `repository`; how many listen is told to `metrics`.

    Without an `admission` that follows the membership, every node's certificate counts until it ends.

    Raises:
        TlsError: The address or the material cannot be used.
    """
    bulletin = Bulletin(repository)
    service = ReleaseService(bulletin, settings, admission or Admission(None, None))
    # Streams are bounded by the service, which says so; this bounds what is refused at once.
    metrics.streams.set_function(lambda: service.streams)
    server = channel.server([CallCounter(metrics)], most=settings.max_streams + SPARE_CALLS)
    rpc.add_ReleaseServiceServicer_to_server(service, server)
    port = channel.bind(server, settings.listen, tls.load(settings.tls))
    await server.start()
    return Announcements(server, service, asyncio.create_task(bulletin.run()), port)
