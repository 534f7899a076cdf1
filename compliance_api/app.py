"""The composition root of `lachan-compliance serve`: one process, one loop.

Holds always: whatever is wrong at the start is fatal and said; what goes wrong later in a periodic task is logged,
counted and tried again, while calls are answered as far as they can be; the process keeps nothing that another one
could not read from the database, so any number of them run side by side.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import uvicorn
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.law.law import LawBook
from compliance_api.domain.observations.shapes import ShapeBook
from compliance_api.domain.parties.organisation import Registry
from compliance_api.errors import BusyError, ComplianceError
from compliance_api.metrics import Metrics
from compliance_api.rpc.audit import AuditService
from compliance_api.rpc.finding import FindingService
from compliance_api.rpc.list_authority import SampleClient
from compliance_api.rpc.probe import ProbeService
from compliance_api.rpc.report import ReportService
from compliance_api.rpc.server import Server
from compliance_api.settings.service import AssignmentSettings, ConsoleSection, ServiceSettings
from compliance_api.storage.console.overview import OverviewStore
from compliance_api.storage.findings.casework import Casework
from compliance_api.storage.ledger.entering import Citations
from compliance_api.storage.migrate import migrate
from compliance_api.storage.packs.proofs import Proofs
from compliance_api.storage.probing.assignments import Assignments, Releases
from compliance_api.storage.probing.linechecks import StoredLineChecks
from compliance_api.storage.probing.listchanges import ListChangeStore
from compliance_api.storage.probing.observations import Observations
from compliance_api.storage.probing.seeds import Seeds
from compliance_api.storage.probing.shapes import Shapes
from compliance_api.storage.reports.activity import ActivityStore
from compliance_api.storage.upkeep.upkeep import Upkeep
from compliance_api.usecases.findings.desk import Desk
from compliance_api.usecases.ledger.audit import Audit
from compliance_api.usecases.ledger.cite import Cite
from compliance_api.usecases.probing.assignment import Assigner
from compliance_api.usecases.probing.linecheck import LineChecks
from compliance_api.usecases.probing.listchanges import ListWatch
from compliance_api.usecases.probing.observe import Limits, Observe
from compliance_api.usecases.probing.plan import Plan
from compliance_api.usecases.probing.releasetiming import ReleaseTiming
from compliance_api.usecases.probing.sample import NameSource
from compliance_api.usecases.probing.stamp import Stamper
from compliance_api.usecases.reports.ingest import Ingest
from compliance_api.web import app as web
from compliance_api.wiring import sequencer
from compliance_api.wiring.challenging import Challenging
from compliance_api.wiring.entrance import REFRESH_SECONDS, Entrance
from compliance_api.wiring.intake import Intake
from compliance_api.wiring.judging import Judging
from lachan import channel, endpoint, log, postgres, tls
from lachan.config import split_host_port
from lachan.signing import SigningKey
from lachan.tls import TlsMaterial

HEALTH_SECONDS = 2.0
CONSOLE_CONNECTIONS = 500
CONSOLE_STOP_SECONDS = 3
QTYPES = {"A": 1, "AAAA": 28, "HTTPS": 65}

_log = log.get()


def now() -> datetime:
    """The present."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Loaded:
    """Everything that is read from files before the loop starts."""

    settings: ServiceSettings
    registry: Registry
    laws: LawBook
    shapes: ShapeBook
    tls: TlsMaterial
    key: SigningKey


