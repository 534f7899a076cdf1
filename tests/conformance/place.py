"""Where cases run: a real edge with a small list, in front of the upstream."""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import trustme

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.rules import Scope
from resolver.edgefile import Listen
from tests.conformance.transports import SERVER_NAME, Target
from tests.conformance.upstream import Upstream, upstream
from tests.support.blocklist import OFFER, built, entry
from tests.support.edge import Edge, free_port

SCHOOL = "127.0.0.3"
STRANGER = "127.9.9.9"
SETTLED = "bad.example"
RESOLVER_NAME = "resolver.example"
VERSION = "as configured"
OTHER_ADDRESS = "127.0.0.2"
"""Of this machine; only a socket bound to every address hears it."""

ENTRIES = (
    entry("bad.example"),
    entry("worse.example", Category.CSAM),
    entry("school-only.example", order=OFFER),
    entry("holed.example"),
    entry("fine.holed.example", exception=True),
    entry("exact.example", scope=Scope.EXACT),
)


@dataclass(frozen=True)
class Place:
    """An edge that serves, and everything around it."""

    edge: Edge
    upstream: Upstream
    target: Target
    wildcard: Target
    """The same edge, by an address that it has no socket of its own for."""
    encrypted: Mapping[str, Target]
    """By the protocol's name, where the edge's settings have it."""
    raw: bool
    """Packets may be written with any source port."""


def _encrypt(edge: Edge, folder: Path) -> dict[str, Target]:
    """Listens for every protocol that needs a certificate; where each is asked."""
    field = Listen.model_fields.get("protocol")
    protocols = [name for name in get_args(field.annotation) if name != "dns"] if field is not None else []
    authority = trustme.CA()
    issued = authority.issue_cert(SERVER_NAME, "127.0.0.1")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    for number, part in enumerate(issued.cert_chain_pems):
        part.write_to_path(str(folder / "certificate.pem"), append=bool(number))
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    targets = {}
    for protocol in protocols:
        port = free_port()
        edge.settings["listen"].append(
            {
                "address": "127.0.0.1",
                "port": port,
                "protocol": protocol,
                "tls": {"certificate": "certificate.pem", "key": "key.pem"},
            }
        )
        targets[protocol] = Target("127.0.0.1", port, SETTLED, trust)
    return targets


@contextlib.asynccontextmanager
async def place(folder: Path) -> AsyncIterator[Place]:
    """Starts everything in an empty folder, and ends it."""
    (folder / "rules.snapshot").write_bytes(built(*ENTRIES, serial=7))
    wildcard = free_port()
    async with upstream() as server:
        edge = Edge(
            folder,
            [server.port],
            blocklist={"snapshot": "rules.snapshot"},
            access={"allow": ["127.0.0.0/24"]},
            profiles=[{"name": "school", "networks": [f"{SCHOOL}/32"]}],
            forwarding={"sockets": 16, "first_try": "5s"},
            contacts={"organisation": "Nhà mạng Mẫu", "uris": ["tel:+84123", "mailto:dns@isp.example"]},
            local={
                "name": RESOLVER_NAME,
                "addresses": ["192.0.2.53"],
                "chaos": {"version": VERSION},
                "safe_search": {"profiles": ["school"]},
            },
        )
        edge.settings["listen"].append({"address": "0.0.0.0", "port": wildcard})
        encrypted = _encrypt(edge, folder)
        try:
            await edge.start()
            yield Place(
                edge,
                server,
                Target("127.0.0.1", edge.port, SETTLED),
                Target(OTHER_ADDRESS, wildcard, SETTLED),
                encrypted,
                os.geteuid() == 0,
            )
        finally:
            await edge.stop()
