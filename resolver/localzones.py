"""Zones that every resolver answers itself, because nobody else can answer them rightly, and names that signal.

Holds always: each name stands here for a standard that asks for it; ipv4only.arpa is not among them, so that clients
behind an upstream with DNS64 find its prefix (RFC 7050, RFC 8880).
"""

from __future__ import annotations

# RFC 6761, 6762, 7686, 8375, 9476: below these, nothing that the public DNS knows. `example` is not special to a
# resolver (RFC 6761 6.5).
SPECIAL_NAMES = ("localhost", "test", "invalid", "local", "onion", "home.arpa", "alt")

# RFC 6761 6.3: every name below it is this host.
LOCALHOST = "localhost"

# Answered whole, by RFC 9462 6.4.
RESOLVER_ARPA = "resolver.arpa"

# RFC 6303 4.1 to 4.6, RFC 7793, RFC 9665: reverse zones of addresses that mean something else to everybody.
PRIVATE_ZONES = (
    "10.in-addr.arpa",
    *(f"{number}.172.in-addr.arpa" for number in range(16, 32)),
    "168.192.in-addr.arpa",
    *(f"{number}.100.in-addr.arpa" for number in range(64, 128)),
    "0.in-addr.arpa",
    "127.in-addr.arpa",
    "254.169.in-addr.arpa",
    "2.0.192.in-addr.arpa",
    "100.51.198.in-addr.arpa",
    "113.0.203.in-addr.arpa",
    "255.255.255.255.in-addr.arpa",
    f"{'0.' * 31}0.ip6.arpa",
    f"1.{'0.' * 31}ip6.arpa",
    "d.f.ip6.arpa",
    *(f"{nibble}.e.f.ip6.arpa" for nibble in "89ab"),
    "8.b.d.0.1.0.0.2.ip6.arpa",
    "service.arpa",
)

# Where this host's own addresses lead back to.
LOOPBACK_NAMES = ("1.0.0.127.in-addr.arpa", f"1.{'0.' * 31}ip6.arpa")

# A browser that finds no such name keeps to the resolver it was given; an address would enable DoH past it.
CANARY = "use-application-dns.net"

# Without them, devices tell their user that the network does not allow a relay, and ask here.
PRIVATE_RELAY = ("mask.icloud.com", "mask-h2.icloud.com")

# Below the resolver's own name, who answers: a nonce in front of it.
WHOAMI = "whoami"

# Zones answered here as zones are (RFC 6303 3), with this TTL and minimum.
ZONE_TTL = 10_800
SIGNAL_TTL = 300
