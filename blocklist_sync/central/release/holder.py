"""One person's signing key: an encrypted PEM file, or wherever a securesystemslib signer keeps it (an HSM, a KMS).

    NAME.pem        the private key (PKCS 8, Ed25519), encrypted, mode 0600
    NAME.pub.json   the public key and whose it is: what goes into the metadata

What a device or a service keeps is ECDSA over P-256, as the signers that there are have it (PKCS 11 by the URI
`hsm:ID?label=TOKEN`, its library named by PYKCS11LIB).

Holds always: a private key is written once and never over another; a passphrase comes from a file or a prompt, never
from an argument, and neither it nor the key is ever logged or part of a message.
"""

from __future__ import annotations

import functools
import getpass
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import (
    SIGNER_FOR_URI_SCHEME,
    CryptoSigner,
    HSMSigner,
    Key,
    SecretsHandler,
    Signature,
    Signer,
    SSlibKey,
)

from blocklist_sync.central.errors import CentralError
from lachan import durable
from lachan.signing import MAX_KEY_FILE_BYTES

PERSON = "x-lachan-person"
"""Whose key it is, in every metadata that carries it."""
MAX_PUBLIC_BYTES = 8192
MIN_PASSPHRASE_BYTES = 8
MAX_PASSPHRASE_BYTES = 1024
MAX_PERSON_CHARACTERS = 63

_FORMAT = "lachan-key 1"

Passphrase = Callable[[], bytes]
"""Asked only where a key needs it."""


def passphrase_from(file: Path | None, what: str = "passphrase", *, twice: bool = False) -> Passphrase:
    """How a passphrase is come by: the first line of a file, or a prompt on the terminal.

    Args:
        file: The file; the terminal if None.
        what: What the prompt asks for.
        twice: Ask again, and compare: for a key that is being made.
    """

    def ask() -> bytes:
        if file is not None:
            return durable.read(file, MAX_PASSPHRASE_BYTES).partition(b"\n")[0].rstrip(b"\r")
        if not sys.stdin.isatty():
            raise CentralError("a passphrase is needed: name its file with --passphrase-file, or use a terminal")
        given = getpass.getpass(f"{what}: ")
        if twice and getpass.getpass(f"{what}, again: ") != given:
            raise CentralError("the passphrases differ")
        return given.encode()

    return ask


def person_of(key: Key) -> str:
    """Whose key it is, as far as the metadata says."""
    return str(key.unrecognized_fields.get(PERSON, key.keyid[:16]))


def _check_person(person: str) -> str:
    if not 0 < len(person) <= MAX_PERSON_CHARACTERS or not person.isprintable() or person != person.strip():
        raise CentralError(f"a person is named by 1 to {MAX_PERSON_CHARACTERS} printable characters")
    return person


def public_path(path: Path) -> Path:
    """Where the public half of a key file stands."""
    return path.with_suffix(".pub.json")


