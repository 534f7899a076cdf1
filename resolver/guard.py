"""From the configuration to who may ask how much."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from resolver import cookies
from resolver._hot.guard import Guard
from resolver._hot.limits import Outstanding
from resolver.cookies import CookieSettings
from resolver.limits import RateLimitSettings, make_limits, make_registrable

if TYPE_CHECKING:
    from typing_extensions import Buffer

# As many questions as can be on their way at once (PENDING_MAX of the core).
CAPACITY = 8192


def make_guard(proofs: CookieSettings, rates: RateLimitSettings, table: Buffer, master: bytes, now: float) -> Guard:
    """Puts a worker's guard together.

    Args:
        proofs: What was configured of cookies.
        rates: What was configured of limits.
        table: `rates.table_bytes` of memory that all workers share.
        master: Random bytes that are the same in all workers.
        now: Seconds since 1970.

    Raises:
        resolver.cookies.CookieError: The file of secrets cannot be used.
    """

    def derived(purpose: bytes, size: int) -> bytes:
        return hmac.digest(master, b"lachan/guard/v1\0" + purpose, "sha256")[:size]

    seed = int.from_bytes(derived(b"tables", 8), "big")
    return Guard(
        cookies.make(proofs, master, now),
        make_limits(rates, table, derived(b"rates", 16)),
        Outstanding(CAPACITY, seed),
        Outstanding(CAPACITY, seed),
        make_registrable(seed),
        rates.misses_per_domain,
    )
