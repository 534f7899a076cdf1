"""Keeps an edge's list current: asks in turn and on news, puts what is good in force, and counts what it refuses.

Holds always: whatever a round meets, the last good list stays in force and the agent goes on; a refusal is counted once
for each release refused, not once for each time it is asked for; nothing that is announced is believed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from blocklist_sync.edge import suspension
from blocklist_sync.edge.activate import FOLDER, Activation, ReleaseStore
from blocklist_sync.edge.client import Client
from blocklist_sync.edge.delta import Deltas
from blocklist_sync.edge.errors import Failure, Reason, RefusedError, RoundError
from blocklist_sync.edge.freshness import Board, SyncState, alarms
from blocklist_sync.edge.hosts import Hosts
from blocklist_sync.edge.pace import Ending, Pace
from blocklist_sync.edge.settings import ClientCertificate, SyncSettings
from blocklist_sync.edge.suspension import SuspensionError, Suspensions
from blocklist_sync.edge.verify import InForce
from blocklist_sync.edge.word import Steps, Word
from lachan import durable, log
from lachan.errors import LachanError
from lachan.tls import TlsFiles

if TYPE_CHECKING:
    from blocklist_sync.edge.push import Announcement, Listener

__all__ = ["Activation", "Agent", "ClientCertificate", "Failure", "Reason", "SyncSettings"]

_ENDINGS = {
    Failure.UNREACHABLE: Ending.UNREACHABLE,
    Failure.SLOW: Ending.SLOW,
    Failure.STORAGE: Ending.STORAGE,
}


@dataclass(frozen=True)
class Held:
    """A release that waits for its time."""

    serial: int
    due_in: float
    """Seconds, from `seen_at` on."""
    seen_at: float
    """The round that saw it, on the clock of `Word`."""


class Agent:
    """The list's sync of one edge; its files stand below `state_dir`."""

    def __init__(self, settings: SyncSettings, state_dir: Path, rng: random.Random | None = None) -> None:
        # Spreading load is no secret.
        rng = rng or random.Random()  # noqa: S311
        self._settings = settings
        self._folder = state_dir / FOLDER
        self._store = ReleaseStore(self._folder)
        self._hosts = Hosts(settings.hosts, self._folder / "hosts.json")
        self._client = Client(settings, self._folder / "tuf", self._hosts, rng)
        self._rng = rng
        self._pace = Pace(settings, rng)
        self._round = threading.Lock()
        self._in_force: InForce | None = None
        self._refusal: RefusedError | None = None
        self._failure: RoundError | None = None
        self._listener: Listener | None = None
        self._announced: Announcement | None = None
        self._woken = asyncio.Event()
        self._offered = 0
        self.refused: dict[str, int] = dict.fromkeys(Reason, 0)
        """Releases refused since the start, by reason."""
        self.failed: dict[str, int] = dict.fromkeys(Failure, 0)
        """Rounds that came to nothing since the start, by cause."""
        self.held: Held | None = None
        """A release that canary edges have, and this one not yet."""
        self.checked_at = 0
        """When the repository last answered with an authentic, fresh word; seconds since 1970-01-01 UTC."""
        self._word = Word(self._folder / "word")
        self._steps = Steps()
        self.board = Board()
        """The alarms, as `look` saw them last."""
        self._no_stream_since = self._word.now()
        self.expires_at = 0
        """When the signature on the list ends; later, the list stays in force and is reported as it is."""

    @property
    def received(self) -> int:
        """Bytes of files that came since the start, metadata included."""
        return self._client.received

    @property
    def deltas(self) -> Deltas:
        """How releases came since the start."""
        return self._client.deltas

    @staticmethod
    def recover(state_dir: Path) -> Activation | None:
        """The list in force by the files alone, changing none: for commands beside a running edge, or without one."""
        folder = state_dir / FOLDER
        return ReleaseStore(folder).in_force(repair=False, passing=_suspended(folder, time.time()))

    def current(self) -> Activation | None:
        """The newest list, whatever its age, repaired where its records allow it; None before the first. Blocks.

        It is in force unless it is suspended; either way nothing older comes after it.
        """
        activation = self._store.in_force(repair=True)
        self._in_force = activation.in_force if activation else InForce()
        self.expires_at = self._client.expires_at()
        return activation

    async def check(self) -> Activation | None:
        """One round: the release that was put in force, or None. A refusal or a failure is counted and logged."""
        before = self.received
        try:
            activation = await asyncio.to_thread(self._check)
        except RefusedError as error:
            # Asked for again and again, a refused release is one release refused.
            if self._refusal is None or str(self._refusal) != str(error):
                self.refused[error.reason] += 1
                log.get().warning("release refused", reason=str(error.reason), detail=error.detail)
            self._refusal, self._failure = error, None
            return None
        except RoundError as error:
            self.failed[error.failure] += 1
            if self._failure is None or str(self._failure) != str(error):
                log.get().warning("round failed", cause=str(error.failure), detail=error.detail)
            self._failure = error
            return None
        self._refusal = self._failure = None
        if activation is not None:
            log.get().info(
                "release activated",
                serial=activation.serial,
                published_at=activation.published_at,
                received_bytes=self.received - before,
            )
        return activation

    async def run(self, on_activated: Callable[[Activation], Awaitable[None]]) -> None:
        """Asks for ever; `on_activated` is told of each release put in force, again if it could not take it."""
        waiting: Activation | None = None
        listening = self._listen()
        try:
            while True:
                self._woken.clear()
                began = time.monotonic()
                waiting = await self.check() or waiting
                if waiting is not None and await self._told(waiting, on_activated):
                    waiting = None
                await self._pause(began)
        finally:
            self._client.close()
            if listening is not None:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    async def _pause(self, began: float) -> None:
        """Waits until the next round is due: by the clock, or soon after a release was announced."""
        wait = self._pace.after(self._ending(), streaming=self.streaming, behind=self._behind())
        if self.held is not None:
            wait = min(wait, self._pace.due(self.held.due_in))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), wait)
            urgent = self._announced is not None and self._announced.urgent
            now = time.monotonic()
            await asyncio.sleep(self._pace.heard(urgent=urgent, since_round=now - began, now=now))

    def _ending(self) -> Ending:
        if self._failure is not None:
            return _ENDINGS[self._failure.failure]
        return Ending.REFUSED if self._refusal is not None else Ending.WELL

    @staticmethod
    async def _told(activation: Activation, on_activated: Callable[[Activation], Awaitable[None]]) -> bool:
        try:
            await on_activated(activation)
        except LachanError as error:
            log.get().error("release not taken over", serial=activation.serial, error=str(error))
            return False
        return True

    def state(self) -> SyncState:
        """How current the list is; read by other threads too."""
        now = self._word.now()
        if self._settings.push is None or self.streaming:
            self._no_stream_since = now
        refusal, failure, held, listener = self._refusal, self._failure, self.held, self._listener
        return SyncState(
            serial=self._serial(),
            checked_at=self.checked_at,
            word_age=self._word.age(),
            expires_at=self.expires_at,
            refusing=str(refusal) if refusal is not None else "",
            failing=str(failure) if failure is not None else "",
            failing_storage=failure is not None and failure.failure is Failure.STORAGE,
            damaged=self._store.damaged,
            held_serial=held.serial if held is not None else 0,
            held_for=max(0.0, held.due_in - (now - held.seen_at)) if held is not None else 0.0,
            streaming=None if self._settings.push is None else self.streaming,
            no_stream_for=now - self._no_stream_since,
            clock_step=self._steps.recent,
            failed=dict(self.failed),
            stream_failures=dict(listener.failures) if listener is not None else {},
            mirrors=[mirror.document() for mirror in self._client.mirrors.all],
        )

    def look(self) -> Board:
        """The alarms now, by the state now; what changes is told in the log. Due every second or so, in the loop."""
        self._steps.observe()
        self.board.update(alarms(self.state(), self._settings.alarms, time.time()))
        return self.board

    # What is announced ------------------------------------------------------------------------------------------------

    def _listen(self) -> asyncio.Task[None] | None:
        push, own = self._settings.push, self._settings.tls
        if push is None or own is None:
            return None
        # Only who listens loads gRPC.
        from blocklist_sync.edge.push import Listener

        files = TlsFiles(ca=self._settings.ca, certificate=own.certificate, key=own.key)
        self._listener = Listener(push, files, self._hosts.addresses, self._hear, self._rng)
        return asyncio.create_task(self._listener.run())

    def _hear(self, announced: Announcement) -> None:
        new = self._announced is None or self._announced.serial != announced.serial
        self._announced = announced
        if new and self._behind():
            self._woken.set()

    def _behind(self) -> bool:
        """Whether a release was announced that no repository has offered yet."""
        return self._announced is not None and self._announced.serial > max(self._offered, self._serial())

    def _serial(self) -> int:
        return self._in_force.serial if self._in_force is not None else 0

    @property
    def streaming(self) -> bool:
        """Whether releases are announced to this edge now."""
        return self._listener is not None and self._listener.streaming

    def _clear(self) -> None:
        try:
            self._store.clear_obstacles()
        except OSError as error:
            raise RoundError(Failure.STORAGE, f"{error.filename}: {error.strerror}") from error

    def _check(self) -> Activation | None:
        if not self._round.acquire(blocking=False):
            raise RoundError(Failure.SLOW, "the round before is not over")
        try:
            durable.make_folder(self._folder)
            self._clear()
            with durable.lock(self._folder):
                if self._in_force is None:
                    self.current()
                wanted = self._announced.serial if self._announced is not None else 0
                found = self._client.fetch(self._in_force or InForce(), wanted)
                self._offered = found.offer.serial
                self.held = Held(found.offer.serial, found.due_in, self._word.now()) if found.due_in else None
                self.checked_at = int(time.time())
                self._word.heard()
                self.expires_at = self._client.expires_at()
                if found.verified is None:
                    return None
                now = int(time.time())
                activation = self._store.put_in_force(
                    found.verified, self._in_force or InForce(), now, _suspended(self._folder, now)
                )
                self._in_force = activation.in_force
                self._store.prune()
                return activation
        except durable.FileError as error:
            raise RoundError(Failure.STORAGE, str(error)) from error
        finally:
            self._round.release()


def _suspended(folder: Path, now: float) -> frozenset[bytes]:
    try:
        return Suspensions(suspension.FORM.read(folder / suspension.FILE)).passed_over(now)
    except SuspensionError:
        # A running edge puts the file aside, and has none.
        return frozenset()
