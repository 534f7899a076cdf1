"""Ed25519 signatures over domain-separated bytes.

Holds always: a signature made for one kind of message never verifies as another, since the kind's context is signed in
front of the bytes (RFC 8032 names the problem; the prefix is ours); a private key is written once, mode 0600, and never
logged.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lachan.errors import LachanError

REPORT = b"lachan/report/v1\0"
RECEIPT = b"lachan/receipt/v1\0"
OBSERVATION = b"lachan/observation/v1\0"
WHOAMI = b"lachan/whoami/v1\0"
STAMP = b"lachan/stamp/v1\0"
OPENING = b"lachan/opening/v1\0"
LINE_CHECK = b"lachan/line-check/v1\0"
STATEMENT = b"lachan/finding-statement/v1\0"
STEP_RECEIPT = b"lachan/step-receipt/v1\0"

KEY_ID_BYTES = 32
MAX_KEY_FILE_BYTES = 4096


class SigningError(LachanError):
    """A key cannot be read or written, or a signature does not hold."""


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_KEY_FILE_BYTES)
    except OSError as error:
        raise SigningError(f"{path}: {error.strerror}") from error


class VerifyKey:
    """A public key and its id, the SHA-256 of its 32 raw bytes."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self.raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.key_id = hashlib.sha256(self.raw).digest()

    @classmethod
    def from_raw(cls, raw: bytes) -> VerifyKey:
        """From the 32 raw bytes.

        Raises:
            SigningError: They are no Ed25519 public key.
        """
        try:
            return cls(Ed25519PublicKey.from_public_bytes(raw))
        except ValueError as error:
            raise SigningError(f"not an Ed25519 public key: {error}") from error

    @classmethod
    def load(cls, path: Path) -> VerifyKey:
        """From a PEM file (SubjectPublicKeyInfo).

        Raises:
            SigningError: It cannot be read, or holds something else.
        """
        try:
            key = serialization.load_pem_public_key(_read(path))
        except ValueError as error:
            raise SigningError(f"{path}: not a public key in PEM form") from error
        if not isinstance(key, Ed25519PublicKey):
            raise SigningError(f"{path}: not an Ed25519 key")
        return cls(key)

    def pem(self) -> bytes:
        """SubjectPublicKeyInfo in PEM form."""
        return self._key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def verify(self, context: bytes, data: bytes, signature: bytes) -> None:
        """Checks that `signature` was made with this key, for this kind of message, over these bytes.

        Raises:
            SigningError: It was not.
        """
        try:
            self._key.verify(signature, context + data)
        except InvalidSignature as error:
            raise SigningError("the signature does not hold") from error


class SigningKey:
    """A private key; its public half is `public`."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = VerifyKey(key.public_key())

    @classmethod
    def generate(cls) -> SigningKey:
        """A fresh key, in memory only."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """From a PEM file (PKCS 8, not encrypted).

        Raises:
            SigningError: It cannot be read, or holds something else.
        """
        try:
            key = serialization.load_pem_private_key(_read(path), None)
        except (ValueError, TypeError) as error:
            raise SigningError(f"{path}: not a private key in PEM form") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise SigningError(f"{path}: not an Ed25519 key")
        return cls(key)

    def save(self, path: Path) -> None:
        """Writes the key as PEM (PKCS 8), mode 0600, durably; never over another file.

        Raises:
            SigningError: The file exists or cannot be written.
        """
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(pem)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise SigningError(f"{path}: {error.strerror}") from error

    def sign(self, context: bytes, data: bytes) -> bytes:
        """The 64-byte signature of `data` as a message of kind `context`."""
        return self._key.sign(context + data)
