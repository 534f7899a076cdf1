"""The keys that people sign the log's steps with: Ed25519, or ECDSA over P-256, as devices and services have it.

Holds always: a key's length says its kind, so that none is ever taken for one of the other kind: 32 bytes are
Ed25519 (RFC 8032), 33 a point of P-256 in compressed form (SEC 1, 2.3.3), of which every point has one.
"""

from __future__ import annotations

import re

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from securesystemslib.signer import Key

from blocklist_sync.central.errors import CentralError
from lachan.signing import SigningError, VerifyKey

ED25519_BYTES = 32
P256_BYTES = 33
MAX_SIGNATURE_BYTES = 72
"""Ed25519's have 64; ECDSA's are DER, of at most 72 for P-256 (SEC 1, C.8)."""

_TEXT = re.compile(r"[0-9a-f]{64}|0[23][0-9a-f]{64}")


def is_key(text: object) -> bool:
    """Whether a text in hexadecimal has the form of a key; whether it is one shows when it verifies."""
    return isinstance(text, str) and _TEXT.fullmatch(text) is not None


def raw(key: Key) -> bytes:
    """The bytes of one of securesystemslib's keys, as the log has them.

    Raises:
        CentralError: It is of another kind.
    """
    try:
        if key.keytype == "ed25519":
            return bytes.fromhex(key.keyval["public"])
        if key.keytype == "ecdsa":
            held = serialization.load_pem_public_key(key.keyval["public"].encode())
            if isinstance(held, ec.EllipticCurvePublicKey) and isinstance(held.curve, ec.SECP256R1):
                return held.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    except (KeyError, ValueError, AttributeError, UnsupportedAlgorithm) as error:
        raise CentralError(f"a key of type {key.keytype} without its public half") from error
    raise CentralError(f"a key of scheme {key.scheme}, neither Ed25519 nor ECDSA over P-256")


def holds(key: bytes, context: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature was made with the key, in this context, over this message."""
    try:
        if len(key) == P256_BYTES:
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key)
            point.verify(signature, context + message, ec.ECDSA(hashes.SHA256()))
        else:
            VerifyKey.from_raw(key).verify(context, message, signature)
    except (SigningError, InvalidSignature, ValueError):
        return False
    return True
