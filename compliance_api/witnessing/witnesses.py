"""Asks witnesses over HTTP, each for a bounded time and a bounded reply.

Holds always: a call ends within its time, whatever the other end does; nothing of a reply is believed here, for
everything that counts in it is signed. So plain HTTP is as good as HTTPS but for who may listen or stay silent.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

from compliance_api.errors import ComplianceError
from compliance_api.ledger import cosigning
from compliance_api.usecases.ledger.sequence import Reply, WitnessError

PATH = "/add-checkpoint"
CHUNK_BYTES = 1 << 14
CLOSE_SECONDS = 0.2
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Address:
    """Where a witness is asked."""

    host: str
    port: int
    encrypted: bool
    path: str

    @property
    def authority(self) -> str:
        """As the Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.encrypted else "http"] else f"{host}:{self.port}"


def parse(url: str) -> Address:
    """An address from a policy.

    Raises:
        ComplianceError: It is none that can be asked.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ComplianceError(f"{url}: {error}") from error
    plain = url.isascii() and url.isprintable() and " " not in url
    bare = not (parts.query or parts.fragment or parts.username)
    if parts.scheme not in _PORTS or not parts.hostname or not (plain and bare):
        raise ComplianceError(f"{url}: not http(s)://HOST[:PORT][/PREFIX]")
    path = parts.path.rstrip("/") + PATH
    return Address(parts.hostname, port or _PORTS[parts.scheme], parts.scheme == "https", path)


class HttpWitnesses:
    """Witnesses by their names in the policy."""

    def __init__(self, addresses: Mapping[str, Address], seconds: float) -> None:
        """Takes up where they are.

        Args:
            addresses: By the witnesses' names.
            seconds: That one may take to answer.
        """
        self._addresses = addresses
        self._seconds = seconds
        self._tls = ssl.create_default_context()

    async def ask(self, name: str, body: bytes) -> Reply:
        """Asks one of them to cosign.

        Raises:
            WitnessError: It does not answer as HTTP has it, or not in time.
        """
        address = self._addresses.get(name)
        if address is None:
            raise WitnessError("the policy has no address of it")
        try:
            async with asyncio.timeout(self._seconds):
                return await self._exchange(address, body)
        except TimeoutError as error:
            raise WitnessError(f"no answer within {self._seconds:g} s") from error
        except (OSError, ssl.SSLError, h11.ProtocolError) as error:
            raise WitnessError(str(error)[:200] or type(error).__name__) from error

    async def _exchange(self, address: Address, body: bytes) -> Reply:
        context = self._tls if address.encrypted else None
        reader, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
        try:
            connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=CHUNK_BYTES)
            headers = [
                ("Host", address.authority),
                ("Content-Type", "text/plain"),
                ("Content-Length", str(len(body))),
                ("Connection", "close"),
            ]
            request = h11.Request(method="POST", target=address.path, headers=headers)
            for event in (request, h11.Data(data=body), h11.EndOfMessage()):
                writer.write(connection.send(event) or b"")
            await writer.drain()
            return await self._read(reader, connection)
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await writer.wait_closed()

    @staticmethod
    async def _read(reader: asyncio.StreamReader, connection: h11.Connection) -> Reply:
        status, form, body = 0, "", b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(CHUNK_BYTES))
            elif isinstance(event, h11.Response):
                status = event.status_code
                form = next((value.decode("latin-1") for key, value in event.headers if key == b"content-type"), "")
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > cosigning.MAX_REPLY_BYTES:
                    raise WitnessError(f"answered more than {cosigning.MAX_REPLY_BYTES} bytes")
            elif isinstance(event, h11.EndOfMessage):
                return Reply(status, form, body)
