"""The service's time, signed, bare or over what somebody shows that they hold.

Holds always: the signature is over time, nonce and commitment together, so that no part of one stamp fits another; a
nonce is random and used once, so that nobody holds a stamp before it was made; what a stamp is over existed by then.
"""

from __future__ import annotations

from dataclasses import dataclass

from lachan.errors import LachanError
from lachan.signing import STAMP, SigningError, SigningKey, VerifyKey

NONCE_BYTES = 16
COMMITMENT_BYTES = 32
# 2100-01-01 in microseconds since 1970.
MAX_TIME_US = 4_102_444_800_000_000


class StampError(LachanError):
    """These are no stamp's fields, or the signature does not hold."""


@dataclass(frozen=True)
class Stamp:
    """One stamp; `time_us` in microseconds since 1970, `commitment` empty for a bare one."""

    time_us: int
    nonce: bytes
    commitment: bytes
    signature: bytes
    key_id: bytes

    @staticmethod
    def _signed(time_us: int, nonce: bytes, commitment: bytes) -> bytes:
        if not 0 <= time_us < MAX_TIME_US:
            raise StampError("time_us: microseconds since 1970, before 2100")
        if len(nonce) != NONCE_BYTES:
            raise StampError(f"nonce: {NONCE_BYTES} bytes")
        if len(commitment) not in (0, COMMITMENT_BYTES):
            raise StampError(f"commitment: {COMMITMENT_BYTES} bytes, or none")
        return time_us.to_bytes(8, "big") + nonce + commitment

    @classmethod
    def make(cls, key: SigningKey, time_us: int, nonce: bytes, commitment: bytes = b"") -> Stamp:
        """Signs a stamp.

        Raises:
            StampError: A field has another length than it must have.
        """
        signature = key.sign(STAMP, cls._signed(time_us, nonce, commitment))
        return cls(time_us, nonce, commitment, signature, key.public.key_id)

    def verify(self, key: VerifyKey) -> None:
        """Checks that the holder of the key made it.

        Raises:
            StampError: It did not.
        """
        signed = self._signed(self.time_us, self.nonce, self.commitment)
        try:
            key.verify(STAMP, signed, self.signature)
        except SigningError as error:
            raise StampError(f"signature: {error}") from error
