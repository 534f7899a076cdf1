"""Says what time it is to probes, and reads their stamps when they come back with what was seen.

Holds always: the time is this service's own; a stamp with this service's key counts only where its signature holds; one
with another key (of a service that has since changed its key) bounds nothing and is no reason to refuse an observation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from compliance_api.errors import InvalidRequestError, Violation
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.signing import SigningKey
from lachan.stamp import COMMITMENT_BYTES, NONCE_BYTES, Stamp, StampError

MAX_COMMITMENTS = 256

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Stamper:
    """Makes stamps and reads them."""

    def __init__(self, key: SigningKey, clock: Callable[[], datetime], entropy: Callable[[int], bytes]) -> None:
        self._key = key
        self._clock = clock
        self._entropy = entropy

    def take(self, commitments: Sequence[bytes]) -> list[pb.Stamp]:
        """One stamp over each commitment; a bare one where there is none.

        Raises:
            InvalidRequestError: With every commitment that is none.
        """
        if len(commitments) > MAX_COMMITMENTS:
            raise InvalidRequestError([Violation("commitments", f"at most {MAX_COMMITMENTS}")])
        if violations := [
            Violation(f"commitments[{index}]", f"{COMMITMENT_BYTES} bytes")
            for index, one in enumerate(commitments)
            if len(one) != COMMITMENT_BYTES
        ]:
            raise InvalidRequestError(violations)
        time_us = (self._clock() - _EPOCH) // _MICROSECOND
        made = [Stamp.make(self._key, time_us, self._entropy(NONCE_BYTES), one) for one in commitments or (b"",)]
        return [pb.Stamp(**vars(one)) for one in made]

    def time(self, raw: pb.Stamp, commitment: bytes | None = None) -> datetime | None:
        """When a stamp of this service's was made; None where it is another key's.

        Args:
            raw: As it came back.
            commitment: What it must be over; None where that does not matter.

        Raises:
            StampError: It claims to be this service's, and is not, or is over something else.
        """
        if raw.key_id != self._key.public.key_id:
            return None
        Stamp(raw.time_us, raw.nonce, raw.commitment, raw.signature, raw.key_id).verify(self._key.public)
        if commitment is not None and raw.commitment != commitment:
            raise StampError("commitment: not of this observation")
        return _EPOCH + raw.time_us * _MICROSECOND
