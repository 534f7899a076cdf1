"""What a newcomer hands in: a certificate signing request, the key of its reports, and proofs that it holds both.

Holds always: both proofs are bound to one token and to each other, so that what was handed in once proves nothing with
another token or another key; people compare one fingerprint over both keys.
"""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AttributeOID, NameOID

from lachan.errors import LachanError
from lachan.signing import SigningError, VerifyKey
from lachan.tls import Identity

ENROLMENT = b"lachan/enrolment/v1\0"
COLLECTION = b"lachan/enrolment-collection/v1\0"
FINGERPRINT_BYTES = 16
MAX_CSR_BYTES = 4096


class ApplicationError(LachanError):
    """What was handed in does not hold."""


def binding(token_hash: bytes, key: bytes) -> bytes:
    """The CSR's challenge password: it names the token and the key of the reports."""
    return hashlib.sha256(token_hash + key).hexdigest().encode()


def statement(token_hash: bytes, csr: bytes) -> bytes:
    """What the key of the reports signs."""
    return token_hash + hashlib.sha256(csr).digest()


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key for TLS."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key in PEM form (PKCS 8, not encrypted)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """A private key from PEM.

    Raises:
        ApplicationError: It is none, or not P-256.
    """
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise ApplicationError("not a private key in PEM form") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ApplicationError("not a P-256 key")
    return key


def request(key: ec.EllipticCurvePrivateKey, party: Identity, challenge: bytes = b"") -> bytes:
    """A CSR in DER form for a party, with a challenge password where there is one."""
    builder = x509.CertificateSigningRequestBuilder(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, party.name)])
    ).add_extension(
        x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(party))]),
        critical=False,
    )
    if challenge:
        builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, challenge)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def read(csr: bytes, party: Identity, challenge: bytes = b"") -> ec.EllipticCurvePublicKey:
    """The public key of a CSR that names this party alone, carries this challenge, and was signed with that key.

    Raises:
        ApplicationError: Something of it does not hold.
    """
    if not 0 < len(csr) <= MAX_CSR_BYTES:
        raise ApplicationError(f"1 to {MAX_CSR_BYTES} bytes")
    try:
        found = x509.load_der_x509_csr(csr)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        key = found.public_key()
        carried = found.attributes.get_attribute_for_oid(AttributeOID.CHALLENGE_PASSWORD).value if challenge else b""
        holds = found.is_signature_valid
    except (ValueError, TypeError, x509.ExtensionNotFound, x509.AttributeNotFound, InvalidSignature) as error:
        raise ApplicationError("not a certificate signing request in DER form, with its names and challenge") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ApplicationError("its key is not P-256")
    if not holds:
        raise ApplicationError("it was not signed with the key it is for")
    if list(names) != [x509.UniformResourceIdentifier(str(party))]:
        raise ApplicationError(f"it does not name {party} alone")
    if carried != challenge:
        raise ApplicationError("it was made for another token or another key")
    return key


def verify(token_hash: bytes, csr: bytes, key: bytes, signature: bytes) -> None:
    """Checks that whoever holds the key of the reports made this request with this token.

    Raises:
        ApplicationError: They did not.
    """
    try:
        VerifyKey.from_raw(key).verify(ENROLMENT, statement(token_hash, csr), signature)
    except SigningError as error:
        raise ApplicationError(str(error)) from error


def public_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    """SubjectPublicKeyInfo in DER form."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def fingerprint(tls_key: ec.EllipticCurvePublicKey, key: bytes) -> bytes:
    """What people compare: of the key of TLS and the key of the reports together."""
    return hashlib.sha256(hashlib.sha256(public_bytes(tls_key)).digest() + key).digest()[:FINGERPRINT_BYTES]


def shown(digest: bytes) -> str:
    """A fingerprint as people read it: groups of four."""
    text = digest.hex()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def typed(text: str) -> bytes:
    """A fingerprint as people type it.

    Raises:
        ApplicationError: It is none.
    """
    try:
        digest = bytes.fromhex("".join(text.lower().split()).replace("-", "").replace(":", ""))
    except ValueError as error:
        raise ApplicationError(f"{text!r} is no fingerprint") from error
    if len(digest) != FINGERPRINT_BYTES:
        raise ApplicationError(f"{text!r} is no fingerprint: {2 * FINGERPRINT_BYTES} hexadecimal digits are expected")
    return digest
