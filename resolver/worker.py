"""One worker: the composition root of one event loop.

The order in which a query is settled stands in resolver/_hot/engine.pyx, each step with its reason; here the parts are
put together. Holds always: a worker never serves before it has been told its rules; it outlives its supervisor and
waits for the next one at its control socket; it drains for a sibling that stands still; it takes no signal meant for
the terminal.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import functools
import gc
import mmap
import os
import random
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from lachan import log
from lachan.labels import wire_name
from resolver import contacts, cookies
from resolver._hot.cache import Cache
from resolver._hot.contacts import Contacts
from resolver._hot.counters import Counters
from resolver._hot.engine import Engine
from resolver._hot.tally import Tally
from resolver.brief import Brief, UntoldError, digest, hear_rules
from resolver.control import ControlError, Message, Server, ask
from resolver.counters import Ring
from resolver.edgefile import EdgeFile
from resolver.guard import make_guard
from resolver.heartbeats import BEAT_SECONDS, Beats, duty, now_ms
from resolver.inforce import InForce
from resolver.listeners.serving import Serving
from resolver.listeners.sockets import ListenSocket
from resolver.listeners.stream import SWEEP_SECONDS
from resolver.listeners.transports import StreamTransports
from resolver.local import compile_locals
from resolver.openings import TallyFile
from resolver.prefault import prefault
from resolver.schools import counted_schools
from resolver.seats import control_path, sit
from resolver.settings import Edge, normalise
from resolver.upstream.pool import PoolError, make_forwarder, open_socket
from resolver.upstream.stream import StreamUpstreams

TICK_SECONDS = 0.025
ROTATE_SECONDS = 1.0
CHECK_SECONDS = 1.0
LOOP_RECHECK_TURNS = 30
LOOP_CHECK_TURNS = 600
SECRETS_SECONDS = 60.0
CLOSE_SECONDS = 1.0
TURN_SECONDS = 0.5
ASKING_MAX = 4
HANDOVER_SOCKETS = 200


class Worker:
    """The parts of one loop."""

    def __init__(self, brief: Brief, edge: Edge) -> None:
        self._brief = brief
        self._loop = asyncio.get_running_loop()
        self._edge = edge
        self._sockets = [ListenSocket(**sock) for sock in brief.sockets]
        file = self._edge.file
        self._random = random.SystemRandom()
        self._ring = Ring(self._edge.ring_file)
        self._memory = mmap.mmap(brief.shared_fd, self._edge.shared_bytes)
        shared = self._edge.share(memoryview(self._memory))
        self._beats = Beats(shared.beats, self._edge.seats)
        self._cache = Cache(shared.cache, brief.cache_secret, brief.seat, int(file.cache.stale))
        self._master = bytes.fromhex(brief.name_key)
        self._guard = make_guard(file.cookies, file.rate_limit, shared.rates, self._master, time.time())
        self._forwarder = make_forwarder(file.upstreams, file.forwarding, self._random, self._master)
        self._streams = StreamUpstreams(file.upstreams, file.forwarding.tcp_timeout, self._random)
        here = compile_locals(edge.local, edge.profiles, edge.endpoints, edge.check_page)
        self._counters = Counters(self._ring.part(brief.seat), self._edge.window_seconds)
        # What they need not be known for is done.
        self._rules = InForce(edge, self._master, *hear_rules(brief.rules_from), time.time())
        self._engine = Engine(
            self._rules.policy,
            here,
            self._cache,
            self._counters,
            Tally(TallyFile(self._edge.tally_file, self._edge.seats).part(brief.seat)),
            self._guard,
            self._forwarder,
            int(file.cache.ttl_max),
            int(file.cache.ttl_min),
            int(file.cache.ttl_negative),
        )
        if file.schools:
            self._engine.count_by(counted_schools(file.schools, shared.census, brief.seat))
        if file.contacts is not None:
            self._engine.refer_to(Contacts(contacts.texts(file.contacts)))
        self._transports = StreamTransports(self._edge, self._engine, self._settled, self._turned_away)
        self._engine.notify(self._settled)
        self._serving = Serving(self._sockets, self._engine.drain, self._transports.factory)
        # Questions leave by streams as soon as they came in only where an upstream is reached by nothing else.
        self._streaming = any(upstream.protocol != "udp" for upstream in file.upstreams)
        self._ticking = False
        self._passing = False
        self._asking = asyncio.Semaphore(ASKING_MAX)
        self._tasks: set[asyncio.Task[None]] = set()
        self._started_at = time.time()
        self._control = Server(
            control_path(file.runtime_dir, brief.seat),
            {
                "status": self._status,
                "rules": self._take_rules,
                "handover": self._handover,
                "flush": self._flush,
                "stop": self._stop,
            },
        )
        self._stopping = asyncio.Event()
        self._linger = 0.0

    # Commands of the supervisor.

    def _status(self, _: Message, __: list[int]) -> tuple[Message, list[int]]:
        return {
            "pid": os.getpid(),
            "worker": self._brief.worker,
            "seat": self._brief.seat,
            # Its own sockets are read.
            "serving": self._brief.worker in self._serving.numbers,
            "drains_for": sorted(self._serving.numbers - {self._brief.worker}),
            "settings": digest(self._brief.settings),
            "rules": self._rules.facts(),
            "standing": self._rules.standing(),
            "outstanding": self._engine.outstanding,
            "connections": self._transports.connections,
            "certificates": self._transports.certificates(),
            "upstreams": self._forwarder.health(),
            "streams": self._streams.status(),
            "started_at": self._started_at,
        }, []

    def _take_rules(self, message: Message, fds: list[int]) -> tuple[Message, list[int]]:
        fd = fds.pop(0) if fds else None
        self._rules.take(message["rules"], fd, time.time())
        self._engine.use(self._rules.policy)
        return {"epoch": self._rules.policy.epoch}, []

    def _handover(self, message: Message, _: list[int]) -> tuple[Message, list[int]]:
        # In parts: the kernel passes so many descriptors at once.
        sockets = self._sockets[message["first"] : message["first"] + HANDOVER_SOCKETS]
        answer = {
            "sockets": [sock.name for sock in sockets],
            "of": len(self._sockets),
            "cache_secret": self._brief.cache_secret,
            "name_key": self._brief.name_key,
        }
        return answer, [self._brief.shared_fd, *(sock.fd for sock in sockets)]

    def _flush(self, message: Message, _: list[int]) -> tuple[Message, list[int]]:
        name = wire_name(message["name"]).lower()
        return {"forgotten": self._cache.flush(name, bool(message["subtree"]))}, []

    def _stop(self, message: Message, _: list[int]) -> tuple[Message, list[int]]:
        self._linger = float(message["linger"])
        self._stopping.set()
        return {}, []

    # Between the engine and the loop.

    def _turned_away(self, reason: int) -> None:
        self._counters.turn_away(reason, int(time.time()))

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

    async def _check_upstreams(self) -> None:
        """Asks those that are down whether they are back, and all whether what is sent to them comes back to us."""
        looped: set[str] = set()
        while True:
            for turn in range(LOOP_CHECK_TURNS):
                if turn % LOOP_RECHECK_TURNS == 0:
                    self._engine.check_loops(turn == 0)
                self._engine.check()
                self._settled()
                await asyncio.sleep(CHECK_SECONDS)
                looped = self._tell_loops(looped)

    def _tell_loops(self, before: set[str]) -> set[str]:
        """Logs which upstreams lead back here, where that has changed."""
        seen = zip(self._edge.file.upstreams, self._forwarder.health(), strict=True)
        looped = {upstream.label for upstream, health in seen if health["looped"]}
        for label in sorted(looped - before):
            log.get().error("an upstream sends what it is asked back to us: it is not asked any more", upstream=label)
        for label in sorted(before - looped):
            log.get().info("an upstream does not send back to us any more: it is asked again", upstream=label)
        return looped

    async def _renew_secrets(self) -> None:
        """Makes cookies by the secrets of the day; a file of them that cannot be read leaves those before in force."""
        while True:
            await asyncio.sleep(SECRETS_SECONDS)
            try:
                self._guard.use(cookies.make(self._edge.file.cookies, self._master, time.time()))
            except cookies.CookieError as error:
                log.get().error("the secrets of cookies stay as they were", reason=str(error))

    async def _turn(self) -> None:
        """Swaps the tables when a schedule turns or an override ends."""
        while True:
            await asyncio.sleep(TURN_SECONDS)
            if self._rules.turn(time.time()):
                self._engine.use(self._rules.policy)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._transports.sweep(self._loop.time())

    async def _beat(self) -> None:
        """Says that this loop goes on, and drains for siblings of whom nobody says it."""
        while True:
            now = now_ms()
            self._beats.beat(self._brief.seat, self._brief.worker, now)
            wanted = duty(self._beats.read(), self._brief.worker, self._edge.workers, now)
            drained = self._serving.numbers - {self._brief.worker}
            for number in drained - wanted:
                self._serving.leave(number)
                log.get().info("a worker reads its sockets again", worker=number)
            for number in wanted - drained:
                try:
                    await self._serving.take(number)
                    log.get().warning("a worker stands still: draining for it", worker=number)
                except OSError as error:
                    log.get().error("cannot drain for a worker", worker=number, reason=error.strerror)
            await asyncio.sleep(BEAT_SECONDS)

    async def run(self) -> None:
        """Serves until told to stop."""
        await self._serving.take(self._brief.worker)
        self._loop.add_reader(self._forwarder.fd, self._hear)
        beating = asyncio.create_task(self._beat())
        for job in (self._rotate(), self._check_upstreams(), self._renew_secrets(), self._sweep(), self._turn()):
            self._keep(job)
        log.get().info(
            "serving", worker=self._brief.worker, serial=self._rules.facts()["serial"], sockets=len(self._sockets)
        )
        # Queries are answered without it: it must not stand before the first.
        prefault(self._memory)
        await self._stopping.wait()
        beating.cancel()
        self._beats.leave(self._brief.seat)
        for number in self._serving.numbers:
            self._serving.leave(number)
        # Who has a connection may go on with it for a while: most end by themselves.
        await self._while(lambda: self._transports.connections, self._linger)
        self._transports.retire()
        # What is on its way to upstreams is still answered.
        await self._while(lambda: self._engine.outstanding, self._edge.file.forwarding.tcp_timeout)
        self._streams.close()
        # Goodbyes are still sent, to those who read them.
        await self._while(lambda: self._transports.connections, CLOSE_SECONDS)
        self._control.close()
        for task in self._tasks:
            task.cancel()

    async def _while(self, condition: Callable[[], object], seconds: float) -> None:
        deadline = self._loop.time() + seconds
        while condition() and self._loop.time() < deadline:  # noqa: ASYNC110 # neither of them has events
            await asyncio.sleep(TICK_SECONDS)


async def _main(brief: Brief, edge: Edge) -> None:
    worker = Worker(brief, edge)
    # What is there now stays: no collection walks it again while queries wait.
    gc.freeze()
    await worker.run()


def main() -> None:
    """Runs a worker as the brief says that `--brief` names by its descriptor."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--brief", type=int, required=True, metavar="FD")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    brief = Brief.from_fd(arguments.brief)
    for fd in (brief.shared_fd, brief.rules_from, *(sock["fd"] for sock in brief.sockets)):
        # Nothing that a worker starts may hold a listening socket.
        fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    log.configure(f"worker-{brief.worker}")
    edge = normalise(EdgeFile.model_validate_json(brief.settings))
    # Before anything shared is touched; held until this process ends.
    with sit(edge.file.runtime_dir, brief.seat), contextlib.suppress(UntoldError):
        uvloop.run(_main(brief, edge))


if __name__ == "__main__":
    main()
