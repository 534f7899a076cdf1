"""gRPC over mutual TLS: the same limits and the same identity check at both ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import grpc
import grpc.aio

from lachan.tls import Identity, TlsError, TlsMaterial, identity_of

MAX_MESSAGE_BYTES = 4 << 20
KEEPALIVE_MS = 30_000
CONNECTION_AGE_MS = 600_000
CONNECTION_GRACE_MS = 30_000

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
    options = [*_OPTIONS, *(_AGED if aged else ())]
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
    shown = material()

    def configuration(one: TlsMaterial) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(one.key, one.certificate)], one.ca)

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal shown
        now = material()
        if now == shown:
            return None
        shown = now
        return configuration(now)

    credentials = grpc.dynamic_ssl_server_credentials(
        configuration(shown),
        fetch,  # type: ignore[arg-type]  # None says that nothing changed; its types do not
        require_client_authentication=True,
    )
    return _bind(service, address, credentials)


def bind_open(service: grpc.aio.Server, address: str, tls: TlsMaterial) -> int:
    """As `bind`, for callers without a certificate: they know who we are, we do not know who they are.

    Raises:
        TlsError: The address cannot be bound.
    """
    return _bind(service, address, grpc.ssl_server_credentials([(tls.key, tls.certificate)]))


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
