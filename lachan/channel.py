"""gRPC over mutual TLS: the same limits and the same identity check at both ends."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import grpc
import grpc.aio

from lachan.tls import Identity, TlsError, TlsMaterial, identity_of

MAX_MESSAGE_BYTES = 4 << 20
KEEPALIVE_MS = 30_000

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


def server(interceptors: Sequence[grpc.aio.ServerInterceptor] = (), most: int = 1024) -> grpc.aio.Server:
    """A server with this system's limits, nothing bound yet; it works on at most `most` calls at once."""
    return grpc.aio.server(interceptors=list(interceptors), options=list(_OPTIONS), maximum_concurrent_rpcs=most)


def bind(service: grpc.aio.Server, address: str, tls: TlsMaterial) -> int:
    """Binds `service` to `HOST:PORT` for callers with a certificate from `tls.ca`; the port, also where 0 was asked.

    Raises:
        TlsError: The address cannot be bound.
    """
    credentials = grpc.ssl_server_credentials([(tls.key, tls.certificate)], tls.ca, require_client_auth=True)
    try:
        port = service.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise TlsError(f"{address}: cannot be bound: {error}") from error
    if not port:
        raise TlsError(f"{address}: cannot be bound")
    return port


# Every call shows its connection's certificate anew; what one says never changes.
_identity_of = lru_cache(maxsize=1 << 13)(identity_of)


def caller(context: grpc.aio.ServicerContext[Any, Any]) -> Identity:
    """Who is calling, by the certificate that TLS verified.

    Raises:
        TlsError: The certificate names nobody of this system.
    """
    pem = list(context.auth_context().get("x509_pem_cert", []))
    if not pem:
        raise TlsError("the caller showed no certificate")
    return _identity_of(pem[0])
