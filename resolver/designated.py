"""What the resolver says of itself to clients that would rather ask encrypted (RFC 9461, 9462) or know more (RFC 9606).

Holds always: parameters of a service binding stand in the order of their keys, each once (RFC 9460 2.2).
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lachan.labels import wire_name

SVCB = 64
RESINFO = 261

_ALPN, _PORT, _IPV4HINT, _IPV6HINT, _DOHPATH = 1, 3, 4, 6, 7
_ALPNS = {"dot": (b"dot",), "doh": (b"h2",), "doq": (b"doq",)}
_PORTS = {"dot": 853, "doh": 443, "doq": 853}

# Extended errors that clients may meet here (RFC 8914), in the order of their codes.
ERRORS = (3, 13, 14, 15, 16, 17, 18, 19, 22)


@dataclass(frozen=True)
class Endpoint:
    """Where the resolver is asked encrypted."""

    protocol: Literal["dot", "doh", "doq"]
    port: int
    path: str = "/dns-query"
    """Of DoH."""


def service(endpoint: Endpoint, priority: int, name: str, addresses: Sequence[str]) -> bytes:
    """The data of an SVCB record that leads to an endpoint (RFC 9461)."""
    hosts = [ipaddress.ip_address(address) for address in addresses]
    alpn = b"".join(bytes([len(word)]) + word for word in _ALPNS[endpoint.protocol])
    parameters = [(_ALPN, alpn)]
    if endpoint.port != _PORTS[endpoint.protocol]:
        parameters.append((_PORT, struct.pack("!H", endpoint.port)))
    for key, version in ((_IPV4HINT, 4), (_IPV6HINT, 6)):
        if packed := b"".join(host.packed for host in hosts if host.version == version):
            parameters.append((key, packed))
    if endpoint.protocol == "doh":
        parameters.append((_DOHPATH, f"{endpoint.path}{{?dns}}".encode()))
    written = b"".join(struct.pack("!HH", key, len(value)) + value for key, value in parameters)
    return struct.pack("!H", priority) + wire_name(name) + written


def information(minimises: bool, info_url: str | None) -> bytes:
    """The data of a RESINFO record (RFC 9606 section 5)."""
    words = ["qnamemin"] if minimises else []
    words.append(f"exterr={','.join(map(str, ERRORS))}")
    if info_url is not None:
        words.append(f"infourl={info_url}")
    return b"".join(bytes([len(word)]) + word.encode() for word in words)
