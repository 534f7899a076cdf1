"""How much a client may ask, as configured, and the tables that hold it to that.

Holds always: whoever proved the source of its queries (a valid cookie, TCP, TLS) is not held to the rate, since what it
asks cannot hurt another; what waits for upstreams is bounded for everybody, by client, by domain and by upstream.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated

import idna
from publicsuffixlist import PSLFILE
from pydantic import AfterValidator, Field
from typing_extensions import Buffer

from lachan.config import Settings
from resolver._hot.limits import BUCKET_BYTES, Limits
from resolver._hot.registrable import RULES, Registrable

EXCEPTIONS_MAX = 4096
UNLIMITED = 0xFFFFFFFF

Network = Annotated[str, AfterValidator(lambda text: str(ipaddress.ip_network(text)))]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class RateException(Settings):
    """A network whose prefixes have a rate of their own: many homes behind one address, a campus, this host itself."""

    network: Network
    queries_per_second: int = Field(ge=0, le=10_000_000, description="0: no limit")
    burst: int = Field(default=0, ge=0, le=10_000_000, description="0: two seconds' worth")
    misses: int = Field(default=0, ge=0, le=1_000_000, description="questions on their way at once; 0: no limit")


HOST = tuple(RateException(network=network, queries_per_second=0) for network in ("127.0.0.0/8", "::1/128"))


class RateLimitSettings(Settings):
    """Queries of one client's prefix by UDP; those of its own that wait for an upstream, by any transport."""

    enabled: bool = True
    queries_per_second: int = Field(default=500, ge=1, le=10_000_000)
    burst: int = Field(default=1000, ge=1, le=10_000_000, description="at once, after a while of silence")
    ipv4_prefix: int = Field(default=32, ge=8, le=32, description="bits that make one client")
    ipv6_prefix: int = Field(default=56, ge=16, le=128, description="bits that make one client")
    slip: int = Field(default=2, ge=0, le=100, description="of so many refused, one is told to come by TCP; 0: none")
    prefixes: int = Field(default=65_536, ge=1024, le=4_194_304, description="remembered at once, 16 bytes each")
    exceptions: tuple[RateException, ...] = Field(
        default=HOST, max_length=EXCEPTIONS_MAX, description="the longest network decides"
    )
    misses_per_client: Count = 512
    misses_per_domain: Count = Field(default=1024, description="registrable domain: what random names have in common")

    @property
    def table_bytes(self) -> int:
        """The memory that `make_limits` wants, zero at first."""
        return self.prefixes // 4 * 4 * BUCKET_BYTES


def make_limits(settings: RateLimitSettings, buffer: Buffer, secret: bytes) -> Limits:
    """The buckets of clients' prefixes.

    Args:
        settings: What was configured.
        buffer: `table_bytes` of memory, shared by all workers or each worker's own.
        secret: 16 bytes; the same for all who share the memory.
    """
    rate = settings.queries_per_second if settings.enabled else 0
    exceptions = []
    for item in settings.exceptions:
        network = ipaddress.ip_network(item.network)
        packed, length = network.network_address.packed, network.prefixlen
        if network.version == 4:
            packed, length = bytes(10) + b"\xff\xff" + packed, length + 96
        own = item.queries_per_second if settings.enabled else 0
        exceptions.append((packed, length, own, item.burst or max(2 * own, 1), item.misses or UNLIMITED))
    return Limits(
        buffer,
        secret,
        (rate, settings.burst, settings.misses_per_client),
        exceptions,
        (settings.ipv4_prefix, settings.ipv6_prefix),
        settings.slip,
    )


def make_registrable(seed: int) -> Registrable:
    """The public suffix list, both sections: a hosting provider's tenants are strangers to one another."""
    rules: dict[bytes, int] = {}
    with open(PSLFILE, encoding="utf-8") as file:  # noqa: PTH123  the library gives a plain string
        for line in file:
            text = line.partition(" ")[0].strip().lower()
            if not text or text.startswith("//"):
                continue
            kind = "not_here" if text[0] == "!" else "below" if text.startswith("*.") else "here"
            text = text.removeprefix("!").removeprefix("*.")
            try:
                labels = (text.encode() if text.isascii() else idna.encode(text)).split(b".")
            except idna.IDNAError:
                continue  # a rule that no name on the wire can meet
            name = b"".join([bytes((len(label),)) + label for label in (*labels, b"")])
            rules[name] = rules.get(name, 0) | RULES[kind]
    return Registrable(list(rules.items()), seed)
