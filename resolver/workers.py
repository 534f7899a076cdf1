"""The supervisor's hold on its workers: starts them, finds those of an earlier supervisor, replaces those that die.

Holds always: sockets are never bound beside those that a living worker holds; a worker is started with the rules in
force, never without; one that is replaced stops only once the other serves; one that stands still is ended; what a
process left in shared memory is cleared away when it has certainly ended; a worker that dies at once again is started
at growing intervals.
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

from lachan import log
from resolver import systemd
from resolver._hot.cache import Cache
from resolver.brief import Brief, digest, spawn_arguments
from resolver.control import ControlError, Message, call
from resolver.errors import ResolverError
from resolver.heartbeats import Beats, Stalls, now_ms
from resolver.listeners.sockets import ListenSocket, open_sockets
from resolver.process import Process, ended, finish
from resolver.rules import Rules
from resolver.seats import control_path, sitting, used
from resolver.settings import Edge

READY_SECONDS = 15.0
FIND_SECONDS = 2.0
STATUS_SECONDS = 1.0
STOP_SECONDS = 6.0
POLL_SECONDS = 0.02
LOOK_SECONDS = 0.1
BACK_OFF_FIRST = 0.1
BACK_OFF_MOST = 5.0
STEADY_SECONDS = 10.0


class WorkerError(ResolverError):
    """A worker cannot be started."""


class Workers:
    """All workers of this edge."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._runtime = edge.file.runtime_dir
        self._settings = edge.file.model_dump_json()
        # By seat: two processes serve one number while one takes the other's place.
        self._processes: dict[int, Process] = {}
        self._starting: set[int] = set()
        self._turns: dict[int, asyncio.Lock] = {}
        self._watches: set[asyncio.Task[None]] = set()
        self._sockets: list[ListenSocket] = []
        self._shared_fd = -1
        self._cache_secret = 0
        self._name_key = ""
        self._cache: Cache | None = None
        self._beats: Beats | None = None
        self._rules: Rules | None = None
        self._stopping = False
        self.restarts = 0

    @property
    def alive(self) -> int:
        """How many serve."""
        return sum(not process.leaving for process in self._processes.values())

    def cache_entries(self) -> int:
        """How many answers the shared cache holds; walks all of it, some milliseconds."""
        return self._cache.entries(int(time.monotonic())) if self._cache is not None else 0

    # Those of an earlier supervisor ----------------------------------------------------------------------------------

    def find(self) -> list[Message]:
        """What living workers of an earlier supervisor say of themselves; takes their sockets and memory over.

        One that lives and does not answer is ended: its seat cannot be given to another otherwise.

        Raises:
            ResolverError: One cannot be ended.
        """
        living = []
        for seat in used(self._runtime):
            pid = sitting(self._runtime, seat)
            try:
                if pid is not None:
                    path = control_path(self._runtime, seat)
                    living.append(call(path, {"command": "status"}, (), FIND_SECONDS)[0])
            except ControlError as error:
                log.get().error("a worker found does not answer; ending it", pid=pid, reason=str(error))
                self._end(seat, pid)
                pid = None
            if pid is None:
                control_path(self._runtime, seat).unlink(missing_ok=True)
        if living:
            self._take_over(living[0]["seat"])
        return living

    def _end(self, seat: int, pid: int | None) -> None:
        deadline = time.monotonic() + FIND_SECONDS
        while pid is not None and sitting(self._runtime, seat) == pid:
            if time.monotonic() > deadline:
                raise WorkerError(f"process {pid} holds the seat {seat} of a worker and cannot be ended")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            time.sleep(POLL_SECONDS)

    def _take_over(self, seat: int) -> None:
        while True:
            message = {"command": "handover", "first": len(self._sockets)}
            answer, (shared_fd, *socket_fds) = call(control_path(self._runtime, seat), message)
            if self._shared_fd >= 0:
                os.close(shared_fd)
            else:
                self._shared_fd = shared_fd
            self._sockets += [
                ListenSocket.named(name, fd) for name, fd in zip(answer["sockets"], socket_fds, strict=True)
            ]
            if not socket_fds or len(self._sockets) == answer["of"]:
                break
        self._cache_secret = answer["cache_secret"]
        self._name_key = answer["name_key"]

    def open(self) -> None:
        """Opens what is not held yet; afterwards no privilege is needed.

        Raises:
            ResolverError: An address cannot be listened on.
        """
        if not self._sockets:
            self._sockets = systemd.stored()
        opened = open_sockets(self._edge.file.listen, self._edge.workers, self._sockets)
        for stale in {sock.fd for sock in self._sockets} - {sock.fd for sock in opened}:
            os.close(stale)
        self._sockets = opened
        systemd.store(opened)

    async def start(self, rules: Rules, living: Sequence[Message]) -> None:
        """Brings every worker up, adopting those found by `find` where they run under the same settings.

        Raises:
            ResolverError: A worker does not come up.
        """
        self._rules = rules
        kept = self._map({status["seat"] for status in living})
        strangers = []
        for status in living:
            with contextlib.suppress(ProcessLookupError):
                process = Process(status["seat"], status["worker"], status["pid"], status["settings"])
                if kept and await self._adopted(process):
                    continue
                process.leaving = True
                strangers.append(process)
                self._watch(process)
        missing = [number for number in range(self._edge.workers) if self._serves(number) is None]
        if not strangers:
            await asyncio.gather(*(self._spawn(number) for number in missing))
            return
        # One by one, each before one that serves under other settings ends, as far as there are seats.
        for number in missing:
            if not self._free_seats():
                await self._retire(strangers.pop(0), 0)
            await self._spawn(number)
            for process in [process for process in strangers if process.number == number]:
                strangers.remove(process)
                await self._retire(process, self._edge.file.processes.linger)
        await asyncio.gather(*(self._retire(process, 0) for process in strangers))

    def _free_seats(self) -> set[int]:
        return set(range(self._edge.seats)) - self._processes.keys() - self._starting

    def _map(self, living: set[int]) -> bool:
        """Maps the memory that all share, made anew where it is not laid out as wanted; whether it was there."""
        kept = self._shared_fd >= 0 and os.fstat(self._shared_fd).st_size == self._edge.shared_bytes
        if not kept:
            self._shared_fd = os.memfd_create("shared", os.MFD_CLOEXEC)
            os.ftruncate(self._shared_fd, self._edge.shared_bytes)
            self._cache_secret = secrets.randbits(64)
            self._name_key = secrets.token_hex(16)
        shared = self._edge.share(memoryview(mmap.mmap(self._shared_fd, self._edge.shared_bytes)))
        self._beats = Beats(shared.beats, self._edge.seats)
        self._cache = Cache(shared.cache, self._cache_secret, 0)
        for seat in set(range(self._edge.seats)) - living:
            self._clear(seat)
        return kept

    def _clear(self, seat: int) -> None:
        """Clears away what a process left that has certainly ended."""
        # Of an earlier edge's there may be more seats than of this one's.
        if self._beats is not None and self._cache is not None and seat < self._edge.seats:
            self._beats.leave(seat)
            self._cache.release(seat)

    async def _adopted(self, process: Process) -> bool:
        """Keeps a worker that was found, if it serves as it is wanted to."""
        number = process.number
        if (
            process.settings != digest(self._settings)
            or number >= self._edge.workers
            or self._serves(number) is not None
        ):
            return False
        try:
            await self._tell(process)
        except ControlError as error:
            log.get().warning("a worker that was found does not take the rules", worker=number, reason=str(error))
            return False
        self._watch(process)
        log.get().info("adopted", worker=number, pid=process.pid)
        return True

    # One worker's life ------------------------------------------------------------------------------------------------

    async def _spawn(self, number: int) -> Process:
        rules = self._rules
        assert rules is not None  # noqa: S101 # start() has set it
        settings = digest(self._settings)
        seat = min(self._free_seats())
        self._starting.add(seat)
        try:
            child = self._exec(number, seat, rules)
            try:
                await self._ready(number, seat, child)
            except BaseException:
                child.kill()
                child.wait()
                self._clear(seat)
                raise
            process = Process(seat, number, child.pid, settings, child)
            self._watch(process)
        finally:
            self._starting.discard(seat)
        # Rules may have moved on while it started.
        if self._rules is not rules:
            await self._tell(process)
        return process

    def _exec(self, number: int, seat: int, rules: Rules) -> subprocess.Popen[bytes]:
        rules_fd = None if rules.fd is None else os.dup(rules.fd)
        brief = Brief(
            worker=number,
            seat=seat,
            settings=self._settings,
            sockets=[sock.describe() for sock in self._sockets],
            shared_fd=self._shared_fd,
            cache_secret=self._cache_secret,
            name_key=self._name_key,
            rules=rules.describe(),
            rules_fd=rules_fd,
        )
        brief_fd = brief.to_fd()
        inherited = [brief_fd, self._shared_fd, *(sock.fd for sock in self._sockets)]
        if rules_fd is not None:
            inherited.append(rules_fd)
        child = subprocess.Popen(
            [sys.executable, *spawn_arguments(brief_fd)],
            pass_fds=inherited,
            stdin=subprocess.DEVNULL,
            # Out of the terminal's reach: a Ctrl-C is for the supervisor to pass on.
            start_new_session=True,
        )
        os.close(brief_fd)
        if rules_fd is not None:
            os.close(rules_fd)
        return child

    async def _ready(self, number: int, seat: int, child: subprocess.Popen[bytes]) -> None:
        """Waits until a worker reads its sockets."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            with contextlib.suppress(ControlError):
                status, _ = await asyncio.to_thread(call, control_path(self._runtime, seat), {"command": "status"})
                if status["pid"] == child.pid and status["serving"]:
                    return
            if child.poll() is not None:
                raise WorkerError(f"worker {number} ended with status {child.returncode} while starting")
            if time.monotonic() > deadline:
                raise WorkerError(f"worker {number} did not come up within {READY_SECONDS:g} s")
            await asyncio.sleep(POLL_SECONDS)

    def _watch(self, process: Process) -> None:
        self._processes[process.seat] = process
        task = asyncio.create_task(self._mind(process))
        self._watches.add(task)
        task.add_done_callback(self._watches.discard)

    async def _mind(self, process: Process) -> None:
        """Waits for a worker's end, and starts another in its place unless there is one."""
        started = time.monotonic()
        await ended(process.pidfd)
        status = process.reap()
        del self._processes[process.seat]
        self._clear(process.seat)
        process.ended.set()
        back_off = BACK_OFF_FIRST if time.monotonic() - started > STEADY_SECONDS else 0.0
        while not (self._stopping or process.leaving):
            self.restarts += 1
            log.get().error("a worker ended; starting another", worker=process.number, pid=process.pid, status=status)
            try:
                async with self._turn(process.number):
                    if self._serves(process.number) is None:
                        await self._spawn(process.number)
            except ResolverError as error:
                log.get().error("a worker does not start", worker=process.number, reason=str(error))
                back_off = min(max(2 * back_off, BACK_OFF_FIRST), BACK_OFF_MOST)
                await asyncio.sleep(back_off)
            else:
                return

    def _turn(self, number: int) -> asyncio.Lock:
        """Held by who starts a worker of this number."""
        return self._turns.setdefault(number, asyncio.Lock())

    def _serves(self, number: int) -> Process | None:
        return next((p for p in self._processes.values() if p.number == number and not p.leaving), None)

    async def _retire(self, process: Process, linger: float) -> None:
        """Ends a worker that is not needed: what it was asked is still answered, within bounds."""
        process.leaving = True
        with contextlib.suppress(ControlError):
            message = {"command": "stop", "linger": linger}
            await asyncio.to_thread(call, control_path(self._runtime, process.seat), message)
        bound = linger + self._edge.file.forwarding.tcp_timeout + STOP_SECONDS
        await finish(process, bound)

    async def renew(self, edge: Edge) -> None:
        """Replaces every worker, one after another, by one under these settings and of the code as it is on the disk.

        Args:
            edge: Of the same listeners, workers and sizes of shared memory.

        Raises:
            ResolverError: One does not come up under them; those before are in force again.
        """
        before = self._edge, self._settings
        self._edge, self._settings = edge, edge.file.model_dump_json()
        try:
            for number in range(edge.workers):
                await self._replace(number)
        except ResolverError:
            self._edge, self._settings = before
            for number in range(edge.workers):
                process = self._serves(number)
                if process is None or process.settings != digest(self._settings):
                    with contextlib.suppress(ResolverError):
                        await self._replace(number)
            raise

    async def _replace(self, number: int) -> None:
        async with self._turn(number):
            before = self._serves(number)
            await self._spawn(number)
        if before is not None:
            await self._retire(before, self._edge.file.processes.linger)

    async def watch(self) -> None:
        """Ends workers that stand still; their place is taken as if they had died."""
        stalls = Stalls(int(LOOK_SECONDS * 1000))
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._beats is None:
                continue
            limit = int(self._edge.file.processes.stalled * 1000)
            for seat in stalls.look(self._beats.read(), now_ms(), limit):
                process = self._processes.get(seat)
                if process is not None:
                    log.get().error("a worker stands still; ending it", worker=process.number, pid=process.pid)
                    process.kill()

    # What all of them are told and tell -------------------------------------------------------------------------------

    async def _tell(self, process: Process) -> None:
        rules = self._rules
        assert rules is not None  # noqa: S101 # start() has set it
        fds = [] if rules.fd is None else [rules.fd]
        message = {"command": "rules", "rules": rules.describe()}
        await asyncio.to_thread(call, control_path(self._runtime, process.seat), message, fds)

    async def announce(self, rules: Rules) -> None:
        """Puts rules in force in every worker; one that cannot be told is about to be replaced, with these rules."""
        self._rules = rules
        processes = list(self._processes.values())
        for process, result in zip(
            processes, await asyncio.gather(*(self._tell(p) for p in processes), return_exceptions=True), strict=True
        ):
            if isinstance(result, ControlError):
                if not process.ended.is_set() and not process.leaving:
                    log.get().error("a worker did not take the rules", worker=process.number, reason=str(result))
                process.kill()
            elif isinstance(result, BaseException):
                raise result

    async def status(self) -> list[Message]:
        """What each worker says of itself, and what is seen of it from here."""
        beats = {beat.seat: beat for beat in self._beats.read()} if self._beats is not None else {}
        now = now_ms()
        rows = sorted(self._processes.values(), key=lambda process: (process.number, process.leaving))

        async def of(process: Process) -> Message:
            path = control_path(self._runtime, process.seat)
            told: Message = {}
            with contextlib.suppress(ControlError):
                told, _ = await asyncio.to_thread(call, path, {"command": "status"}, (), STATUS_SECONDS)
                told.pop("settings")
            return told | {
                "worker": process.number,
                "seat": process.seat,
                "pid": process.pid,
                "leaving": process.leaving,
                "answers": bool(told),
                "beat_ms": now - beats[process.seat].at if process.seat in beats else None,
                "private_bytes": process.private_bytes(),
            }

        return list(await asyncio.gather(*(of(process) for process in rows)))

    async def stop(self) -> None:
        """Ends every worker; what waits for an upstream is still answered."""
        self._stopping = True
        await asyncio.gather(*(self._retire(process, 0) for process in list(self._processes.values())))
        await asyncio.gather(*self._watches, return_exceptions=True)