class _Console(uvicorn.Server):
    """The console's web server; signals belong to the service."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        return socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ComplianceError(f"{address}: cannot be bound: {error.strerror}") from error


def _address(listen: str, port: int) -> str:
    return f"{listen.rpartition(':')[0]}:{port}"


def round_plan(plan: AssignmentSettings) -> Plan:
    """How rounds are made up, by the configuration."""
    return Plan(
        interval=plan.interval,
        listed=plan.listed or plan.a_round(plan.names_a_day),
        spread=plan.spread,
        expires=plan.expires,
        reference=plan.reference.endpoint(),
        second_reference=plan.second_reference.endpoint(),
        qtypes=tuple(QTYPES[name] for name in plan.types),
        controls=plan.controls,
        neighbours=plan.neighbours,
        dnssec_share=plan.dnssec_share,
        aged=plan.a_round(plan.aged_a_day),
        controls_asked=0 if plan.listed else plan.a_round(plan.controls_a_day),
        parents=plan.a_round(plan.parents_a_day),
        young=plan.young,
        released=plan.released,
    )


class _Service:
    """The parts, wired."""

    def __init__(
        self, loaded: Loaded, engine: AsyncEngine, lists: SampleClient, ingest: Ingest, metrics: Metrics
    ) -> None:
        settings = loaded.settings
        plan = settings.assignments
        self._settings = settings
        self._engine = engine
        self._metrics = metrics
        self.entrance = Entrance(engine, loaded.registry, settings, metrics, now)
        seeds = Seeds(engine)
        self._names = NameSource(
            lists,
            Releases(engine),
            os.urandom,
            size=settings.list_authority.pool,
            refresh=settings.list_authority.refresh,
            maximum_age=settings.list_authority.maximum_age,
            seeds=seeds,
        )
        qtypes = tuple(QTYPES[name] for name in plan.types)
        self._challenging = Challenging(
            loaded.registry,
            loaded.laws,
            engine,
            self._names,
            settings.nonces,
            qtypes,
            plan.shown_lines,
            now,
            metrics.registry,
        )
        self._assigner = Assigner(
            loaded.registry,
            loaded.laws,
            Assignments(engine),
            self._names,
            seeds,
            round_plan(plan),
            os.urandom,
            self._challenging.beside,
            ReleaseTiming(ListWatch(lists, ListChangeStore(engine)), Assignments(engine)),
        )
        self._shapes = loaded.shapes
        stamper = Stamper(loaded.key, now, os.urandom)
        observe = Observe(
            loaded.registry,
            loaded.shapes,
            Observations(engine),
            stamper,
            Limits(plan.clock_tolerance, plan.handed_in_within),
            now,
        )
        self._upkeep = Upkeep(engine, settings.retention)
        self._casework = Casework(engine)
        self._judging = Judging(engine, loaded.registry, loaded.laws, settings.judge.interval)
        self.server = Server(
            settings.listen,
            self.entrance.material,
            self.entrance.guard,
            ReportService(ingest, metrics),
            ProbeService(
                self._assigner,
                observe,
                stamper,
                metrics,
                now,
                LineChecks(loaded.registry, StoredLineChecks(engine), stamper, now),
            ),
            AuditService(Audit(Proofs(engine))),
            self._challenging.service,
            FindingService(Desk(loaded.registry, self._casework, loaded.key, now)),
            self.entrance.membership,
            self.entrance.credentials,
        )
        self._cite = Cite(lists, Citations(engine))
        self._keeper = sequencer.keeper(settings.ledger, engine, metrics.registry)
        self._serving = False

    async def prepare(self) -> None:
        """Brings the schema up to date, and the membership as far as its file says."""
        await migrate(self._engine)
        await Shapes(self._engine).learn(self._shapes, now())
        await self.entrance.prepare()
        await self._judging.prepare(now())

    def tasks(self) -> list[Awaitable[None]]:
        """What runs for ever beside the calls."""
        # A round is drawn soon after its interval begins, whoever draws it.
        often = min(60.0, max(0.1, self._settings.assignments.interval / 5))
        keeper = self._keeper
        return [
            *(self._periodically(*task) for task in self._challenging.tasks()),
            *([self._periodically("ledger", keeper.interval, keeper.round)] if keeper else []),
            self._periodically("assignments", often, self._draw),
            self._periodically("citations", self._settings.list_authority.refresh, self._hear),
            self._periodically("judge", self._settings.judge.interval, self._evaluate),
            self._periodically("upkeep", self._settings.retention.interval, self._maintain),
            self._periodically("membership", REFRESH_SECONDS, self.entrance.directory.refresh),
            self._periodically("health", HEALTH_SECONDS, self._check),
        ]

    async def _periodically(self, name: str, seconds: float, action: Callable[[], Awaitable[None]]) -> None:
        while True:
            began = time.monotonic()
            try:
                await action()
            except (*postgres.FAILURES, ComplianceError) as error:
                self._metrics.failures.labels(name).inc()
                level = _log.warning if isinstance(error, BusyError) else _log.error
                level("a task failed and is tried again", task=name, reason=str(error)[:500])
            except Exception:  # noqa: BLE001 - told with its trace, and tried again
                # One row that a task cannot read must not end the service that takes everybody's reports.
                self._metrics.failures.labels(name).inc()
                _log.exception("a task failed in a way nobody foresaw, and is tried again", task=name)
            await asyncio.sleep(max(0.05, seconds - (time.monotonic() - began)))

    async def _draw(self) -> None:
        try:
            # A probe's share of a challenge goes with its round: whoever takes that first would get no share of what is
            # drawn after it.
            await self._challenging.draw()
        finally:
            await self._rounds()

    async def _rounds(self) -> None:
        try:
            await self._assigner.draw_rounds(now())
        finally:
            self._metrics.sample_age.set(self._names.age(now()) or 0.0)

    async def _hear(self) -> None:
        await self._cite.refresh()

    async def _evaluate(self) -> None:
        with self._metrics.evaluation.time():
            verdicts = await self._judging.evaluate(now())
        self._metrics.judged(verdicts, self._judging.unjudged, time.time())
        self._metrics.waited(await self._casework.overdue(now()))

    async def _maintain(self) -> None:
        self._metrics.upkeep.ran(await self._upkeep.run(now()), time.time())

    async def _check(self) -> None:
        try:
            async with self._engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except postgres.FAILURES:
            await self._show(serving=False)
            raise
        await self._show(serving=True)

    async def _show(self, *, serving: bool) -> None:
        if serving != self._serving:
            self._serving = serving
            await self.server.show(serving=serving)


def _console(section: ConsoleSection, engine: AsyncEngine, registry: Registry) -> tuple[_Console, socket.socket]:
    listener = _listen(section.listen)
    application = web.create(
        OverviewStore(engine, registry), section, now, ActivityStore(engine, registry), Casework(engine)
    )
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        limit_concurrency=CONSOLE_CONNECTIONS,
        timeout_graceful_shutdown=CONSOLE_STOP_SECONDS,
    )
    return _Console(config), listener


async def serve(loaded: Loaded, url: URL, ready: Callable[[dict[str, str]], None]) -> None:
    """Runs the service until SIGTERM or SIGINT.

    Args:
        loaded: Everything read from files.
        url: The database.
        ready: Called once calls are answered, with the address of each face.

    Raises:
        LachanError: It cannot start; the message says why.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    settings = loaded.settings
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        engine = postgres.engine(url, settings.database.connections, "lachan-compliance")
        stack.push_async_callback(engine.dispose)
        lists = channel.connect(settings.list_authority.target, loaded.tls)
        stack.push_async_callback(lists.close)
        intake = Intake(url, settings.intake, loaded.registry, loaded.key, metrics, now)
        stack.push_async_callback(intake.close)
        service = _Service(loaded, engine, SampleClient(lists), intake.ingest, metrics)
        await service.prepare()
        addresses = {"grpc": _address(settings.listen, service.server.port)}
        if settings.enrolment:
            addresses["enrolment"] = _address(settings.enrolment.listen, service.entrance.port)
        if settings.metrics:
            addresses["metrics"] = _serve_metrics(stack, settings.metrics.listen, metrics)
        tasks = [asyncio.ensure_future(task) for task in service.tasks()]
        console = None
        if settings.console:
            console, listener = _console(settings.console, engine, loaded.registry)
            addresses["console"] = _address(settings.console.listen, listener.getsockname()[1])
            tasks.append(asyncio.create_task(console.serve([listener])))
        # What was loaded stays: the collector need not look through it again and again while calls wait.
        gc.collect()
        gc.freeze()
        await service.server.start()
        await service.entrance.start()
        ready(addresses)
        _log.info("serving", **addresses)
        stopping = asyncio.create_task(stop.wait())
        # A task that ends has failed beyond what is tried again: then the process ends too, and is started anew.
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        _log.info("stopping")
        await service.entrance.stop()
        await service.server.stop()
        if console is not None:
            console.should_exit = True
            await asyncio.wait([tasks[-1]])
        for task in [stopping, *tasks]:
            task.cancel()
        await asyncio.gather(stopping, *tasks, return_exceptions=True)
        for task in done - {stopping}:
            task.result()


def _serve_metrics(stack: AsyncExitStack, listen: str, metrics: Metrics) -> str:
    host, port = split_host_port(listen)
    _, bound = stack.enter_context(endpoint.serve(host, port, metrics.registry))
    return _address(listen, bound)


def load_tls(settings: ServiceSettings) -> TlsMaterial:
    """The service's own certificate.

    Raises:
        TlsError: It cannot be used.
        ComplianceError: It speaks for something else than a service.
    """
    material = tls.load(settings.tls)
    if material.identity.role is not tls.Role.SERVICE:
        raise ComplianceError(f"{settings.tls.certificate}: {material.identity} is not a service")
    return material
