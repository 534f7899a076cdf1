"""Keeps an edge's list current: asks in turn, puts what is good in force, and counts what it refuses.

Holds always: whatever a round meets, the last good list stays in force and the agent goes on; a refusal is counted once
for each release refused, not once for each time it is asked for.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from blocklist_sync.edge.activate import FOLDER, Activation, ReleaseStore
from blocklist_sync.edge.client import Client
from blocklist_sync.edge.errors import Failure, Reason, RefusedError, RoundError
from blocklist_sync.edge.settings import ClientCertificate, SyncSettings
from blocklist_sync.edge.verify import InForce
from lachan import durable, log
from lachan.errors import LachanError

__all__ = ["Activation", "Agent", "ClientCertificate", "Failure", "Reason", "SyncSettings"]

# Edges that started together must not ask together for ever.
JITTER = 0.1


class Agent:
    """The list's sync of one edge; its files stand below `state_dir`."""

    def __init__(self, settings: SyncSettings, state_dir: Path) -> None:
        self._settings = settings
        self._folder = state_dir / FOLDER
        self._store = ReleaseStore(self._folder)
        self._client = Client(settings, self._folder / "tuf")
        self._round = threading.Lock()
        self._in_force: InForce | None = None
        self._refusal: RefusedError | None = None
        self._failure: RoundError | None = None
        self.refused: dict[str, int] = dict.fromkeys(Reason, 0)
        """Releases refused since the start, by reason."""
        self.failed: dict[str, int] = dict.fromkeys(Failure, 0)
        """Rounds that came to nothing since the start, by cause."""
        self.checked_at = 0
        """When the repository last answered with an authentic, fresh word; seconds since 1970-01-01 UTC."""
        self.expires_at = 0
        """When the signature on the list ends; later, the list stays in force and is reported as it is."""

    @staticmethod
    def recover(state_dir: Path) -> Activation | None:
        """The list in force by the files alone, changing none: for commands beside a running edge, or without one."""
        return ReleaseStore(state_dir / FOLDER).in_force(repair=False)

    def current(self) -> Activation | None:
        """The list in force, whatever its age, repaired where its records allow it; None before the first. Blocks."""
        activation = self._store.in_force(repair=True)
        self._in_force = InForce(activation.serial, activation.records_digest) if activation else InForce()
        self.expires_at = self._client.expires_at()
        return activation

    async def check(self) -> Activation | None:
        """One round: the release that was put in force, or None. A refusal or a failure is counted and logged."""
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
            log.get().info("release activated", serial=activation.serial, published_at=activation.published_at)
        return activation

    async def run(self, on_activated: Callable[[Activation], Awaitable[None]]) -> None:
        """Asks for ever; `on_activated` is told of each release put in force, again if it could not take it."""
        waiting: Activation | None = None
        try:
            while True:
                waiting = await self.check() or waiting
                if waiting is not None and await self._announced(waiting, on_activated):
                    waiting = None
                # Spreading load is no secret.
                spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
                await asyncio.sleep(self._settings.poll_interval * spread)
        finally:
            self._client.close()

    @staticmethod
    async def _announced(activation: Activation, on_activated: Callable[[Activation], Awaitable[None]]) -> bool:
        try:
            await on_activated(activation)
        except LachanError as error:
            log.get().error("release not taken over", serial=activation.serial, error=str(error))
            return False
        return True

    def _check(self) -> Activation | None:
        if not self._round.acquire(blocking=False):
            raise RoundError(Failure.SLOW, "the round before is not over")
        try:
            durable.make_folder(self._folder)
            with durable.lock(self._folder):
                if self._in_force is None:
                    self.current()
                verified = self._client.fetch(self._in_force or InForce())
                self.checked_at = int(time.time())
                self.expires_at = self._client.expires_at()
                if verified is None:
                    return None
                activation = self._store.put_in_force(verified, self._in_force or InForce(), int(time.time()))
                self._in_force = InForce(activation.serial, activation.records_digest)
                self._store.prune()
                return activation
        except durable.FileError as error:
            raise RoundError(Failure.STORAGE, str(error)) from error
        finally:
            self._round.release()
