"""One DNS exchange by TLS (RFC 7858) or HTTPS (RFC 8484 over HTTP/2), for `lachan.exchange`.

Holds always: every try has a connection of its own, closed when it ends; a certificate that does not hold is no reason
not to ask (whoever stands in the way is a finding too), but is told; what comes back is bounded, and counts only where
it answers the very query. Where TLS or HTTP/2 is not spoken, or the path is not there, nobody was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
from dataclasses import dataclass, replace

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from lachan.asking import Manner, Outcome, Server, Try, converse, judge, matches
from lachan.message import MAX_MESSAGE_BYTES

MEDIA_TYPE = "application/dns-message"
OK = 200
NOT_SERVED = frozenset({404, 405})
_READ_BYTES = 16_384
_MAX_WIRE_BYTES = 4 * MAX_MESSAGE_BYTES


@dataclass(frozen=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    protocol: str | None
    certificate: bytes
    holds: bool


@dataclass
class _Response:
    """An HTTP response as it comes in."""

    status: int = 0
    media_type: str = ""
    body: bytes = b""
    whole: bool = False


@functools.lru_cache(maxsize=8)
def _strict(protocol: str, roots: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=roots)
    context.set_alpn_protocols([protocol])
    return context


@functools.lru_cache(maxsize=2)
def _lenient(protocol: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context


async def _open(server: Server, context: ssl.SSLContext) -> _Connection:
    reader, writer = await asyncio.open_connection(
        server.address, server.port, ssl=context, server_hostname=server.name or server.address
    )
    tls = writer.get_extra_info("ssl_object")
    holds = context.verify_mode is ssl.CERT_REQUIRED
    return _Connection(reader, writer, tls.selected_alpn_protocol(), tls.getpeercert(binary_form=True) or b"", holds)


async def _connect(server: Server, protocol: str, manner: Manner) -> _Connection | None:
    """A connection on which somebody speaks TLS, or None."""
    with contextlib.suppress(OSError):  # Timeouts and failures of TLS are among them.
        async with asyncio.timeout(manner.timeout):
            try:
                return await _open(server, _strict(protocol, manner.roots))
            except ssl.SSLCertVerificationError:
                pass
        async with asyncio.timeout(manner.timeout):
            return await _open(server, _lenient(protocol))
    return None


async def ask_tls(server: Server, query: bytes, manner: Manner) -> Try:
    """One query by DNS over TLS."""
    made = await _connect(server, "dot", manner)
    if made is None:
        return Try(Outcome.UNREACHABLE)
    try:
        tried = await converse(made.reader, made.writer, query, manner)
    finally:
        made.writer.transport.abort()
    return replace(tried, certificate=made.certificate, certificate_holds=made.holds)


async def ask_https(server: Server, query: bytes, manner: Manner) -> Try:
    """One query by DNS over HTTPS."""
    made = await _connect(server, "h2", manner)
    if made is None:
        return Try(Outcome.UNREACHABLE)
    try:
        if made.protocol != "h2":
            tried = Try(Outcome.UNREACHABLE)
        else:
            tried = await _converse(made, server, query, manner)
    finally:
        made.writer.transport.abort()
    return replace(tried, certificate=made.certificate, certificate_holds=made.holds)


async def _converse(made: _Connection, server: Server, query: bytes, manner: Manner) -> Try:
    response = _Response()
    try:
        async with asyncio.timeout(manner.timeout):
            await _post(made, server, query, response)
    except TimeoutError:
        return Try(Outcome.TIMEOUT)
    except (OSError, h2.exceptions.ProtocolError):
        return Try(Outcome.MALFORMED if response.status else Outcome.UNREACHABLE)
    if response.status in NOT_SERVED:
        return Try(Outcome.UNREACHABLE)
    if response.status != OK or response.media_type != MEDIA_TYPE:
        # Kept, for some say by it that a name is blocked (RFC 7725).
        return Try(Outcome.MALFORMED, f"HTTP/2 {response.status}\r\n\r\n".encode() + response.body)
    if not response.whole:
        return Try(Outcome.MALFORMED, response.body)
    if not matches(query, response.body, keep_case=manner.keep_case):
        return Try(Outcome.MALFORMED, response.body)
    return judge(response.body)


async def _post(made: _Connection, server: Server, query: bytes, response: _Response) -> None:
    """Sends the request and reads its response, as far as it comes."""
    http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
    http.initiate_connection()
    # RFC 3986 3.2.2: an IPv6 address stands in brackets.
    name = server.name or (f"[{server.address}]" if ":" in server.address else server.address)
    stream = http.get_next_available_stream_id()
    http.send_headers(
        stream,
        [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", name if server.port == 443 else f"{name}:{server.port}"),
            (":path", server.path or "/dns-query"),
            ("accept", MEDIA_TYPE),
            ("content-type", MEDIA_TYPE),
            ("content-length", str(len(query))),
        ],
    )
    http.send_data(stream, query, end_stream=True)
    received = 0
    while not response.whole:
        made.writer.write(http.data_to_send())
        await made.writer.drain()
        data = await made.reader.read(_READ_BYTES)
        received += len(data)
        if not data or received > _MAX_WIRE_BYTES:
            return
        for event in http.receive_data(data):
            if not _take(http, event, response):
                return


def _take(http: h2.connection.H2Connection, event: h2.events.Event, response: _Response) -> bool:
    """What one event adds to the response; False where nothing more is to come."""
    if isinstance(event, h2.events.ResponseReceived):
        headers = {str(name): str(value) for name, value in event.headers or ()}
        status = headers.get(":status", "")
        response.status = int(status) if status.isascii() and status.isdigit() else 0
        response.media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    elif isinstance(event, h2.events.DataReceived):
        response.body = (response.body + (event.data or b""))[: MAX_MESSAGE_BYTES + 1]
        http.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
    elif isinstance(event, h2.events.StreamEnded):
        response.whole = True
    elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
        return False
    return True
