"""The supervisor's hold on its workers: starts them, finds those of an earlier supervisor, replaces those that die.

Holds always: sockets are never bound beside those that a living worker holds; a worker is started with the rules in
force, never without; a worker that dies at once again is started at growing intervals.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lachan import log
from resolver import systemd
from resolver._hot.cache import Cache
from resolver.control import ControlError, Message, call
from resolver.errors import ResolverError
from resolver.listeners.sockets import ListenSocket, open_sockets
from resolver.rules import Rules
from resolver.settings import Edge
from resolver.worker import Brief, control_path, spawn_arguments

READY_SECONDS = 15.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.02
BACK_OFF_FIRST = 0.1
BACK_OFF_MOST = 5.0
STEADY_SECONDS = 10.0


class WorkerError(ResolverError):
    """A worker cannot be started."""


@dataclass
class _Process:
    pid: int
    pidfd: int
    child: subprocess.Popen[bytes] | None


class Workers:
    """All workers of this edge."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._runtime = edge.file.runtime_dir
        self._settings = edge.file.model_dump_json()
        self._processes: dict[int, _Process] = {}
        self._watches: set[asyncio.Task[None]] = set()
        self._sockets: list[ListenSocket] = []
        self._cache_fd = -1
        self._cache_map: mmap.mmap | None = None
        self._cache_secret = 0
        self._name_key = ""
        self._rules: Rules | None = None
        self._stopping = False
        self.restarts = 0

    @property
    def alive(self) -> int:
        """How many run."""
        return len(self._processes)

    def cache_entries(self) -> int:
        """How many answers the shared cache holds; walks all of it, some milliseconds."""
        if self._cache_map is None:
            self._cache_map = mmap.mmap(self._cache_fd, self._edge.file.cache.size)
        return Cache(self._cache_map, self._cache_secret, 0).entries(int(time.monotonic()))

    def find(self) -> list[Message]:
        """What living workers of an earlier supervisor say of themselves; takes their sockets and cache over."""
        living = []
        for path in sorted(self._runtime.glob("worker-*.sock")):
            try:
                status, _ = call(path, {"command": "status"})
            except ControlError:
                path.unlink(missing_ok=True)
                continue
            living.append(status | {"path": str(path)})
        if living:
            answer, fds = call(Path(living[0]["path"]), {"command": "handover"})
            self._cache_fd, *socket_fds = fds
            self._cache_secret = answer["cache_secret"]
            self._name_key = answer["name_key"]
            self._sockets = [
                ListenSocket.named(name, fd) for name, fd in zip(answer["sockets"], socket_fds, strict=True)
            ]
        return living

    async def start(self, rules: Rules, living: Sequence[Message]) -> None:
        """Brings every worker up, adopting those found by `find` where they run under the same settings.

        Raises:
            ResolverError: An address cannot be listened on, or a worker does not come up.
        """
        self._rules = rules
        if not self._sockets:
            self._sockets = systemd.stored()
        opened = open_sockets(self._edge.file.listen, self._edge.workers, self._sockets)
        for stale in {sock.fd for sock in self._sockets} - {sock.fd for sock in opened}:
            os.close(stale)
        self._sockets = opened
        systemd.store(opened)
        if self._cache_fd < 0 or os.fstat(self._cache_fd).st_size != self._edge.shared_bytes:
            self._make_cache()
        for status in living:
            await self._adopt_or_stop(status)
        missing = [number for number in range(self._edge.workers) if number not in self._processes]
        await asyncio.gather(*(self._spawn(number) for number in missing))

    def _make_cache(self) -> None:
        self._cache_fd = os.memfd_create("cache", os.MFD_CLOEXEC)
        os.ftruncate(self._cache_fd, self._edge.shared_bytes)
        self._cache_secret = secrets.randbits(64)
        self._name_key = secrets.token_hex(16)

    async def _adopt_or_stop(self, status: Message) -> None:
        path = Path(status["path"])
        number = int(path.stem.removeprefix("worker-"))
        try:
            if status["settings"] == self._settings and number < self._edge.workers:
                await self._tell(number)
                self._watch(number, status["pid"], None)
                log.get().info("adopted", worker=number, pid=status["pid"])
                return
            # Under other settings it makes room; its sockets are held here, so nothing is refused meanwhile.
            await asyncio.to_thread(call, path, {"command": "stop"})
            await self._gone(status["pid"])
        except ControlError as error:
            log.get().warning("a worker of an earlier supervisor is gone", worker=number, reason=str(error))

    async def _gone(self, pid: int) -> None:
        """Waits until a process that may not be our child has ended, and ends it if it will not."""
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await _ended(pidfd)
        except TimeoutError:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)

    async def _spawn(self, number: int) -> None:
        rules = self._rules
        assert rules is not None  # noqa: S101 # start() has set it
        control_path(self._runtime, number).unlink(missing_ok=True)
        rules_fd = None if rules.fd is None else os.dup(rules.fd)
        brief = Brief(
            worker=number,
            settings=self._settings,
            sockets=[sock.describe() for sock in self._sockets],
            cache_fd=self._cache_fd,
            cache_secret=self._cache_secret,
            name_key=self._name_key,
            rules=rules.describe(),
            rules_fd=rules_fd,
        )
        brief_fd = brief.to_fd()
        inherited = [brief_fd, self._cache_fd, *(sock.fd for sock in self._sockets)]
        if rules_fd is not None:
            inherited.append(rules_fd)
        child = subprocess.Popen(  # noqa: ASYNC220 # vfork and exec: a millisecond, and it is not awaited
            [sys.executable, *spawn_arguments(brief_fd)],
            pass_fds=inherited,
            stdin=subprocess.DEVNULL,
            # Out of the terminal's reach: a Ctrl-C is for the supervisor to pass on.
            start_new_session=True,
        )
        os.close(brief_fd)
        if rules_fd is not None:
            os.close(rules_fd)
        await self._ready(number, child)
        self._watch(number, child.pid, child)
        # Rules may have moved on while it started.
        if self._rules is not rules:
            await self._tell(number)

    async def _ready(self, number: int, child: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                await asyncio.to_thread(call, control_path(self._runtime, number), {"command": "status"})
            except ControlError as error:
                if child.poll() is not None:
                    raise WorkerError(f"worker {number} ended with status {child.returncode} while starting") from error
                if time.monotonic() > deadline:
                    child.kill()
                    child.wait()
                    raise WorkerError(f"worker {number} did not come up within {READY_SECONDS:g} s") from error
                await asyncio.sleep(POLL_SECONDS)
            else:
                return

    def _watch(self, number: int, pid: int, child: subprocess.Popen[bytes] | None) -> None:
        process = _Process(pid, os.pidfd_open(pid), child)
        self._processes[number] = process
        task = asyncio.create_task(self._mind(number, process))
        self._watches.add(task)
        task.add_done_callback(self._watches.discard)

    async def _mind(self, number: int, process: _Process) -> None:
        """Waits for a worker's end, and starts another in its place."""
        started = time.monotonic()
        try:
            await _ended(process.pidfd)
        finally:
            os.close(process.pidfd)
        status = process.child.wait() if process.child is not None else None
        del self._processes[number]
        back_off = BACK_OFF_FIRST if time.monotonic() - started > STEADY_SECONDS else 0.0
        while not self._stopping:
            self.restarts += 1
            log.get().error("a worker ended; starting another", worker=number, pid=process.pid, status=status)
            try:
                await self._spawn(number)
            except ResolverError as error:
                log.get().error("a worker does not start", worker=number, reason=str(error))
                back_off = min(max(2 * back_off, BACK_OFF_FIRST), BACK_OFF_MOST)
                await asyncio.sleep(back_off)
            else:
                return

    async def _tell(self, number: int) -> None:
        rules = self._rules
        assert rules is not None  # noqa: S101 # start() has set it
        fds = [] if rules.fd is None else [rules.fd]
        message = {"command": "rules", "rules": rules.describe()}
        await asyncio.to_thread(call, control_path(self._runtime, number), message, fds)

    async def announce(self, rules: Rules) -> None:
        """Puts rules in force in every worker; one that cannot be told is about to be replaced, with these rules."""
        self._rules = rules
        numbers = list(self._processes)
        for number, result in zip(
            numbers, await asyncio.gather(*(self._tell(n) for n in numbers), return_exceptions=True), strict=True
        ):
            if isinstance(result, ControlError):
                log.get().error("a worker did not take the rules; ending it", worker=number, reason=str(result))
                process = self._processes.get(number)
                if process is not None:
                    signal.pidfd_send_signal(process.pidfd, signal.SIGKILL)
            elif isinstance(result, BaseException):
                raise result

    async def status(self) -> list[Message]:
        """What each worker says of itself."""
        answers = []
        for number in sorted(self._processes):
            with contextlib.suppress(ControlError):
                status, _ = await asyncio.to_thread(call, control_path(self._runtime, number), {"command": "status"})
                status.pop("settings")
                answers.append(status | {"worker": number})
        return answers

    async def stop(self) -> None:
        """Ends every worker; what waits for an upstream is still answered."""
        self._stopping = True
        processes = dict(self._processes)
        for number in processes:
            with contextlib.suppress(ControlError):
                await asyncio.to_thread(call, control_path(self._runtime, number), {"command": "stop"})
        for process in processes.values():
            await self._gone(process.pid)
        await asyncio.gather(*self._watches, return_exceptions=True)


async def _ended(pidfd: int) -> None:
    """Waits until the process behind a pidfd has ended."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.add_reader(pidfd, done.set)
    try:
        await done.wait()
    finally:
        loop.remove_reader(pidfd)
