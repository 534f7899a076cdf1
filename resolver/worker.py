"""One worker: the composition root of one event loop.

The order in which a query is settled stands in resolver/_hot/engine.pyx, each step with its reason; here the parts are
put together. Holds always: a worker never serves before it has been told its rules; it outlives its supervisor and
waits for the next one at its control socket; it takes no signal meant for the terminal.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import functools
import json
import mmap
import os
import random
import signal
import socket
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from blocklist_sync.artifact import policy as bundles
from blocklist_sync.artifact._snapshot import Snapshot
from lachan import log
from lachan.labels import wire_name
from resolver import cookies
from resolver._hot.cache import Cache
from resolver._hot.counters import Counters
from resolver._hot.engine import Engine
from resolver._hot.forward import Forwarder
from resolver._hot.tally import Tally
from resolver.control import ControlError, Message, Server, ask
from resolver.counters import Ring
from resolver.guard import make_guard
from resolver.listeners.sockets import ListenSocket
from resolver.listeners.stream import SWEEP_SECONDS
from resolver.listeners.transports import StreamTransports
from resolver.local import compile_locals
from resolver.openings import TallyFile
from resolver.policy import compile_policy
from resolver.settings import Edge, EdgeFile, normalise
from resolver.upstream.pool import PoolError, open_socket, open_sockets
from resolver.upstream.stream import StreamUpstreams

TICK_SECONDS = 0.025
ROTATE_SECONDS = 1.0
SECRETS_SECONDS = 60.0
CLOSE_SECONDS = 1.0
ASKING_MAX = 4


@dataclass(frozen=True)
class Brief:
    """What a worker is told when it is exec'd, as JSON in an inherited descriptor."""

    worker: int
    settings: str
    sockets: list[dict[str, Any]]
    cache_fd: int
    cache_secret: int
    name_key: str
    rules: dict[str, Any]
    rules_fd: int | None

    def to_fd(self) -> int:
        """An anonymous file that holds it; the descriptor, which the caller owns."""
        fd = os.memfd_create("brief")
        os.write(fd, json.dumps(self.__dict__).encode())
        os.lseek(fd, 0, os.SEEK_SET)
        return fd

    @classmethod
    def from_fd(cls, fd: int) -> Brief:
        """Reads and closes the descriptor."""
        with os.fdopen(fd, "rb") as file:
            return cls(**json.load(file))


def spawn_arguments(brief_fd: int) -> list[str]:
    """Arguments behind the interpreter that start a worker."""
    return ["-m", "resolver.worker", "--brief", str(brief_fd)]


def control_path(runtime_dir: Path, worker: int) -> Path:
    """Where a worker listens for its supervisor."""
    return runtime_dir / f"worker-{worker}.sock"


