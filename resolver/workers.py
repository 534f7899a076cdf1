"""The supervisor's hold on its workers: starts them, finds those of an earlier supervisor, replaces those that die.

Holds always: sockets are never bound beside those that a living worker holds; a worker is started with the rules in
force, never without; one that is replaced stops only once the other serves; one that stands still is ended; what a
process left in shared memory is cleared away when it has certainly ended; a worker that dies at once again is started
at growing intervals.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Sequence

from lachan import log
from resolver import systemd
from resolver.brief import digest
from resolver.control import ControlError, Message, call
from resolver.errors import ResolverError
from resolver.heartbeats import Stalls, now_ms
from resolver.inherited import find
from resolver.listeners.sockets import ListenSocket, open_sockets
from resolver.newcomer import Newcomer
from resolver.process import Process, ended, finish
from resolver.rules import Rules
from resolver.seats import control_path
from resolver.settings import Edge
from resolver.sharedmemory import SharedMemory

STATUS_SECONDS = 1.0
STOP_SECONDS = 6.0
LOOK_SECONDS = 0.1
BACK_OFF_FIRST = 0.1
BACK_OFF_MOST = 5.0
STEADY_SECONDS = 10.0


class Workers:
    """All workers of this edge."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._runtime = edge.file.runtime_dir
        self._settings = edge.file.model_dump_json()
        # By seat: two processes serve one number while one takes the other's place.
        self._processes: dict[int, Process] = {}
        # By number: they load while the rules to begin with are read.
        self._newcomers: dict[int, Newcomer] = {}
        self._starting: set[int] = set()
        self._turns: dict[int, asyncio.Lock] = {}
        self._watches: set[asyncio.Task[None]] = set()
        self._sockets: list[ListenSocket] = []
        self._memory = SharedMemory()
        self._memory_kept = False
        self._rules: Rules | None = None
        self._stopping = False
        self.restarts = 0

    @property
    def alive(self) -> int:
        """How many serve."""
        return sum(not process.leaving for process in self._processes.values())

    def cache_entries(self) -> int:
        """How many answers the shared cache holds; walks all of it, some milliseconds."""
        return self._memory.cache_entries()

    @property
    def census(self) -> memoryview:
        """Where workers count by school."""
        return self._memory.census

    def find(self) -> list[Message]:
        """What living workers of an earlier supervisor say of themselves; takes their sockets and memory over.

        Raises:
            ResolverError: What was left behind can be neither used nor ended.
        """
        inherited = find(self._runtime)
        self._sockets, self._memory = inherited.sockets, inherited.memory
        return inherited.living

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

    def prepare(self, living: Sequence[Message]) -> None:
        """Lays out what all share and, where nobody serves yet, has every worker load; `start` has them serve."""
        self._memory_kept = self._memory.lay_out(self._edge, {status["seat"] for status in living})
        if not living:
            for number in range(self._edge.workers):
                self._newcomers[number] = self._newcomer(number)

    async def start(self, rules: Rules, living: Sequence[Message]) -> None:
        """Brings every worker up after `prepare`, adopting those that live where they run under the same settings.

        Raises:
            ResolverError: A worker does not come up.
        """
        self._rules = rules
        strangers = []
        for status in living:
            with contextlib.suppress(ProcessLookupError):
                process = Process(status["seat"], status["worker"], status["pid"], status["settings"])
                if self._memory_kept and await self._adopted(process):
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
        waiting = {newcomer.seat for newcomer in self._newcomers.values()}
        return set(range(self._edge.seats)) - self._processes.keys() - self._starting - waiting

    def _newcomer(self, number: int) -> Newcomer:
        seat = min(self._free_seats())
        return Newcomer(self._edge, self._settings, number, seat, self._sockets, self._memory)

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
        newcomer = self._newcomers.pop(number, None) or self._newcomer(number)
        self._starting.add(newcomer.seat)
        try:
            try:
                process = await newcomer.serve(rules)
            except BaseException:
                self._memory.clear(newcomer.seat)
                raise
            self._watch(process)
        finally:
            self._starting.discard(newcomer.seat)
        # Rules may have moved on while it started.
        if self._rules is not rules:
            await self._tell(process)
        return process

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
        self._memory.clear(process.seat)
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
            limit = int(self._edge.file.processes.stalled * 1000)
            for seat in stalls.look(self._memory.read_beats(), now_ms(), limit):
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
        beats = {beat.seat: beat for beat in self._memory.read_beats()}
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
        for newcomer in self._newcomers.values():
            newcomer.end()
        await asyncio.gather(*(self._retire(process, 0) for process in list(self._processes.values())))
        await asyncio.gather(*self._watches, return_exceptions=True)
