"""Values that the files of the service share.

Holds always: a value that is read is usable as it is.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, Field

from lachan.config import Duration
from lachan.tls import IDENTIFIER

MAX_ORGANISATIONS = 5000
MAX_NAMES = 1000


def _domain(value: str) -> str:
    labels = value.split(".")
    if not value.isascii() or len(value) > 253 or not all(1 <= len(label) <= 63 for label in labels):
        raise ValueError("a domain name in A-labels without a trailing dot is expected")
    return value.lower()


def is_loopback(address: str) -> bool:
    """Whether `HOST:PORT` is reached from this machine alone."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


Domain = Annotated[str, AfterValidator(_domain)]
Network = Annotated[str, AfterValidator(lambda value: str(ipaddress.ip_network(value)))]
Identifier = Annotated[str, Field(pattern=f"^{IDENTIFIER.pattern}$")]
Interval = Annotated[Duration, Field(ge=0.1, le=7 * 86400)]
Names = Annotated[tuple[Domain, ...], Field(max_length=MAX_NAMES)]
