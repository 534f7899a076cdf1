from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lachan.signing import OBSERVATION, RECEIPT, REPORT, SigningError, SigningKey, VerifyKey

# RFC 8032 7.1, test 3: a secret key and its public half.
SECRET = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
PUBLIC = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")


@pytest.fixture
def key() -> SigningKey:
    return SigningKey(Ed25519PrivateKey.from_private_bytes(SECRET))


def test_a_key_is_named_by_the_digest_of_its_public_half(key: SigningKey) -> None:
    assert key.public.raw == PUBLIC
    assert key.public.key_id == hashlib.sha256(PUBLIC).digest()
    assert VerifyKey.from_raw(PUBLIC).key_id == key.public.key_id


def test_the_context_is_signed_in_front_of_the_data(key: SigningKey) -> None:
    plain = Ed25519PrivateKey.from_private_bytes(SECRET)
    assert key.sign(REPORT, b"data") == plain.sign(b"lachan/report/v1\0data")


@pytest.mark.parametrize(
    ("context", "data", "flip"),
    [
        (RECEIPT, b"data", False),
        (OBSERVATION, b"data", False),
        (b"", b"lachan/report/v1\0data!", False),
        (REPORT, b"date", False),
        (REPORT, b"", False),
        (REPORT, b"data", True),
    ],
)
def test_a_signature_holds_for_its_kind_its_data_and_its_key_only(
    key: SigningKey, context: bytes, data: bytes, flip: bool
) -> None:
    signature = key.sign(REPORT, b"data")
    key.public.verify(REPORT, b"data", signature)
    if flip:
        signature = bytes([signature[0] ^ 1]) + signature[1:]
    with pytest.raises(SigningError, match="does not hold"):
        key.public.verify(context, data, signature)
    with pytest.raises(SigningError, match="does not hold"):
        SigningKey.generate().public.verify(REPORT, b"data", key.sign(REPORT, b"data"))


@pytest.mark.parametrize("signature", [b"", b"\0" * 64, b"\0" * 65, b"\xff" * 64])
def test_what_is_no_signature_does_not_hold(key: SigningKey, signature: bytes) -> None:
    with pytest.raises(SigningError, match="does not hold"):
        key.public.verify(REPORT, b"data", signature)


def test_contexts_are_prefixes_of_none_of_the_others() -> None:
    contexts = (REPORT, RECEIPT, OBSERVATION)
    assert not [(a, b) for a in contexts for b in contexts if a != b and b.startswith(a)]


def test_a_key_is_kept_for_its_owner_alone_and_never_replaced(tmp_path: Path, key: SigningKey) -> None:
    path = tmp_path / "node.key"
    key.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(path).public.raw == PUBLIC
    with pytest.raises(SigningError, match=f"^{path}: File exists$"):
        SigningKey.generate().save(path)
    assert SigningKey.load(path).public.raw == PUBLIC


def test_the_public_half_travels_as_pem(tmp_path: Path, key: SigningKey) -> None:
    path = tmp_path / "node.pub.pem"
    path.write_bytes(key.public.pem())
    assert VerifyKey.load(path).raw == PUBLIC


def pem_of_another_kind(public: bool) -> bytes:
    other = ec.generate_private_key(ec.SECP256R1())
    if public:
        return other.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    return other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize("kind", [SigningKey, VerifyKey])
def test_what_is_no_key_is_refused_by_name(tmp_path: Path, kind: type[SigningKey | VerifyKey]) -> None:
    path = tmp_path / "key.pem"
    with pytest.raises(SigningError, match=f"^{path}: No such file"):
        kind.load(path)
    path.write_bytes(b"hello")
    with pytest.raises(SigningError, match=f"^{path}: not a p.* key in PEM form$"):
        kind.load(path)
    path.write_bytes(pem_of_another_kind(public=kind is VerifyKey))
    with pytest.raises(SigningError, match=f"^{path}: not an Ed25519 key$"):
        kind.load(path)


def test_an_encrypted_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(SigningError, match="not a private key in PEM form"):
        SigningKey.load(path)


@pytest.mark.parametrize("raw", [b"", b"\0" * 31, b"\0" * 33])
def test_raw_bytes_of_another_length_are_no_key(raw: bytes) -> None:
    with pytest.raises(SigningError, match="not an Ed25519 public key"):
        VerifyKey.from_raw(raw)
