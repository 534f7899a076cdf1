"""Who is at the other end: certificates whose one URI names organisation, role and name.

A certificate of this system carries exactly one URI of the form `lachan://ORGANISATION/ROLE/NAME` among its subject
alternative names. The name in it is the caller's identity; common names mean nothing.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from pathlib import Path

from lachan.config import ConfigPath, Settings
from lachan.errors import LachanError

IDENTIFIER = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
MAX_PEM_BYTES = 1 << 16


class TlsError(LachanError):
    """A certificate, a key or an identity cannot be used."""


class Role(enum.StrEnum):
    """What kind of party a certificate speaks for."""

    NODE = "node"
    PROBE = "probe"
    SERVICE = "service"
    PERSON = "person"


@dataclass(frozen=True)
class Identity:
    """A party of this system, as its certificate names it."""

    organisation: str
    role: Role
    name: str

    def __str__(self) -> str:
        return f"lachan://{self.organisation}/{self.role}/{self.name}"

    @classmethod
    def parse(cls, uri: str) -> Identity:
        """From `lachan://ORGANISATION/ROLE/NAME`.

        Raises:
            TlsError: The URI has another form.
        """
        scheme, _, rest = uri.partition("://")
        parts = rest.split("/")
        if scheme != "lachan" or len(parts) != 3:
            raise TlsError(f"{uri!r} is not lachan://ORGANISATION/ROLE/NAME")
        organisation, role, name = parts
        if not (IDENTIFIER.fullmatch(organisation) and IDENTIFIER.fullmatch(name)):
            raise TlsError(f"{uri!r}: an identifier is 1 to 63 of a-z, 0-9 and inner hyphens")
        if role not in set(Role):
            raise TlsError(f"{uri!r}: the role is none of {', '.join(Role)}")
        return cls(organisation, Role(role), name)


class TlsFiles(Settings):
    """Paths of PEM files: the authorities to trust, and this party's own certificate chain and key."""

    ca: ConfigPath
    certificate: ConfigPath
    key: ConfigPath


@dataclass(frozen=True)
class TlsMaterial:
    """The bytes of a party's `TlsFiles`, and who it is."""

    ca: bytes
    certificate: bytes
    key: bytes
    identity: Identity


def read_pem(path: Path) -> bytes:
    """A PEM file of at most `MAX_PEM_BYTES`.

    Raises:
        TlsError: It cannot be read, or is larger.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PEM_BYTES + 1)
    except OSError as error:
        raise TlsError(f"{path}: {error.strerror}") from error
    if len(data) > MAX_PEM_BYTES:
        raise TlsError(f"{path}: larger than {MAX_PEM_BYTES} bytes")
    return data


def identity_of(pem: bytes) -> Identity:
    """Who a certificate (PEM; the first one counts) speaks for.

    Raises:
        TlsError: It is no certificate, or does not name exactly one party of this system.
    """
    # Whoever only names the files, as a worker of the edge does, need not hold the library in memory.
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(pem)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise TlsError(f"not a certificate with a subject alternative name: {error}") from error
    uris = [uri for uri in names.get_values_for_type(x509.UniformResourceIdentifier) if uri.startswith("lachan://")]
    if len(uris) != 1:
        raise TlsError(f"the certificate names {len(uris)} parties, not one")
    return Identity.parse(uris[0])


def load(files: TlsFiles) -> TlsMaterial:
    """Reads the three files.

    Raises:
        TlsError: One cannot be read, or the certificate names nobody of this system.
    """
    certificate = read_pem(files.certificate)
    try:
        identity = identity_of(certificate)
    except TlsError as error:
        raise TlsError(f"{files.certificate}: {error}") from error
    return TlsMaterial(read_pem(files.ca), certificate, read_pem(files.key), identity)


def belongs(material: TlsMaterial) -> bool:
    """Whether the key is that of the certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_private_key(material.key, None)
        return key.public_key() == x509.load_pem_x509_certificate(material.certificate).public_key()
    except (ValueError, TypeError):
        return False


def _stamp(files: TlsFiles) -> tuple[tuple[int, int, int], ...]:
    try:
        stats = [path.stat() for path in (files.ca, files.certificate, files.key)]
    except OSError:
        return ()
    return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in stats)


class Credential:
    """A party's files, read again when they change; what cannot be used leaves what was read before in force."""

    def __init__(self, files: TlsFiles) -> None:
        """Reads them.

        Raises:
            TlsError: As `load`.
        """
        self._files = files
        self._stamp = _stamp(files)
        self._material = load(files)

    @property
    def material(self) -> TlsMaterial:
        """What stands in the files now, or stood there when they could last be used."""
        stamp = _stamp(self._files)
        if stamp != self._stamp:
            try:
                found = load(self._files)
            except TlsError:
                return self._material
            # One of a pair was replaced and the other is about to be.
            if belongs(found):
                self._material, self._stamp = found, stamp
        return self._material
