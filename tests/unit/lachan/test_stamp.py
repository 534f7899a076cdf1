"""The service's time, signed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lachan.signing import SigningKey
from lachan.stamp import MAX_TIME_US, Stamp, StampError

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
NONCE = bytes(range(16))
OVER = bytes(range(32))


@pytest.mark.parametrize("commitment", [b"", OVER])
def test_it_holds_as_it_was_made(commitment: bytes) -> None:
    made = Stamp.make(KEY, 1_800_000_000_000_000, NONCE, commitment)
    made.verify(KEY.public)
    assert (made.time_us, made.commitment, made.key_id) == (1_800_000_000_000_000, commitment, KEY.public.key_id)


@pytest.mark.parametrize(
    "changes",
    [
        {"time_us": 1_800_000_000_000_001},
        {"time_us": -1},
        {"time_us": MAX_TIME_US},
        {"nonce": bytes(16)},
        {"nonce": NONCE[:-1]},
        {"commitment": b""},
        {"commitment": bytes(32)},
        {"commitment": OVER[:-1]},
        {"signature": bytes(64)},
        {"signature": b""},
        # What moves from one field to its neighbour is another stamp.
        {"nonce": NONCE + OVER[:1], "commitment": OVER[1:]},
    ],
)
def test_whatever_is_changed_it_does_not_hold(changes: dict[str, Any]) -> None:
    made = replace(Stamp.make(KEY, 1_800_000_000_000_000, NONCE, OVER), **changes)
    with pytest.raises(StampError):
        made.verify(KEY.public)


def test_nothing_of_another_form_is_signed() -> None:
    for time_us, nonce, over in ((-1, NONCE, b""), (1, b"short", b""), (1, NONCE, b"short")):
        with pytest.raises(StampError):
            Stamp.make(KEY, time_us, nonce, over)
