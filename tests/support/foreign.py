"""A PKI that is not ours: roots, authorities below them, and leaves that name whomever they like."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lachan.tls import TlsMaterial, identity_of


@dataclass(frozen=True)
class Party:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def authority(self, name: str) -> Party:
        """An authority below this one."""
        return make(name, self, signs=True)

    def leaf(self, uri: str, *, begins: datetime | None = None, days: float = 1) -> Party:
        """A leaf for one party of this system; a service answers on 127.0.0.1."""
        return make("leaf", self, uri=uri, begins=begins, days=days)

    def material(self, ca: bytes, *between: Party) -> TlsMaterial:
        """As a party uses it, which trusts `ca` and shows the authorities between."""
        return TlsMaterial(ca, self.pem + b"".join(one.pem for one in between), self.key_pem, identity_of(self.pem))


def root(name: str) -> Party:
    """An authority of its own."""
    return make(name, None, signs=True)


def make(
    name: str,
    issuer: Party | None,
    *,
    signs: bool = False,
    uri: str = "",
    begins: datetime | None = None,
    days: float = 1,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Party:
    """One certificate, for a key or for a fresh one."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = begins or datetime.now(UTC) - timedelta(minutes=5)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=signs, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not signs,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=signs,
                crl_sign=signs,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    if issuer is not None:
        identifier = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        identified = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
        builder = builder.add_extension(identified, critical=False)
    if not signs:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
        names = [x509.UniformResourceIdentifier(uri), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(usage, critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return Party(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)
