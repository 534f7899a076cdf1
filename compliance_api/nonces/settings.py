"""What the service and the name server of nonces are told."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from compliance_api.domain.observations.nonce import MIN_KEY_BYTES
from lachan import durable
from lachan.address import Address
from lachan.config import ConfigPath, Duration, HostPort, Settings
from lachan.errors import LachanError

MAX_KEY_FILE_BYTES = 4096


class NonceKeyError(LachanError):
    """The key of nonces cannot be used."""


def _zone(value: str) -> str:
    labels = value.lower().split(".")
    # A nonce and its dot go in front.
    if not value.isascii() or len(value) > 200 or len(labels) < 2 or not all(1 <= len(one) <= 63 for one in labels):
        raise ValueError("a zone of at least two labels in A-form, without a trailing dot, is expected")
    return value.lower()


class NonceSettings(Settings):
    """A zone of the authority, delegated to `lachan-compliance nonce-zone`."""

    zone: Annotated[str, AfterValidator(_zone)]
    # File of at least 32 random bytes, in hex: who makes nonces and who knows them again share it.
    key: ConfigPath
    # Where the name server answers, by UDP and TCP.
    listen: HostPort
    # Its own name, as the parent zone delegates to it, and the address that every nonce has.
    nameserver: Annotated[str, AfterValidator(_zone)]
    address: Address
    # Queries answered a second, above which the rest are dropped.
    queries_a_second: Annotated[int, Field(ge=1, le=100_000)] = 2000
    # Connections over TCP at once.
    connections: Annotated[int, Field(ge=1, le=10_000)] = 200
    # Between two writes of what was seen.
    flush: Annotated[Duration, Field(ge=0.05, le=60)] = 1.0

    def secret(self) -> bytes:
        """The key.

        Raises:
            NonceKeyError: The file holds none.
            FileError: It cannot be read.
        """
        try:
            found = bytes.fromhex(durable.read(self.key, MAX_KEY_FILE_BYTES).decode("ascii").strip())
        except (UnicodeDecodeError, ValueError) as error:
            raise NonceKeyError(f"{self.key}: not in hex") from error
        if len(found) < MIN_KEY_BYTES:
            raise NonceKeyError(f"{self.key}: {len(found)} bytes, fewer than {MIN_KEY_BYTES}")
        return found
