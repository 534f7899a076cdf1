"""The gRPC face of the list authority: samples for compliance, the registry for its people, and its own health.

Holds always: whatever is wrong at the start is fatal and said; a database that goes away later makes the registry's
calls fail and its health say so, until it is back.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc.aio

# Neither carries types, and no stubs for them are locked.
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_health.v1.health import aio as health  # type: ignore[import-untyped]
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine

from blocklist_sync.central.log.folder import LogFolder
from blocklist_sync.central.rails import rails
from blocklist_sync.central.rails.guard import Guard
from blocklist_sync.central.registry import delegated, ownership, releases
from blocklist_sync.central.registry.book import Book
from blocklist_sync.central.registry.desk import Desk
from blocklist_sync.central.registry.history import History
from blocklist_sync.central.registry.orders import OrderStore
from blocklist_sync.central.registry.remains import Remains
from blocklist_sync.central.registry.service import RegistryService
from blocklist_sync.central.registry.signatures import SignatureDesk
from blocklist_sync.central.registry.weighing import Weighing
from blocklist_sync.central.release.candidate import ReleaseFolder
from blocklist_sync.central.release.repository import Repository
from blocklist_sync.central.serving.admission import Admission
from blocklist_sync.central.serving.counting import CallCounter
from blocklist_sync.central.serving.metrics import Metrics
from blocklist_sync.central.serving.past import Past
from blocklist_sync.central.serving.service import SampleService
from blocklist_sync.central.serving.settings import GrpcSettings, ListSettings, RegistrySettings
from blocklist_sync.central.serving.watch import RegistryWatch
from lachan import channel, log, postgres, tls
from lachan.blocklist.v1 import registry_service_pb2 as registry
from lachan.blocklist.v1.registry_service_pb2_grpc import add_RegistryServiceServicer_to_server
from lachan.blocklist.v1.sample_service_pb2_grpc import add_SampleServiceServicer_to_server

GRACE_SECONDS = 5.0
HEALTH_SECONDS = 2.0
APPLICATION = "lachan-blocklist"
REGISTRY = registry.DESCRIPTOR.services_by_name["RegistryService"].full_name


class RpcServer:
    """The server, once it answers."""

    def __init__(self, server: grpc.aio.Server, port: int, engine: AsyncEngine | None, metrics: Metrics) -> None:
        self.port = port
        self.registry: RegistryWatch | None = None
        self._metrics = metrics
        self._server = server
        self._engine = engine
        self._health = health.HealthServicer()
        self._watching: asyncio.Task[None] | None = None
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)

    async def start(self) -> None:
        """Begins to answer."""
        await self._server.start()
        await self._show("", serving=True)
        if self._engine is not None:
            self._watching = asyncio.create_task(self._watch(self._engine))

    async def _show(self, name: str, *, serving: bool) -> None:
        states = health_pb2.HealthCheckResponse
        await self._health.set(name, states.SERVING if serving else states.NOT_SERVING)

    async def _watch(self, engine: AsyncEngine) -> None:
        """Says whether the database answers."""
        serving = None
        while True:
            try:
                async with engine.connect() as connection:
                    await connection.execute(text("SELECT 1"))
                answers = True
            except postgres.FAILURES as error:
                answers = False
                if serving is not False:
                    log.get().error("the registry's database does not answer", reason=str(error)[:500])
            if answers != serving:
                serving = answers
                await self._show(REGISTRY, serving=serving)
                self._metrics.database.set(serving)
            await asyncio.sleep(HEALTH_SECONDS)

    async def stop(self) -> None:
        """Lets running calls finish within `GRACE_SECONDS`, and ends."""
        await self._health.enter_graceful_shutdown()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._server.stop(GRACE_SECONDS)
        if self._engine is not None:
            await self._engine.dispose()


def _now() -> datetime:
    return datetime.now(UTC)


async def start(
    settings: ListSettings, face: GrpcSettings, database: URL | None, metrics: Metrics, admission: Admission
) -> RpcServer:
    """Serves samples, and the registry where there is one.

    Args:
        settings: Normalised settings.
        face: Where, and as whom.
        database: The registry's.
        metrics: What is counted.
        admission: Whose certificates count.

    Raises:
        TlsError: The address or the material cannot be used.
        PostgresError: The database cannot be used.
        LachanError: The rails cannot be used.
    """
    material = tls.load(face.tls)
    folder = ReleaseFolder(settings.release)
    server = channel.server([CallCounter(metrics)])
    engine = orders = watch = None
    past = Past(Repository(settings.repository), LogFolder(settings.log_folder)) if settings.log_folder else None
    async with AsyncExitStack() as undone:
        if settings.registry is not None and database is not None:
            engine = postgres.engine(database, settings.registry.database.connections, APPLICATION)
            undone.push_async_callback(engine.dispose)
            await ownership.ready(engine)
            orders = OrderStore(engine)
            people = _People(material.identity.organisation, admission)
            service, watch = _registry(settings, settings.registry, engine, orders, people)
            add_RegistryServiceServicer_to_server(service, server)
        add_SampleServiceServicer_to_server(
            SampleService(
                folder,
                face.may_sample(material.identity),
                orders,
                past,
                settings.controls,
                settings.rpz_origins,
                admission.caller,
            ),
            server,
        )
        made = RpcServer(server, channel.bind(server, face.listen, material), engine, metrics)
        made.registry = watch
        await made.start()
        # From here on, it is the server's own end that ends all of it.
        undone.pop_all()
        return made
    raise AssertionError("the block returns or raises")


@dataclass(frozen=True)
class _People:
    """Whose they are, and whose certificates count."""

    organisation: str
    admission: Admission


def _registry(
    settings: ListSettings, registry: RegistrySettings, engine: AsyncEngine, orders: OrderStore, people: _People
) -> tuple[RegistryService, RegistryWatch]:
    """The registry's service, and what its metrics are looked up in."""
    folder = ReleaseFolder(settings.release)
    log_folder = LogFolder(settings.log_folder) if settings.log_folder else None
    book = Book(engine, delegated.of(settings.repository), people.organisation)
    guard = Guard(rails.load(registry.rails), folder.entries_path)
    history = History(engine, registry, Remains(folder.published_entries_path))
    published = releases.of(folder)
    service = RegistryService(
        book,
        Desk(engine, book, Weighing(engine, guard, folder), _now),
        orders,
        history,
        published,
        SignatureDesk(engine, folder, Repository(settings.repository), log_folder, _now),
        _now,
        people.admission.caller,
    )
    return service, RegistryWatch(book, history, published, registry)
