"""gRPC over mutual TLS: the same limits and the same identity check at both ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import grpc
import grpc.aio

from lachan.tls import Credential, Identity, TlsError, TlsFiles, TlsMaterial, identity_of

MAX_MESSAGE_BYTES = 4 << 20
KEEPALIVE_MS = 30_000
CONNECTION_AGE_MS = 600_000
CONNECTION_GRACE_MS = 30_000
CALLS_OF_A_CONNECTION = 64

_OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.so_reuseport", 0),
    # The names of services are resolved by the system's resolver, never through a proxy of the environment.
    ("grpc.enable_http_proxy", 0),
)


def connect(target: str, tls: TlsMaterial, reconnect_max_ms: int = 10_000, name: str | None = None) -> grpc.aio.Channel:
    """A channel to `target` (`HOST:PORT`) that trusts `tls.ca` alone and shows this party's certificate.

    Args:
        target: Where to connect to.
        tls: Whom to trust, and who this is.
        reconnect_max_ms: The longest wait before connecting anew.
        name: The server's name, which its certificate must bear, where `target` is an address that was looked up.
    """
    credentials = grpc.ssl_channel_credentials(tls.ca, tls.key, tls.certificate)
    options = [
        *_OPTIONS,
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.min_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", reconnect_max_ms),
    ]
    if name is not None:
        options += [("grpc.ssl_target_name_override", name), ("grpc.default_authority", name)]
    return grpc.aio.secure_channel(target, credentials, options)


def connect_unnamed(target: str, ca: bytes) -> grpc.aio.Channel:
    """A channel to `target` that trusts `ca` alone and shows no certificate."""
    return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(ca), list(_OPTIONS))


class Renewing:
    """A channel that is made anew when this party's certificate was: calls under way end on the one before."""

    def __init__(self, target: str, files: TlsFiles, reconnect_max_ms: int = 10_000) -> None:
        """Reads the certificate; nothing is connected yet.

        Raises:
            TlsError: It cannot be used.
        """
        self._target = target
        self._credential = Credential(files)
        self._reconnect_max_ms = reconnect_max_ms
        self._material = self._credential.material
        self._channel: grpc.aio.Channel | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def identity(self) -> Identity:
        """Who this is."""
        return self._material.identity

    def channel(self) -> grpc.aio.Channel:
        """The channel to make the next call on; from the loop's own thread."""
        material = self._credential.material
        if self._channel is None or material is not self._material:
            self._retire()
            self._material = material
            self._channel = connect(self._target, material, self._reconnect_max_ms)
        return self._channel

    def _retire(self) -> None:
        if self._channel is not None:
            task = asyncio.ensure_future(self._channel.close(CONNECTION_GRACE_MS / 1000))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            self._channel = None

    async def close(self) -> None:
        """Ends every connection, calls under way included."""
        if self._channel is not None:
            closing, self._channel = self._channel, None
            await closing.close()
        for task in tuple(self._closing):
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)


_AGED: Sequence[tuple[str, Any]] = (
    # No connection outlives what is known of its caller by long; gRPC spreads the ages by a tenth.
    ("grpc.max_connection_age_ms", CONNECTION_AGE_MS),
    ("grpc.max_connection_age_grace_ms", CONNECTION_GRACE_MS),
)


def server(
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (), most: int = 1024, *, aged: bool = False
) -> grpc.aio.Server:
    """A server with this system's limits, nothing bound yet; it works on at most `most` calls at once.

    Where it is `aged`, its connections end after a while, and callers make new ones, with the certificates of then.
    """
    # One connection alone cannot take all the calls that there may be.
    options = [*_OPTIONS, ("grpc.max_concurrent_streams", CALLS_OF_A_CONNECTION), *(_AGED if aged else ())]
    return grpc.aio.server(interceptors=list(interceptors), options=options, maximum_concurrent_rpcs=most)


def bind(service: grpc.aio.Server, address: str, tls: TlsMaterial) -> int:
    """Binds `service` to `HOST:PORT` for callers with a certificate from `tls.ca`; the port, also where 0 was asked.

    Raises:
        TlsError: The address cannot be bound.
    """
    return _bind(service, address, grpc.ssl_server_credentials([(tls.key, tls.certificate)], tls.ca, True))


def bind_renewing(service: grpc.aio.Server, address: str, material: Callable[[], TlsMaterial]) -> int:
    """As `bind`, for a certificate and for authorities that change: `material` is asked at each new connection.

    It is asked on a thread of gRPC's own, and has to return at once.

    Raises:
        TlsError: The address cannot be bound.
    """
    return _bind(service, address, _renewing(material, named=True))


def bind_open(service: grpc.aio.Server, address: str, material: Callable[[], TlsMaterial]) -> int:
    """As `bind_renewing`, for callers without a certificate: they know who we are, we do not know who they are.

    Raises:
        TlsError: The address cannot be bound.
    """
    return _bind(service, address, _renewing(material, named=False))


def _renewing(material: Callable[[], TlsMaterial], *, named: bool) -> grpc.ServerCredentials:
    """What is shown at each new connection; `named` where the other end has to show a certificate of its own."""
    shown = material()

    def configuration(one: TlsMaterial) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(one.key, one.certificate)], one.ca if named else None)

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal shown
        now = material()
        if now == shown:
            return None
        shown = now
        return configuration(now)

    return grpc.dynamic_ssl_server_credentials(
        configuration(shown),
        fetch,  # type: ignore[arg-type]  # None says that nothing changed; its types do not
        require_client_authentication=named,
    )


def _bind(service: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials) -> int:
    try:
        port = service.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise TlsError(f"{address}: cannot be bound: {error}") from error
    if not port:
        raise TlsError(f"{address}: cannot be bound")
    return port


# Every call shows its connection's certificate anew; what one says never changes.
_identity_of = lru_cache(maxsize=1 << 13)(identity_of)


def peer(context: grpc.aio.ServicerContext[Any, Any]) -> tuple[bytes, bytes]:
    """The caller's certificate, and those it showed between that and an authority; PEM, empty where there is none."""
    shown = context.auth_context()
    leaf = b"".join(shown.get("x509_pem_cert", ()))
    return leaf, b"".join(one for one in shown.get("x509_pem_cert_chain", ()) if one != leaf)


def caller(context: grpc.aio.ServicerContext[Any, Any]) -> Identity:
    """Who is calling, by the certificate that TLS verified.

    Raises:
        TlsError: The certificate names nobody of this system.
    """
    pem, _ = peer(context)
    if not pem:
        raise TlsError("the caller showed no certificate")
    return _identity_of(pem)
