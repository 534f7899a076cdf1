"""The list authority's server: the signed repository over HTTPS; announcements, samples and the registry over gRPC.

Holds always: edges are served nothing but the repository's own files, the public nothing but answers and statements,
both over TLS 1.2 or newer; no client's address is logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime

import uvicorn
from sqlalchemy import URL
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.public import enquiry
from blocklist_sync.central.public.enquiry import Limit
from blocklist_sync.central.release.candidate import ReleaseFolder
from blocklist_sync.central.release.repository import Repository
from blocklist_sync.central.serving import announcing, rpc, static
from blocklist_sync.central.serving.admission import Admission, protocol
from blocklist_sync.central.serving.membership import Followed
from blocklist_sync.central.serving.metrics import Metrics
from blocklist_sync.central.serving.settings import (
    HttpsSettings,
    ListSettings,
    MetricsSettings,
    PublicSettings,
    RevocationSettings,
)
from blocklist_sync.central.serving.watch import Watch
from lachan import endpoint, log, tls
from lachan.channel import Renewing
from lachan.tls import TlsError

KEEP_ALIVE_SECONDS = 5
GRACE_SECONDS = 5


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: this process has another server to end too."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def tls_context(settings: HttpsSettings | PublicSettings) -> ssl.SSLContext:
    """What the HTTPS server speaks.

    Raises:
        CentralError: A certificate or key cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # An edge keeps one connection for a round and resumes none: tickets, each with its certificate in it, would be a
    # fifth of what a small change costs.
    context.num_tickets = 0
    try:
        context.load_cert_chain(settings.certificate, settings.key)
        if isinstance(settings, HttpsSettings) and settings.client_ca is not None:
            context.load_verify_locations(settings.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        raise CentralError(f"{settings.certificate}: {error}") from error
    return context


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        return socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise CentralError(f"{address}: cannot be bound: {error}") from error


def _web(
    app: Starlette,
    settings: HttpsSettings | PublicSettings,
    context: ssl.SSLContext,
    http: type[asyncio.Protocol] = H11Protocol,
) -> _Server:
    config = uvicorn.Config(
        app,
        http=http,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_context_factory=lambda _config, _default: context,
    )
    return _Server(config)


def _enquiries(settings: ListSettings, public: PublicSettings) -> _Server:
    limit = Limit(public.burst, public.rate)
    told = settings.repository / "public"
    app = enquiry.application(ReleaseFolder(settings.release), told, limit, time.monotonic)
    return _web(app, public, tls_context(public))


@contextlib.contextmanager
def _metrics(settings: MetricsSettings, metrics: Metrics) -> Iterator[int]:
    host, _, port = settings.listen.rpartition(":")
    with endpoint.serve(host.strip("[]"), int(port), metrics.registry) as (_, bound):
        yield bound


def _organisation(settings: ListSettings) -> str | None:
    """Whose list it is, by the certificates of this server; None if none of them says."""
    shown = [settings.https.certificate]
    shown += [face.tls.certificate for face in (settings.grpc, settings.push) if face is not None]
    for certificate in shown:
        with contextlib.suppress(TlsError):
            return tls.identity_of(tls.read_pem(certificate)).organisation
    return None


@contextlib.asynccontextmanager
async def _admission(settings: ListSettings, metrics: Metrics) -> AsyncIterator[Admission]:
    """Who is let in, kept up to date where that is told."""
    told = settings.revocations
    if told is None:
        if not settings.https.open:
            log.get().warning("the membership is told by nobody: every node's certificate counts until it ends")
        yield Admission(_organisation(settings), None)
        return
    followed = Followed(told.kept)
    channel = Renewing(told.service, told.tls)
    following = asyncio.create_task(_follow(followed, channel, told, metrics))
    try:
        yield Admission(_organisation(settings), followed)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await channel.close()


async def _follow(followed: Followed, channel: Renewing, told: RevocationSettings, metrics: Metrics) -> None:
    while True:
        await followed.follow(channel.channel())
        followed.look(told.alarm)
        metrics.membership(followed.told_at, followed.known.nodes)
        await followed.pause(told.interval)


def _now() -> datetime:
    return datetime.now(UTC)


async def serve(
    settings: ListSettings, database: URL | None, started: Callable[[Mapping[str, int | None]], None]
) -> None:
    """Serves until SIGTERM or SIGINT.

    Args:
        settings: Normalised settings.
        database: The registry's, where there is one.
        started: Told every port by its name once all are served.

    Raises:
        CentralError: An address or a certificate cannot be used.
        TlsError: The gRPC server's address or material cannot be used.
        PostgresError: The registry's database cannot be used.
        EndpointError: The metrics' address cannot be bound.
    """
    context = tls_context(settings.https)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    metrics = Metrics()
    async with contextlib.AsyncExitStack() as stack:
        admission = await stack.enter_async_context(_admission(settings, metrics))
        service = await rpc.start(settings, settings.grpc, database, metrics, admission) if settings.grpc else None
        grpc_port = service.port if service is not None else None
        listener = stack.enter_context(_listen(settings.https.listen))
        port = listener.getsockname()[1]
        guarded = H11Protocol if settings.https.open else protocol(admission)
        webs = [(_web(static.application(settings.repository), settings.https, context, guarded), listener)]
        public_port = None
        if settings.public is not None:
            asked = stack.enter_context(_listen(settings.public.listen))
            public_port = asked.getsockname()[1]
            webs.append((_enquiries(settings, settings.public), asked))
        announcements = (
            await announcing.start(settings.push, settings.repository, metrics, admission) if settings.push else None
        )
        push_port = announcements.port if announcements else None
        metrics_port = stack.enter_context(_metrics(settings.metrics, metrics)) if settings.metrics else None
        watch = Watch(metrics, Repository(settings.repository), service.registry if service else None, _now)
        watching = asyncio.create_task(watch.run())
        serving = [asyncio.create_task(web.serve(sockets=[held])) for web, held in webs]
        ports = {"https_port": port, "grpc_port": grpc_port, "push_port": push_port, "public_port": public_port}
        ports["metrics_port"] = metrics_port
        log.get().info("serving", **ports)
        started(ports)
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({*serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for web, _ in webs:
            web.should_exit = True
        for task in (stopping, watching):
            task.cancel()
        await asyncio.gather(stopping, watching, return_exceptions=True)
        if announcements is not None:
            await announcements.stop()
        for task in serving:
            await task
    if service is not None:
        await service.stop()
