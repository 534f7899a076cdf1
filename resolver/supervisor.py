"""The supervisor: the composition root of an edge.

It owns the configuration, the sockets, the workers, the list's sync, the reports and the operator's commands; queries
never pass through it. Holds always: the last good list stays in force whatever happens to the sync, the authority or
this process; one supervisor runs for each runtime folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import random
import secrets
import signal
import threading
import time
from collections.abc import Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import uvloop

from blocklist_sync.edge.activate import FOLDER, Activation
from lachan import log
from lachan.errors import LachanError
from lachan.signing import SigningKey
from lachan.spool import Spool
from resolver import privileges, proofs, reload, schools, settings, systemd
from resolver.check import check
from resolver.control import Handler, Message, Server
from resolver.counters import EPOCH_BYTES, Ring, Totals
from resolver.enrolment import signing_key
from resolver.errors import ResolverError
from resolver.exceptions import Exceptions
from resolver.openings import Openings, TallyFile
from resolver.pages.keeper import PageKeeper
from resolver.report import ListState, Reporter
from resolver.reporting import Reporting
from resolver.rules import Rules, facts, load, view
from resolver.settings import Edge
from resolver.suspending import Suspending
from resolver.upstream.counts import StreamTotals
from resolver.upstream.health import UpstreamHealth, fold
from resolver.whoami import Answerer
from resolver.workers import Workers

if TYPE_CHECKING:
    from blocklist_sync.edge.agent import Agent
    from lachan.renewal import Renewal
    from resolver.uplink import Uplink

STATUS_SECONDS = 1.0


class Supervisor:
    """All of an edge but its packet path."""

    def __init__(self, edge: Edge, source: Path) -> None:
        """`source` is where the configuration was read, and will be again."""
        self._source = source.absolute()
        self._edge = edge
        self._file = edge.file
        self._rules = Rules(epoch=1)
        self._workers = Workers(edge)
        self._pages = PageKeeper(edge)
        self._jobs: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._workers_status: list[Message] = []
        self._living: list[Message] = []
        self._reloading: asyncio.Task[None] | None = None
        self._reloaded: Message = {"state": "never", "at": 0, "reason": ""}
        self._streams = StreamTotals()
        self._exceptions = Exceptions(edge.overrides_file, self._override)
        self._suspending = Suspending(edge.file.state_dir / FOLDER, self._enforce)
        # One set of rules is announced after another.
        self._announcing = asyncio.Lock()
        self._telling: set[asyncio.Task[None]] = set()
        self._lock: TextIO | None = None
        self._agent: Agent | None = None
        self._renewal: Renewal
        self._ring: Ring
        self._tally: TallyFile

    def _take_place(self) -> None:
        """Makes the folders, and makes sure that no other supervisor runs here.

        Raises:
            ResolverError: One does, or a folder cannot be had.
        """
        folders = (self._file.state_dir, self._file.runtime_dir)
        lock = self._file.runtime_dir / "supervisor.lock"
        for folder in folders:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(0o700)
            except OSError as error:
                raise ResolverError(f"{folder}: {error.strerror}") from error
        try:
            self._lock = lock.open("w")
        except OSError as error:
            raise ResolverError(f"{lock}: {error.strerror}") from error
        privileges.give((*folders, lock), self._file.user)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ResolverError(f"{self._file.runtime_dir}: another supervisor runs there") from error

    def _last_good(self, epoch: int) -> Rules:
        """The rules to begin with: the last good list, whatever its age."""
        if self._file.blocklist.snapshot is not None:
            return load(self._file.blocklist.snapshot, epoch=epoch, activated_at=int(time.time()))
        activation = self._suspending.enforced()
        if activation is None:
            log.get().error("there has never been a list: nothing is filtered until one arrives")
            return Rules(epoch=epoch, activated_at=int(time.time()))
        return self._activated(activation, epoch)

    @staticmethod
    def _activated(activation: Activation, epoch: int) -> Rules:
        return load(
            activation.snapshot,
            epoch=epoch,
            bundle=activation.policy,
            activated_at=activation.activated_at,
            published_at=activation.published_at,
        )

    async def _activate(self, activation: Activation) -> None:
        """Puts a new list in force in every worker: each swaps one reference."""
        async with self._announcing:
            if self._suspending.holds(activation.records_digest):
                return
            await self._put_in_force(activation)

    async def _put_in_force(self, activation: Activation) -> None:
        rules = await asyncio.to_thread(self._activated, activation, self._rules.epoch + 1)
        await self._announce(self._with_exceptions(rules))
        log.get().info("list in force", serial=rules.serial, entries=rules.entries)

    def _with_exceptions(self, rules: Rules) -> Rules:
        self._exceptions.judge(self._edge, view(rules.fd) if rules.fd is not None else None)
        return rules.overridden(self._exceptions.live(), rules.epoch)

    async def _announce(self, rules: Rules) -> None:
        revision = self._exceptions.revision
        await self._workers.announce(rules)
        await self._pages.announce(rules)
        # Told to be in force only when every worker has it.
        old, self._rules = self._rules, rules
        if old.fd is not None and old.fd != rules.fd:
            os.close(old.fd)
        self._exceptions.announced = revision

    def _override(self) -> None:
        """An override came or went: every worker is told at once."""
        self._soon(self._announce_overrides())

    def _enforce(self) -> None:
        """A release was suspended, or is not any more: every worker is told at once."""
        self._soon(self._announce_enforced())

    def _soon(self, telling: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(telling)
        self._telling.add(task)
        task.add_done_callback(self._told)

    def _told(self, task: asyncio.Task[None]) -> None:
        self._telling.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.get().error("workers could not be told", error=repr(error)[:500])

    async def _announce_enforced(self) -> None:
        async with self._announcing:
            revision = self._suspending.revision
            activation = await asyncio.to_thread(self._suspending.enforced)
            if activation is not None and activation.records_digest != self._rules.records_digest:
                await self._put_in_force(activation)
            self._suspending.settled(revision)

    async def _announce_overrides(self) -> None:
        async with self._announcing:
            await self._announce(self._rules.overridden(self._exceptions.live(), self._rules.epoch + 1))

    def _names(self) -> Sequence[int]:
        return self._rules.fingerprints()

    def _list_state(self) -> ListState:
        rules, agent = self._rules, self._agent
        return ListState(
            serial=rules.serial,
            records_digest=rules.records_digest,
            activated_at=rules.activated_at,
            checked_at=agent.checked_at if agent is not None else 0,
            releases_refused=sum(agent.refused.values()) if agent is not None else 0,
        )

    def _status(self, spool: Spool) -> Message:
        agent = self._agent
        reports = spool.stats()
        return {
            "organisation": self._file.organisation,
            "node": self._file.node,
            "list": facts(self._rules.describe()),
            "published_at": self._rules.published_at,
            "checked_at": agent.checked_at if agent is not None else 0,
            "refused": agent.refused if agent is not None else {},
            "sync": agent.state().document() if agent is not None else None,
            "alarms": agent.look().document() if agent is not None else [],
            "shadow": self._file.blocklist.shadow,
            "exceptions": self._exceptions.status(),
            "suspended": self._suspending.status(),
            "workers": self._workers_status,
            "upstreams": [one.as_json() for one in self._upstreams()],
            "restarts": self._workers.restarts,
            "reload": self._reloaded,
            "reports": {"waiting": reports.items, "held": reports.held, "oldest_at": reports.oldest_at},
        }

    def _upstreams(self) -> list[UpstreamHealth]:
        names = [(upstream.label, upstream.group) for upstream in self._file.upstreams]
        return fold(names, [worker.get("upstreams", []) for worker in self._workers_status])

    def _whoami(self, key: SigningKey) -> Handler:
        """Answers of the node to who it is, for workers: none of them holds its key."""
        answerer = Answerer(f"{self._file.organisation}/{self._file.node}", key)

        def answer(message: Message, _: list[int]) -> tuple[Message, Sequence[int]]:
            query = bytes.fromhex(message["query"])
            # Its name may change with the settings; the bound on signatures goes on.
            zone = self._file.local.whoami_zone
            response = answerer.answer(query, zone, time.time()) if zone is not None else None
            return {"response": (response or b"").hex()}, ()

        return answer

    async def _watch_status(self) -> None:
        while True:
            self._workers_status = await self._workers.status()
            self._streams.take(self._workers_status)
            if self._agent is not None:
                self._agent.look()
            # What could not be told is told again; what is being told is waited for.
            if self._suspending.turned() and not self._telling:
                self._enforce()
            await self._pages.look(self._agent.checked_at if self._agent is not None else 0)
            await asyncio.sleep(STATUS_SECONDS)

    def _start(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(job)
        self._jobs.add(task)
        # A job that ends has failed: an edge without it must not look healthy.
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._stopping.set()

    # Other settings ---------------------------------------------------------------------------------------------------

    def _reload(self, ring: Ring) -> Message:
        """Reads the configuration again and begins to put it in force.

        Raises:
            LachanError: It is not good, or needs a restart; the one in force stays.
        """
        if self._reloading is not None and not self._reloading.done():
            raise ResolverError("a reload is under way")
        edge = settings.read(self._source)
        check(edge, str(self._source))
        reload.check(self._edge, edge, str(self._source))
        self._reloaded = {"state": "under way", "at": int(time.time()), "reason": ""}
        self._reloading = asyncio.create_task(self._renew(edge, ring))
        return {}

    async def _renew(self, edge: Edge, ring: Ring) -> None:
        log.get().info("reloading: workers are replaced one after another")
        try:
            ring.add_profiles(edge.profiles)
            await self._workers.renew(edge)
        except ResolverError as error:
            self._reloaded |= {"state": "failed", "reason": str(error)}
            log.get().error("the configuration before stays in force", reason=str(error))
            return
        self._edge, self._file = edge, edge.file
        self._exceptions.judge(edge, view(self._rules.fd) if self._rules.fd is not None else None)
        self._pages.renew(edge)
        self._reloaded |= {"state": "done"}
        log.get().info("reloaded", workers=self._workers.alive)

    def _hang_up(self, ring: Ring) -> None:
        try:
            self._reload(ring)
        except LachanError as error:
            log.get().error("not reloaded, the configuration before stays in force", reason=str(error))

    def prepare(self) -> None:
        """Does what needs privileges, and gives them up; before there is a second thread.

        Raises:
            ResolverError: As `run`.
        """
        privileges.raise_descriptors(self._edge.descriptors)
        self._take_place()
        self._living = self._workers.find()
        self._workers.open()
        self._pages.open()
        privileges.drop(self._file.user)
        if self._file.user is not None:
            # What root could read, this user may not.
            check(self._edge, str(self._source))
        self._ring = Ring.adopt_or_create(
            self._edge.ring_file,
            window_seconds=self._edge.window_seconds,
            workers=self._edge.seats,
            profiles=self._edge.profiles,
            epoch=secrets.token_bytes(EPOCH_BYTES),
            now=int(time.time()),
        )
        self._tally = TallyFile(self._edge.tally_file, self._edge.seats)
        # Workers load while the list is read and verified.
        self._workers.prepare(self._living)

    async def run(self) -> None:
        """Serves until told to stop by SIGTERM or SIGINT; SIGHUP has the configuration read again.

        Raises:
            ResolverError: The edge cannot start; nothing is left running that was not running before.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        ring = self._ring
        loop.add_signal_handler(signal.SIGHUP, self._hang_up, ring)
        epoch = 1 + max((status["rules"]["epoch"] for status in self._living), default=0)
        self._exceptions.recover()
        if self._file.blocklist.sync is not None:
            self._suspending.recover()
        self._rules = self._with_exceptions(await asyncio.to_thread(self._last_good, epoch))
        key = signing_key(self._file.state_dir)
        spool = Spool(self._file.state_dir / "reports.spool")
        control = self._listen(spool, key)
        try:
            await self._workers.start(self._rules, self._living)
            self._suspending.settled(self._suspending.revision)
            self._pages.start(self._rules)
            self._agent, uplink = await self._links(spool)
            openings = self._report(spool, key, uplink)
            self._start(self._watch_status())
            if self._file.schools:
                kept = self._file.state_dir / schools.FOLDER
                census = schools.Schools(self._workers.census, self._edge.seats, self._file.schools, kept)
                self._start(census.run())
            self._start(self._workers.watch())
            if uplink is not None:
                self._start(uplink.run())
                self._start(self._renewal.run())
                from resolver.challenged import challenged

                self._start(challenged(self._file, openings, key))
            if self._agent is not None:
                self._start(self._agent.run(self._activate))
            with self._metrics(ring, spool, uplink):
                systemd.notify("READY=1")
                log.get().info(
                    "up",
                    node=f"{self._file.organisation}/{self._file.node}",
                    workers=self._workers.alive,
                    serial=self._rules.serial,
                    key_id=key.public.key_id.hex()[:16],
                )
                await self._stopping.wait()
                systemd.notify("STOPPING=1")
        finally:
            failed = [task for task in self._jobs if task.done() and not task.cancelled() and task.exception()]
            await self._end(control, spool)
        if failed:
            raise ResolverError(f"a job of the supervisor failed: {failed[0].exception()!r}") from failed[0].exception()

    def _listen(self, spool: Spool, key: SigningKey) -> Server:
        """Takes commands from now on."""
        # A list that stands in a file has none before it.
        suspending = self._suspending.handlers() if self._file.blocklist.sync is not None else {}
        return Server(
            self._edge.control_socket,
            {
                "status": lambda *_: (self._status(spool), ()),
                "whoami": self._whoami(key),
                "receipts": partial(proofs.handler, spool),
                "reload": lambda *_: (self._reload(self._ring), ()),
                **self._exceptions.handlers(),
                **suspending,
            },
        )

    def _report(self, spool: Spool, key: SigningKey, uplink: Uplink | None) -> Openings:
        """Begins to write reports; the counts that they commit to."""
        names = self._file.organisation, self._file.node
        openings = Openings(self._file.state_dir / "openings", self._tally, self._ring.created_at, self._names)
        reporting = Reporting(
            self._ring,
            Reporter(spool, key, *names, schools_alone=self._edge.schools_alone),
            openings,
            self._list_state,
            enforcing=not self._file.blocklist.shadow,
            overrides=self._exceptions.within,
            suspensions=self._suspending.within,
            spooled=uplink.wake if uplink is not None else _nothing,
        )
        self._start(reporting.run())
        return openings

    async def _end(self, control: Server, spool: Spool) -> None:
        jobs = [*self._jobs, *([self._reloading] if self._reloading is not None else [])]
        for task in jobs:
            task.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        await self._pages.stop()
        await self._workers.stop()
        control.close()
        spool.close()

    async def _links(self, spool: Spool) -> tuple[Agent | None, Uplink | None]:
        """The ways to the authority, whose libraries take longer to load than a worker takes to serve."""
        agent = uplink = None
        if self._file.blocklist.sync is not None:
            from blocklist_sync.edge.agent import Agent

            agent = Agent(self._file.blocklist.sync, self._file.state_dir)
            await asyncio.to_thread(agent.current)
        if self._file.report.uplink is not None:
            from blocklist_sync.edge import pins
            from lachan.renewal import Renewal
            from resolver.uplink import Uplink

            settings = self._file.report.uplink
            signed = self._file.state_dir / FOLDER / pins.FILE if self._file.blocklist.sync is not None else None
            uplink = Uplink(settings, spool, window=self._file.report.window, signed=signed)
            self._renewal = Renewal(settings.target, settings.tls, random.SystemRandom())
        return agent, uplink

    def _metrics(self, ring: Ring, spool: Spool, uplink: Uplink | None) -> contextlib.AbstractContextManager[object]:
        if self._file.metrics is None:
            return contextlib.nullcontext()
        from resolver import metrics

        totals = Totals(ring, int(time.time()))
        turn = threading.Lock()

        def read() -> metrics.Snapshot:
            # Scrapes and health checks come in threads of their own.
            with turn:
                now = time.time()
                rules, agent = self._rules, self._agent
                return metrics.Snapshot(
                    now=now,
                    counts=totals.read(int(now)),
                    workers=self._workers.alive,
                    restarts=self._workers.restarts,
                    serial=rules.serial,
                    entries=rules.entries,
                    published_at=rules.published_at,
                    checked_at=agent.checked_at if agent is not None else 0,
                    refused=dict(agent.refused) if agent is not None else {},
                    sync=agent.state() if agent is not None else None,
                    alarms=agent.board.raised if agent is not None else {},
                    received_bytes=agent.received if agent is not None else 0,
                    by_delta=agent.deltas.applied if agent is not None else 0,
                    downloaded=dict(agent.deltas.fallbacks) if agent is not None else {},
                    cache_entries=self._workers.cache_entries(),
                    pages=self._pages.counts,
                    spool=spool.stats(),
                    uplink=uplink.status if uplink is not None else None,
                    certificate_ends=self._renewal.expires_at if uplink is not None else 0.0,
                    overrides=len(self._exceptions.live()),
                    suspended=len(self._suspending.live()),
                    allowed_ignored=len(self._exceptions.ignored),
                    streams=self._streams.upstreams,
                    upstreams=self._upstreams(),
                )

        return metrics.serve(self._file.metrics.address, self._file.metrics.port, read)


def _nothing() -> None:
    pass


def serve(edge: Edge, source: Path) -> None:
    """Runs an edge in this process until it is told to stop; `source` is where its configuration was read.

    Raises:
        ResolverError: It cannot start.
    """
    supervisor = Supervisor(edge, source)
    supervisor.prepare()
    uvloop.run(supervisor.run())