def _write_public(path: Path, key: Key, person: str) -> None:
    document = {"format": _FORMAT, "person": person, "keyid": key.keyid, "key": key.to_dict()}
    durable.write(path, [json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"], durable.PUBLIC)


def create(path: Path, person: str, passphrase: Passphrase | None) -> Key:
    """Draws a key for a person.

    Args:
        path: The private key's file; its public half is written beside it.
        person: Whose it is.
        passphrase: What it is encrypted under. None leaves it in the clear, which is for a machine's own key alone.

    Raises:
        CentralError: There is a key already, or the passphrase is too short.
        FileError: A file cannot be written.
    """
    _check_person(person)
    if taken := [str(p) for p in (path, public_path(path)) if p.exists()]:
        raise CentralError(f"{', '.join(taken)}: a key is never replaced; choose another file")
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        secret = passphrase()
        if len(secret) < MIN_PASSPHRASE_BYTES:
            raise CentralError(f"a passphrase of less than {MIN_PASSPHRASE_BYTES} bytes protects nothing")
        encryption = serialization.BestAvailableEncryption(secret)
    private = Ed25519PrivateKey.generate()
    key = CryptoSigner(private).public_key
    key.unrecognized_fields[PERSON] = person
    durable.make_folder(path.parent)
    durable.write(
        path, [private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)]
    )
    _write_public(public_path(path), key, person)
    return key


def adopt(uri: str, public: Key, path: Path, person: str) -> Key:
    """Writes the public half of a key that a device or a service keeps.

    Raises:
        CentralError: There is a file already.
    """
    _check_person(person)
    if path.exists():
        raise CentralError(f"{path}: a key is never replaced; choose another file")
    _check_scheme(uri)
    public.unrecognized_fields[PERSON] = person
    _write_public(path, public, person)
    return public


def _check_scheme(uri: str) -> str:
    scheme = uri.partition(":")[0]
    if scheme not in SIGNER_FOR_URI_SCHEME:
        raise CentralError(f"{scheme}: no scheme of a signer; there are {', '.join(sorted(SIGNER_FOR_URI_SCHEME))}")
    return scheme


def device_key(uri: str, passphrase: Passphrase) -> Key:
    """The public half of a key, asked of the PKCS 11 token that keeps it.

    Raises:
        CentralError: It is no such key's URI, or the token cannot be asked.
    """
    if _check_scheme(uri) != HSMSigner.SCHEME:
        raise CentralError("only a PKCS 11 token (hsm:…) tells its public key: give --public")
    parts = urlsplit(uri)
    label = dict(parse_qsl(parts.query)).get("label")
    with _failures(uri):
        found: Key = HSMSigner.import_(
            int(parts.path or HSMSigner.SCHEME_KEYID), label, lambda _: passphrase().decode()
        )[1]
    return found


def public(path: Path) -> Key:
    """The public key in a `.pub.json`.

    Raises:
        CentralError: It is none.
        FileError: It cannot be read.
    """
    try:
        document: Any = json.loads(durable.read(path, MAX_PUBLIC_BYTES))
        if document["format"] != _FORMAT:
            raise CentralError(f"{path}: not {_FORMAT!r}")
        key: Key = Key.from_dict(document["keyid"], document["key"])
        key.unrecognized_fields[PERSON] = _check_person(document["person"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CentralError(f"{path}: not a public key: {error!r:.80}") from error
    return key


def public_pem(path: Path) -> Key:
    """The public key in a PEM file, as a device gives it out.

    Raises:
        CentralError: It is none.
        FileError: It cannot be read.
    """
    try:
        return SSlibKey.from_crypto(serialization.load_pem_public_key(durable.read(path, MAX_PUBLIC_BYTES)))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CentralError(f"{path}: not a public key in PEM form") from error


def is_uri(source: str) -> bool:
    """Whether a key is named by a signer's URI, not by its file."""
    scheme, colon, _ = source.partition(":")
    return bool(colon) and scheme in SIGNER_FOR_URI_SCHEME


def signer(source: str, passphrase: Passphrase, public_file: Path | None = None) -> Signer:
    """Opens a private key.

    Args:
        source: A PEM file, or the URI of any securesystemslib signer (`hsm:…`, `awskms:…`).
        passphrase: Asked for an encrypted file's passphrase, or a device's PIN.
        public_file: The public half of a key that a URI names.

    Raises:
        CentralError: It cannot be opened.
        FileError: The file cannot be read.
    """
    if is_uri(source):
        return _device(source, passphrase, public_file)
    path = Path(source)
    key = CryptoSigner(_private(path, durable.read(path, MAX_KEY_FILE_BYTES), passphrase))
    if public_path(path).exists():
        held = public(public_path(path))
        if held.keyid != key.public_key.keyid:
            raise CentralError(f"{public_path(path)}: not the public half of {path}")
        key.public_key.unrecognized_fields.update(held.unrecognized_fields)
    return key


def _private(path: Path, pem: bytes, passphrase: Passphrase) -> Ed25519PrivateKey:
    try:
        try:
            key = serialization.load_pem_private_key(pem, None)
        except TypeError:
            # The one way in which the library says that it is encrypted.
            key = serialization.load_pem_private_key(pem, passphrase())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CentralError(f"{path}: not a private key in PEM form, or another passphrase") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise CentralError(f"{path}: not an Ed25519 key")
    return key


def _device(uri: str, passphrase: Passphrase, public_file: Path | None) -> Signer:
    if public_file is None:
        raise CentralError("a signer named by a URI needs its public key: --public FILE")
    key = public(public_file)
    # A device asks for its PIN at every signature, a person gives it once.
    asked = functools.cache(lambda: passphrase().decode())
    with _failures(uri):
        return _Device(uri, Signer.from_priv_key_uri(uri, key, lambda _: asked()))


class _Device(Signer):
    """A signer whose failures are this package's."""

    def __init__(self, uri: str, inner: Signer) -> None:
        self._uri = uri
        self._inner = inner

    @property
    def public_key(self) -> Key:
        """Its public half."""
        return self._inner.public_key

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> Signer:
        """As any signer is made."""
        with _failures(priv_key_uri):
            return cls(priv_key_uri, Signer.from_priv_key_uri(priv_key_uri, public_key, secrets_handler))

    def sign(self, payload: bytes) -> Signature:
        """A signature over the payload.

        Raises:
            CentralError: The device or service makes none.
        """
        with _failures(self._uri):
            made = self._inner.sign(payload)
            # Of another key than the one that was adopted, it would be found out by somebody else, and late.
            self.public_key.verify_signature(made, payload)
            return made


@contextmanager
def _failures(uri: str) -> Iterator[None]:
    """What devices and services raise, which is what they like, becomes this package's error."""
    try:
        yield
    except CentralError:
        raise
    except Exception as error:
        told = f": {error}" if isinstance(error, (ValueError, UnsupportedLibraryError)) else ""
        raise CentralError(f"{uri.partition(':')[0]}: the signer fails: {type(error).__name__}{told}") from error