def map_snapshot(fd: int) -> Snapshot:
    """Maps a sealed snapshot, every page of it present: no query ever waits for a page."""
    with os.fdopen(fd, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        return Snapshot(mmap.mmap(file.fileno(), size, mmap.MAP_SHARED | mmap.MAP_POPULATE, mmap.PROT_READ))


class Worker:
    """The parts of one loop."""

    def __init__(self, brief: Brief) -> None:
        self._brief = brief
        self._loop = asyncio.get_running_loop()
        self._edge: Edge = normalise(EdgeFile.model_validate_json(brief.settings))
        self._sockets = [ListenSocket(**sock) for sock in brief.sockets]
        file = self._edge.file
        self._random = random.SystemRandom()
        self._ring = Ring(self._edge.ring_file)
        shared = memoryview(mmap.mmap(brief.cache_fd, self._edge.shared_bytes))
        self._cache = Cache(shared[: file.cache.size], brief.cache_secret, brief.worker, int(file.cache.stale))
        self._master = bytes.fromhex(brief.name_key)
        self._guard = make_guard(file.cookies, file.rate_limit, shared[file.cache.size :], self._master, time.time())
        self._forwarder = Forwarder(int(file.forwarding.first_try * 1000), int(file.forwarding.tcp_timeout * 1000))
        for upstream in file.upstreams:
            datagrams = upstream.protocol == "udp"
            self._forwarder.add_upstream(
                open_sockets(upstream, file.forwarding.sockets, self._random) if datagrams else []
            )
        self._streams = StreamUpstreams(file.upstreams, file.forwarding.tcp_timeout, self._random)
        self._rules = brief.rules
        self._engine = Engine(
            self._policy(brief.rules, brief.rules_fd),
            compile_locals(file.local, self._edge.profiles, self._edge.endpoints, self._edge.check_page),
            self._cache,
            Counters(self._ring.part(brief.worker), self._edge.window_seconds),
            Tally(TallyFile(self._edge.tally_file, self._edge.workers).part(brief.worker)),
            self._guard,
            self._forwarder,
            int(file.cache.ttl_max),
        )
        self._transports = StreamTransports(self._edge, self._engine, self._settled)
        # Questions leave by streams as soon as they came in only where an upstream is reached by nothing else.
        self._streaming = any(upstream.protocol != "udp" for upstream in file.upstreams)
        self._ticking = False
        self._passing = False
        self._asking = asyncio.Semaphore(ASKING_MAX)
        self._tasks: set[asyncio.Task[None]] = set()
        self._started_at = time.time()
        self._control = Server(
            control_path(file.runtime_dir, brief.worker),
            {
                "status": self._status,
                "rules": self._take_rules,
                "handover": self._handover,
                "flush": self._flush,
                "stop": self._stop,
            },
        )
        self._stopping = asyncio.Event()

    def _policy(self, rules: Message, fd: int | None) -> Any:
        snapshot = map_snapshot(fd) if fd is not None else None
        bundle = bundles.parse(rules["bundle"].encode())
        return compile_policy(self._edge, bundle, snapshot, rules["epoch"], self._master)

    # Commands of the supervisor.

    def _status(self, _: Message, __: list[int]) -> tuple[Message, list[int]]:
        return {
            "pid": os.getpid(),
            "settings": self._brief.settings,
            "rules": {key: value for key, value in self._rules.items() if key != "bundle"},
            "outstanding": self._engine.outstanding,
            "connections": self._transports.connections,
            "certificates": self._transports.certificates(),
            "upstreams": self._forwarder.health(),
            "started_at": self._started_at,
        }, []

    def _take_rules(self, message: Message, fds: list[int]) -> tuple[Message, list[int]]:
        fd = fds.pop(0) if fds else None
        self._engine.use(self._policy(message["rules"], fd))
        self._rules = message["rules"]
        return {"epoch": self._rules["epoch"]}, []

    def _handover(self, _: Message, __: list[int]) -> tuple[Message, list[int]]:
        message = {
            "sockets": [sock.name for sock in self._sockets],
            "cache_secret": self._brief.cache_secret,
            "name_key": self._brief.name_key,
        }
        return message, [self._brief.cache_fd, *(sock.fd for sock in self._sockets)]

    def _flush(self, message: Message, _: list[int]) -> tuple[Message, list[int]]:
        name = wire_name(message["name"]).lower()
        return {"forgotten": self._cache.flush(name, bool(message["subtree"]))}, []

    def _stop(self, _: Message, __: list[int]) -> tuple[Message, list[int]]:
        self._stopping.set()
        return {}, []

    # Between the engine and the loop.

    def _drain(self, fd: int, wildcard: bool) -> None:
        self._engine.drain(fd, wildcard)
        self._settled()

    def _hear(self) -> None:
        self._engine.hear()
        self._pass_on()

    def _settled(self) -> None:
        """After queries went in: where some wait for an upstream, the clock must tick."""
        for ticket, query in self._engine.collect_asked():
            self._keep(self._ask_supervisor(ticket, query))
        if self._streaming:
            self._hand_out()
        if not self._ticking and self._engine.outstanding:
            self._ticking = True
            self._loop.call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        self._engine.tick()
        self._pass_on()
        self._ticking = bool(self._engine.outstanding)
        if self._ticking:
            self._loop.call_later(TICK_SECONDS, self._tick)

    def _pass_on(self) -> None:
        for token, answer in self._engine.collect():
            self._transports.deliver(token, answer)
        self._hand_out()

    def _hand_out(self) -> None:
        """Asks over streams what the engine cannot ask by a datagram."""
        for ticket, upstream, question, bits in self._engine.collect_streamed():
            self._streams.begin(upstream, question, bits, functools.partial(self._told, ticket))

    def _told(self, ticket: int, answer: bytes | None) -> None:
        self._engine.deliver(ticket, answer)
        # What one read brings is passed on together.
        if not self._passing:
            self._passing = True
            self._loop.call_soon(self._pass_on_together)

    def _pass_on_together(self) -> None:
        self._passing = False
        self._pass_on()

    def _keep(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask_supervisor(self, ticket: int, query: bytes) -> None:
        """Has an answer made by the supervisor, who alone holds the node's key; without it, SERVFAIL."""
        response = None
        with contextlib.suppress(ControlError):
            async with self._asking:
                answer = await ask(self._edge.control_socket, {"command": "whoami", "query": query.hex()})
                response = bytes.fromhex(answer["response"]) or None
        self._engine.reply(ticket, query, response)
        self._pass_on()

    async def _rotate(self) -> None:
        """Gives up one port of each upstream a second for a fresh one."""
        while True:
            await asyncio.sleep(ROTATE_SECONDS)
            for number, upstream in enumerate(self._edge.file.upstreams):
                if upstream.protocol != "udp":
                    continue
                # Without a route for a while there is no fresh port: the one there is serves on.
                with contextlib.suppress(PoolError):
                    fd = open_socket(upstream, self._random)
                    if not self._forwarder.replace(number, fd):
                        os.close(fd)

    async def _renew_secrets(self) -> None:
        """Makes cookies by the secrets of the day; a file of them that cannot be read leaves those before in force."""
        while True:
            await asyncio.sleep(SECRETS_SECONDS)
            try:
                self._guard.use(cookies.make(self._edge.file.cookies, self._master, time.time()))
            except cookies.CookieError as error:
                log.get().error("the secrets of cookies stay as they were", reason=str(error))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._transports.sweep(self._loop.time())

    async def run(self) -> None:
        """Serves until told to stop."""
        servers = []
        for sock in self._sockets:
            if sock.worker != self._brief.worker:
                continue
            if sock.kind == "udp":
                self._loop.add_reader(sock.fd, self._drain, sock.fd, sock.wildcard)
            else:
                # asyncio closes what it is given; the descriptor itself stays for a handover.
                listening = socket.socket(fileno=os.dup(sock.fd))
                servers.append(await self._loop.create_server(self._transports.factory(sock), sock=listening))
        self._loop.add_reader(self._forwarder.fd, self._hear)
        for job in (self._rotate(), self._renew_secrets(), self._sweep()):
            self._keep(job)
        log.get().info("serving", worker=self._brief.worker, serial=self._rules["serial"], sockets=len(self._sockets))
        await self._stopping.wait()
        for sock in self._sockets:
            if sock.worker == self._brief.worker and sock.kind == "udp":
                self._loop.remove_reader(sock.fd)
        for server in servers:
            server.close()
        self._transports.retire()
        # What is on its way to upstreams is still answered.
        deadline = self._loop.time() + self._edge.file.forwarding.tcp_timeout
        while self._engine.outstanding and self._loop.time() < deadline:  # noqa: ASYNC110 # the engine has no events
            await asyncio.sleep(TICK_SECONDS)
        self._streams.close()
        # Goodbyes are still sent, to those who read them.
        deadline = self._loop.time() + CLOSE_SECONDS
        while self._transports.connections and self._loop.time() < deadline:  # noqa: ASYNC110 # connections have no events
            await asyncio.sleep(TICK_SECONDS)
        self._control.close()
        for task in self._tasks:
            task.cancel()


async def _main(brief: Brief) -> None:
    await Worker(brief).run()


def main() -> None:
    """`python -m resolver.worker --brief FD`: exec'd by the supervisor, never by hand."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--brief", type=int, required=True, metavar="FD")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    brief = Brief.from_fd(arguments.brief)
    for fd in (brief.cache_fd, *(sock["fd"] for sock in brief.sockets)):
        # Nothing that a worker starts may hold a listening socket.
        fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    log.configure(f"worker-{brief.worker}")
    uvloop.run(_main(brief))


if __name__ == "__main__":
    main()
