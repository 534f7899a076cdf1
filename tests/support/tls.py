"""Certificates made for a test, as files that a server reads, and a TLS client without a socket."""

from __future__ import annotations

import contextlib
import datetime as dt
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from resolver.values import ServerTls

NAMES = ("dns.example", "school.dns.example", "127.0.0.1")


@dataclass
class Authority:
    """Who signs, and whom clients trust."""

    folder: Path
    ca: trustme.CA = field(default_factory=trustme.CA)

    @property
    def files(self) -> ServerTls:
        """Where a server finds its pair."""
        return ServerTls(certificate=self.folder / "certificate.pem", key=self.folder / "key.pem")

    def issue(self, *names: str, expired: bool = False) -> bytes:
        """Writes a fresh pair where the server looks; the certificate's bytes, as a client sees them."""
        days = -1 if expired else 30
        made = self.ca.issue_cert(*(names or NAMES), not_after=dt.datetime.now(dt.UTC) + dt.timedelta(days=days))
        # Each file in one step, as a tool that renews certificates writes them.
        for path, data in (
            (self.files.key, made.private_key_pem.bytes()),
            (self.files.certificate, b"".join(blob.bytes() for blob in made.cert_chain_pems)),
        ):
            fresh = path.with_suffix(".new")
            fresh.write_bytes(data)
            fresh.rename(path)
        return ssl.PEM_cert_to_DER_cert(made.cert_chain_pems[0].bytes().decode())

    def client(self, *protocols: str) -> ssl.SSLContext:
        """What a client trusts."""
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context


class Client:
    """A TLS client: what it is to send comes by `take`, what it is sent goes into `receive`."""

    def __init__(
        self, context: ssl.SSLContext, name: str | None = "dns.example", session: ssl.SSLSession | None = None
    ) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name, session=session)
        self.open = False

    def receive(self, data: bytes) -> bytes:
        """What the server says by these bytes."""
        self._incoming.write(data)
        said = b""
        try:
            if not self.open:
                self.tls.do_handshake()
                self.open = True
            while part := self.tls.read(65536):
                said += part
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return said

    def say(self, *parts: bytes) -> bytes:
        """The bytes that say it, a record for each part."""
        for part in parts:
            self.tls.write(part)
        return self.take()

    def take(self) -> bytes:
        """What is to be sent."""
        return self._outgoing.read()

    def close(self) -> bytes:
        """The bytes that say goodbye."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.take()


def opened(client: Client, receive: Callable[[bytes], object], take: Callable[[], bytes]) -> None:
    """Lets a client and a server shake hands, and the client take its tickets."""
    client.receive(b"")
    for _ in range(4):
        receive(client.take())
        client.receive(take())
