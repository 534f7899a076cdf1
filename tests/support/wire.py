"""What a change of the list costs an edge on the wire: a real repository, mutual TLS, every byte in both directions."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from blocklist_sync.artifact import manifest
from blocklist_sync.artifact.manifest import Manifest
from blocklist_sync.edge.agent import Agent
from blocklist_sync.edge.settings import ClientCertificate
from lachan.tls import TlsFiles
from tests.support.list_authority import ListAuthority
from tests.support.origin import Relay, origin
from tests.support.papers import Papers


@dataclass(frozen=True)
class Wire:
    """Bytes of one round in both directions, handshakes and headers included."""

    all: int
    """As if the manifest were as long as it gets."""
    handshake: int
    """Of a connection on which nothing is asked; it is part of `all`."""
    delta: int
    """Of the delta among them."""
    records: int
    """Of the records that need not be fetched."""


def handshake(relay: Relay, own: TlsFiles) -> int:
    """What a connection costs on which nothing is asked."""
    before = relay.settled()
    context = ssl.create_default_context(cafile=own.ca)
    context.load_cert_chain(own.certificate, own.key)
    with (
        socket.create_connection(("127.0.0.1", relay.port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost"),
    ):
        pass
    return relay.settled() - before


async def measured(folder: Path, before: Sequence[str], after: Sequence[str]) -> Wire:
    """Publishes two lists one after the other, and has an edge that holds the first take the second."""
    authority = ListAuthority(folder / "authority")
    authority.publish(*before)
    papers = Papers(folder / "papers")
    own = papers.of("lachan://isp-a/node/n1")
    certificate = ClientCertificate(certificate=own.certificate, key=own.key)
    with origin(authority.repository, papers) as port, contextlib.closing(Relay(port)) as relay:
        url = f"https://localhost:{relay.port}"
        agent = Agent(authority.settings(None, repository=url, ca=own.ca, tls=certificate), folder / "edge")
        assert await agent.check() is not None
        authority.publish(*after)
        start, connections = relay.settled(), relay.connections
        activation = await agent.check()
        assert activation is not None
        assert agent.deltas.applied == 1
        assert activation.snapshot.with_name("records.bin").read_bytes() == authority.records.read_bytes()
        everything = relay.settled() - start
        assert relay.connections == connections + 1
        [step] = (authority.repository / "targets" / "list").glob("*.delta")
        longer = manifest.MAX_BYTES - len(Manifest(1).extended(2, b"x").encode())
        return Wire(everything + longer, handshake(relay, own), step.stat().st_size, authority.records.stat().st_size)
