"""Who may begin a TLS handshake, which costs as much as two hundred queries and is paid before anything is asked.

Holds always: an address decides before any cryptography; one client's prefix begins so many handshakes and no more, all
strangers together as many as one client, and none where strangers are to be met by silence.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from resolver._hot.networks import Networks
from resolver.edgefile import Encrypted
from resolver.limits import RateLimitSettings, make_limits
from resolver.settings import Edge

# As lachan.compliance.v1.DropReason numbers them.
DROP_ACL = 1
DROP_RATE_LIMIT = 3
PREFIXES = 16_384
"""Clients' prefixes remembered at once, 16 bytes each."""
BURST_SECONDS = 5
# No packet comes from there (RFC 4291 2.7): what all strangers share.
_STRANGERS = b"\xff" * 16


def _rates(rates: RateLimitSettings, handshakes: int) -> RateLimitSettings:
    """The limits of queries turned into limits of handshakes: a network with a rate of its own keeps its proportion."""
    exceptions = tuple(
        item.model_copy(
            update={
                "queries_per_second": (own := -(-handshakes * item.queries_per_second // rates.queries_per_second)),
                "burst": BURST_SECONDS * own,
            }
        )
        for item in rates.exceptions
    )
    return rates.model_copy(
        update={
            "enabled": True,
            "queries_per_second": handshakes,
            "burst": BURST_SECONDS * handshakes,
            "prefixes": PREFIXES,
            "exceptions": exceptions,
        }
    )


class Admission:
    """The door of one encrypted transport."""

    def __init__(self, edge: Edge, limits: Encrypted, turned_away: Callable[[int], None]) -> None:
        """`turned_away` is told why, as lachan.compliance.v1 numbers the reasons of drops."""
        file = edge.file
        rates = _rates(file.rate_limit, limits.handshakes_per_second)
        self._networks = Networks([(address, length, 0) for address, length, _ in edge.networks])
        self._limits = make_limits(rates, bytearray(rates.table_bytes), secrets.token_bytes(16))
        self._tells_strangers = file.access.others == "refuse"
        self._turned_away = turned_away

    def admits(self, address: bytes, now: float) -> bool:
        """Whether a client may begin.

        Args:
            address: The client's, 16 bytes.
            now: Seconds of any clock that never goes back.
        """
        if self._networks.find_address(address) < 0:
            if not self._tells_strangers:
                self._turned_away(DROP_ACL)
                return False
            address = _STRANGERS
        if self._limits.weigh(address, int(now * 1000)) == "pass":
            return True
        self._turned_away(DROP_RATE_LIMIT)
        return False
