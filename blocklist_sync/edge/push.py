"""Listens for announcements of releases: one gRPC stream over mutual TLS, for ever.

Holds always: nothing that is heard is believed, it only makes the edge ask the repository sooner; whatever ends a
stream, the next one is tried after a wait that grows and differs from edge to edge; a stream that says nothing for
`silence` is dead.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import grpc
import grpc.aio

from blocklist_sync.edge.settings import PushSettings
from lachan import channel, log, tls
from lachan.backoff import Backoff
from lachan.blocklist.v1 import release_service_pb2 as pb
from lachan.blocklist.v1 import release_service_pb2_grpc as rpc
from lachan.config import split_host_port
from lachan.tls import TlsError, TlsFiles

DIGEST_BYTES = 32
DETAIL_MAX = 200


@dataclass(frozen=True)
class Announcement:
    """What was heard, true or not."""

    serial: int
    records_digest: bytes
    urgent: bool


class Listener:
    """The stream of one edge.

    Args:
        settings: Where to listen.
        files: Whom to trust, and who this node is; read anew for each stream.
        addresses: Looks a host up; blocks.
        heard: Told of each announcement, in the loop.
        rng: Where waits come from.
    """

    def __init__(
        self,
        settings: PushSettings,
        files: TlsFiles,
        addresses: Callable[[str], Sequence[str]],
        heard: Callable[[Announcement], None],
        rng: random.Random,
    ) -> None:
        self._settings = settings
        self._files = files
        self._addresses = addresses
        self._heard = heard
        self._backoff = Backoff(settings.backoff_first, settings.backoff_max, rng)
        self._turn = 0
        self.streaming = False
        """Whether a stream lives: something was heard on it within `silence`."""
        self.announcements = 0
        self.failures: Counter[str] = Counter()
        """Streams that ended, by gRPC's status code, `SILENT`, `TLS` or `UNRESOLVED`."""
        self._told = ""

    async def run(self) -> None:
        """Listens until cancelled."""
        while True:
            try:
                reason, detail = await self._listen()
            finally:
                self.streaming = False
            self.failures[reason] += 1
            wait = self._backoff.failed()
            # The same trouble again and again is told once.
            if reason != self._told:
                log.get().warning("announcements ended", reason=reason, detail=detail[:DETAIL_MAX])
            self._told = reason
            await asyncio.sleep(wait)

    async def _listen(self) -> tuple[str, str]:
        """One stream to its end, and why it ended."""
        host, port = split_host_port(self._settings.target)
        found = await asyncio.to_thread(self._addresses, host)
        if not found:
            return "UNRESOLVED", f"{host} has no address"
        address = found[self._turn % len(found)]
        self._turn += 1
        try:
            material = await asyncio.to_thread(tls.load, self._files)
        except TlsError as error:
            return "TLS", str(error)
        target = f"ipv6:[{address}]:{port}" if ":" in address else f"ipv4:{address}:{port}"
        async with channel.connect(target, material, name=host) as connection:
            call = rpc.ReleaseServiceStub(connection).WatchReleases(pb.WatchReleasesRequest())
            try:
                while True:
                    async with asyncio.timeout(self._settings.silence):
                        message = await call.read()
                    if not isinstance(message, pb.WatchReleasesResponse):
                        return (await call.code()).name, await call.details() or ""
                    self._take(message)
            except TimeoutError:
                return "SILENT", f"nothing was said for {self._settings.silence:g} s"
            except grpc.aio.AioRpcError as error:
                return error.code().name, error.details() or ""
            finally:
                call.cancel()

    def _take(self, message: pb.WatchReleasesResponse) -> None:
        if not self.streaming:
            log.get().info("announcements are heard", server=self._settings.target)
        self.streaming = True
        self._told = ""
        self._backoff.succeeded()
        self.announcements += 1
        if message.serial and len(message.records_digest) == DIGEST_BYTES:
            self._heard(Announcement(message.serial, message.records_digest, message.urgent))
