"""Nonces that a probe asks for: names nobody can foretell, and that the authority knows again.

Holds always: a nonce is one label of 24 characters; only who holds the key makes one that `holds`, so that a name
server can tell what was handed out from noise without asking anybody.
"""

from __future__ import annotations

import base64
import hmac
import re

RANDOM_BYTES = 10
TAG_BYTES = 5
MIN_KEY_BYTES = 32
CHARACTERS = 24
PATTERN = re.compile(r"[a-z2-7]{24}")

_DOMAIN = b"lachan/nonce/v1\0"


def _tag(key: bytes, drawn: bytes) -> bytes:
    return hmac.digest(key, _DOMAIN + drawn, "sha256")[:TAG_BYTES]


def make(key: bytes, drawn: bytes) -> str:
    """A nonce from `RANDOM_BYTES` random bytes."""
    return base64.b32encode(drawn + _tag(key, drawn)).decode().lower()


def holds(key: bytes, nonce: str) -> bool:
    """Whether `make` made it with this key."""
    if not PATTERN.fullmatch(nonce):
        return False
    raw = base64.b32decode(nonce.upper())
    return hmac.compare_digest(_tag(key, raw[:RANDOM_BYTES]), raw[RANDOM_BYTES:])
