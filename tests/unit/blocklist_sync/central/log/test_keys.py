from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner, SSlibKey

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import keys

CONTEXT, MESSAGE = b"lachan/test\0", b"message"
SIGNERS = [CryptoSigner(Ed25519PrivateKey.generate()), CryptoSigner(ec.generate_private_key(ec.SECP256R1()))]


@pytest.mark.parametrize("signer", SIGNERS, ids=["ed25519", "p-256"])
def test_what_each_kind_signs_holds_under_it_alone(signer: CryptoSigner) -> None:
    raw = keys.raw(signer.public_key)
    signature = bytes.fromhex(signer.sign(CONTEXT + MESSAGE).signature)
    assert keys.is_key(raw.hex())
    assert len(signature) <= keys.MAX_SIGNATURE_BYTES
    assert keys.holds(raw, CONTEXT, MESSAGE, signature)
    assert not keys.holds(raw, CONTEXT, MESSAGE + b"!", signature)
    assert not keys.holds(raw, b"lachan/other\0", MESSAGE, signature)
    assert not keys.holds(raw, CONTEXT, MESSAGE, signature[:-1])
    assert not keys.holds(raw, CONTEXT, MESSAGE, b"")
    others = [keys.raw(other.public_key) for other in SIGNERS if other is not signer]
    assert not any(keys.holds(other, CONTEXT, MESSAGE, signature) for other in others)


def test_the_kinds_are_told_apart_by_their_length() -> None:
    assert [len(keys.raw(signer.public_key)) for signer in SIGNERS] == [keys.ED25519_BYTES, keys.P256_BYTES]


@pytest.mark.parametrize(
    ("key", "form"),
    [
        (b"", False),
        (b"\x04" + bytes(32), False),
        (b"\x02" + bytes(30), False),
        (b"\x02" + bytes(33), False),
        # No point of the curve has this.
        (b"\x02" + b"\xff" * 32, True),
        (bytes(32), True),
    ],
)
def test_what_is_no_key_verifies_nothing(key: bytes, *, form: bool) -> None:
    assert keys.is_key(key.hex()) is form
    assert not keys.holds(key, CONTEXT, MESSAGE, bytes(64))


@pytest.mark.parametrize("text", ["AB" * 32, "0" * 63, "0x" + "0" * 62, "", 7, None])
def test_a_key_is_lowercase_hexadecimal(text: object) -> None:
    assert not keys.is_key(text)


def test_other_kinds_are_refused() -> None:
    with pytest.raises(CentralError, match="neither Ed25519 nor ECDSA over P-256"):
        keys.raw(CryptoSigner(ec.generate_private_key(ec.SECP384R1())).public_key)
    with pytest.raises(CentralError, match="without its public half"):
        keys.raw(SSlibKey("x", "ecdsa", "ecdsa-sha2-nistp256", {"public": "no PEM"}))
