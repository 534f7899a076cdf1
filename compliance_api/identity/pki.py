"""A small certificate authority on disk: the one that `lachan-compliance ca` runs.

Holds always: keys are P-256 (gRPC accepts no Ed25519), written once with mode 0600 and never over another file; a leaf
names exactly one party of this system (`lachan://ORGANISATION/ROLE/NAME`) and cannot sign others; a certificate appears
on disk only beside its key. Below the authority there may be one more, which signs leaves alone, so that the key of the
first need not lie where the service runs.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from compliance_api.errors import ComplianceError
from lachan.tls import Identity, TlsError, read_pem

CA_DAYS = 3650
ROOT = "root.pem"
"""Beside an authority that stands below another: the one that everybody trusts."""
# Clocks differ: a certificate holds from a little before it was made.
BACKDATED = timedelta(minutes=5)
MAX_NAMES = 20


class PkiError(ComplianceError):
    """A certificate or key cannot be read, made or written."""


def _write(path: Path, data: bytes, mode: int) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise PkiError(f"{path}: {error.strerror}") from error


def _folder(path: Path, names: Sequence[str]) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise PkiError(f"{path}: {error.strerror}") from error
    for name in names:
        if (path / name).exists():
            raise PkiError(f"{path / name}: exists already")


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def pem(certificate: x509.Certificate) -> bytes:
    """A certificate in PEM form."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def init(out: Path, now: datetime, name: str = "Lá Chắn CA") -> None:
    """Makes an authority in `out`: `ca.pem`, to be given to everybody, and `ca-key.pem`.

    Raises:
        PkiError: There is one already, or it cannot be written.
    """
    _folder(out, ("ca.pem", "ca-key.pem"))
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _builder(subject, subject, key.public_key(), now - BACKDATED, now + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(out / "ca-key.pem", _key_pem(key), 0o600)
    _write(out / "ca.pem", pem(certificate), 0o644)


def below(ca: Path, out: Path, now: datetime, days: int, name: str = "Lá Chắn issuing CA") -> None:
    """Makes an authority below another in `out`: `ca.pem`, `ca-key.pem`, and `root.pem`, the one that everybody trusts.

    Args:
        ca: The folder that `init` wrote.
        out: Where to write; made if it is not there.
        now: The current time.
        days: How long it holds, never beyond the other's own end.
        name: Its common name.

    Raises:
        PkiError: The other may have none below it, or ends sooner; a file exists or cannot be written.
    """
    authority, authority_key = load(ca / "ca.pem", ca / "ca-key.pem")
    if authority.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0:
        raise PkiError(f"{ca / 'ca.pem'}: may sign leaves alone, and no authority below it")
    _within(authority, now, days)
    _folder(out, ("ca.pem", "ca-key.pem", ROOT))
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _builder(subject, authority.subject, key.public_key(), now - BACKDATED, now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(_issued_by(authority), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    _write(out / "ca-key.pem", _key_pem(key), 0o600)
    _write(out / "ca.pem", pem(certificate), 0o644)
    _write(out / ROOT, pem(authority), 0o644)


def _within(authority: x509.Certificate, now: datetime, days: int) -> None:
    if now + timedelta(days=days) > authority.not_valid_after_utc:
        raise PkiError(f"{days} days reach beyond the authority's own end, {authority.not_valid_after_utc.date()}")


def _issued_by(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def load(ca: Path, ca_key: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """An authority's certificate and key.

    Raises:
        PkiError: They cannot be read, or are not a pair.
    """
    try:
        certificate = x509.load_pem_x509_certificate(read_pem(ca))
        key = serialization.load_pem_private_key(read_pem(ca_key), None)
    except TlsError as error:
        raise PkiError(str(error)) from error
    except (ValueError, TypeError) as error:
        raise PkiError(f"{ca.parent}: not a certificate and its key in PEM form") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise PkiError(f"{ca.parent}: the key does not belong to the certificate")
    return certificate, key


def certify(
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    party: Identity,
    names: Sequence[x509.GeneralName],
    key: ec.EllipticCurvePublicKey,
    begin: datetime,
    end: datetime,
) -> bytes:
    """A leaf in PEM form, for the holder of a key."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, party.name)])
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
    return pem(
        _builder(subject, authority.subject, key, begin, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(usage, critical=False)
        .add_extension(_issued_by(authority), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _names(uri: str, dns: Sequence[str], addresses: Sequence[str]) -> tuple[Identity, list[x509.GeneralName]]:
    try:
        identity = Identity.parse(uri)
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(str(identity))]
        names += [x509.DNSName(name) for name in dns]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    except (TlsError, ValueError) as error:
        raise PkiError(str(error)) from error
    if len(names) > MAX_NAMES:
        raise PkiError(f"a certificate carries at most {MAX_NAMES} names")
    return identity, names


def issue(
    ca: Path, out: Path, uri: str, now: datetime, *, dns: Sequence[str], addresses: Sequence[str], days: int
) -> None:
    """Makes `ca.pem`, `certificate.pem` and `key.pem` in `out` for one party.

    Args:
        ca: The folder that `init` or `below` wrote.
        out: Where to write; made if it is not there.
        uri: `lachan://ORGANISATION/ROLE/NAME`.
        now: The current time.
        dns: Host names under which it serves.
        addresses: IP addresses under which it serves.
        days: How long it holds, never beyond the authority's own end.

    Raises:
        PkiError: The authority cannot be used, a name has another form, or a file exists or cannot be written.
    """
    authority, authority_key = load(ca / "ca.pem", ca / "ca-key.pem")
    identity, names = _names(uri, dns, addresses)
    _within(authority, now, days)
    trusted, between = pem(authority), b""
    if (ca / ROOT).exists():
        trusted, between = read_pem(ca / ROOT), trusted
    _folder(out, ("ca.pem", "certificate.pem", "key.pem"))
    key = ec.generate_private_key(ec.SECP256R1())
    begin, end = now - BACKDATED, now + timedelta(days=days)
    certificate = certify(authority, authority_key, identity, names, key.public_key(), begin, end)
    _write(out / "key.pem", _key_pem(key), 0o600)
    _write(out / "certificate.pem", certificate + between, 0o644)
    _write(out / "ca.pem", trusted, 0o644)
