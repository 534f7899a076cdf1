"""The edge's configuration as the rest of the edge uses it (`Edge`), normalised from what was written (`EdgeFile`).

Holds always: nothing is read twice or guessed later.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from lachan.config import load
from resolver.designated import Endpoint
from resolver.discretion import lie_within
from resolver.edgefile import EdgeFile
from resolver.heartbeats import LINE_BYTES
from resolver.local import CheckPage, LocalSettings
from resolver.ownnames import check, read_files
from resolver.schools import census_bytes
from resolver.values import DEFAULT_PROFILE


@dataclass(frozen=True)
class Shared:
    """The memory that all workers share, in parts."""

    beats: memoryview
    cache: memoryview
    rates: memoryview
    census: memoryview


@dataclass(frozen=True)
class Edge:
    """The configuration in the form that the edge works with."""

    file: EdgeFile
    workers: int
    networks: tuple[tuple[bytes, int, str], ...]
    """First 16 bytes of the address, prefix length of these 128 bits, profile name; longest prefix first."""

    @property
    def profiles(self) -> tuple[str, ...]:
        """Names of all profiles, the default first."""
        return (DEFAULT_PROFILE, *(profile.name for profile in self.file.profiles))

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where clients may ask encrypted, as told to those who look for it (RFC 9462)."""
        return tuple(Endpoint(listen.protocol, listen.port) for listen in self.file.listen if listen.protocol != "dns")

    @property
    def check_page(self) -> CheckPage | None:
        """The page by which schools check their network, where there is one."""
        pages = self.file.pages
        return None if pages is None or pages.name is None else CheckPage(pages.name, pages.reached_at)

    @property
    def schools_alone(self) -> bool:
        """Whether nobody may ask here but from the networks of schools."""
        return lie_within(self.file.access.allow, [one for school in self.file.schools for one in school.networks])

    @property
    def window_seconds(self) -> int:
        """Length of a report's window."""
        return int(self.file.report.window)

    @property
    def seats(self) -> int:
        """How many processes have a place in shared memory: one for each worker, one for who takes a worker's place."""
        return self.workers + 1

    @property
    def descriptors(self) -> int:
        """How many a worker may need: all sockets, those to upstreams, clients' connections, and a reserve."""
        file = self.file
        sockets = 2 * len(file.listen) * self.workers + file.forwarding.sockets * len(file.upstreams)
        return sockets + file.tcp.connections + file.dot.connections + file.doh.connections + 1024

    @property
    def shared_bytes(self) -> int:
        """Memory that all workers share."""
        return self._census_at + census_bytes(self.seats)

    @property
    def _rates_at(self) -> int:
        return self.seats * LINE_BYTES + self.file.cache.size

    @property
    def _census_at(self) -> int:
        # On a word's boundary.
        return (self._rates_at + self.file.rate_limit.table_bytes + 7) // 8 * 8

    def share(self, memory: memoryview) -> Shared:
        """The parts of `shared_bytes` of memory."""
        beats, rates, census = self.seats * LINE_BYTES, self._rates_at, self._census_at
        limits = memory[rates : rates + self.file.rate_limit.table_bytes]
        return Shared(memory[:beats], memory[beats:rates], limits, memory[census:])

    @property
    def ring_file(self) -> Path:
        """Where workers count by the window."""
        return self.file.runtime_dir / "counters.ring"

    @property
    def tally_file(self) -> Path:
        """Where workers count by listed name and hour."""
        return self.file.runtime_dir / "tally.ring"

    @property
    def overrides_file(self) -> Path:
        """Where emergency overrides are kept."""
        return self.file.state_dir / "overrides.json"

    @property
    def private_names(self) -> tuple[str, ...]:
        """Names below which private addresses are right."""
        return (*self.file.rebinding.allow, *self.local.forwarded)

    @property
    def local(self) -> LocalSettings:
        """What is answered here: nothing of the domains that upstreams of their own answer."""
        domains = (name for domains in self.file.forwarding.domains for name in domains.names)
        forwarded = (*self.file.local.forwarded, *domains)
        return self.file.local.model_copy(update={"forwarded": tuple(dict.fromkeys(forwarded))})

    @property
    def control_socket(self) -> Path:
        """Where the supervisor listens for commands."""
        return self.file.runtime_dir / "supervisor.sock"


def mapped(address: str) -> bytes:
    """The 16 bytes of an address, IPv4 mapped into ::ffff:0:0/96 (RFC 4291 2.5.5.2)."""
    ip = ipaddress.ip_address(address)
    return (b"\0" * 10 + b"\xff\xff" + ip.packed) if ip.version == 4 else ip.packed


def normalise(file: EdgeFile) -> Edge:
    """From what was written to what is used."""
    networks = []
    for profile, texts in (
        *((profile.name, profile.networks) for profile in file.profiles),
        (DEFAULT_PROFILE, file.access.allow),
    ):
        for text in texts:
            network = ipaddress.ip_network(text)
            length = network.prefixlen + (96 if network.version == 4 else 0)
            networks.append((mapped(str(network.network_address)), length, profile))
    # Stable: where a school's network and an allowed one are the same, the school's was first.
    networks.sort(key=lambda item: -item[1])
    return Edge(file, file.workers or len(os.sched_getaffinity(0)), tuple(networks))


def read(path: Path) -> Edge:
    """Reads edge.yaml.

    Raises:
        lachan.config.ConfigError: With every problem found in it.
    """
    file = load(path, EdgeFile)
    own = read_files(file.own, str(path))
    check(own, str(path))
    return normalise(file.model_copy(update={"own": own}))
