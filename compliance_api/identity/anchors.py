"""Certificates held against the authorities that count for whom they name.

TLS lets in whoever any organisation's authority vouches for, since it cannot tell them apart; here each leaf is
verified again, against the authorities of the organisation that it names and no other.

Holds always: what is believed was verified by RFC 5280's rules as `cryptography` applies them, with this moment's time;
what is remembered of a verification is only between which times it holds.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from compliance_api.domain.parties.credential import Shown
from lachan.tls import TlsError, TlsMaterial, identity_of

K = TypeVar("K")
V = TypeVar("V")

MAX_REMEMBERED = 10_000
MAX_ROOTS = 16
# A leaf, two authorities below the root, and the root.
MAX_DEPTH = 3


@dataclass(frozen=True)
class _Verified:
    valid_from: datetime
    valid_until: datetime


def read_roots(pem: bytes, source: str) -> list[x509.Certificate]:
    """Authorities' certificates from PEM.

    Raises:
        TlsError: There are none, too many, or one may not sign others.
    """
    try:
        found = x509.load_pem_x509_certificates(pem)
        able = [one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca for one in found]
    except (ValueError, x509.ExtensionNotFound) as error:
        raise TlsError(f"{source}: not the certificates of authorities, in PEM form") from error
    if not 1 <= len(found) <= MAX_ROOTS or not all(able):
        raise TlsError(f"{source}: 1 to {MAX_ROOTS} certificates that may sign others are expected")
    return found


def shown(leaf: bytes) -> Shown:
    """What a leaf (PEM) says of itself.

    Raises:
        TlsError: It names nobody of this system.
    """
    identity = identity_of(leaf)
    certificate = x509.load_pem_x509_certificate(leaf)
    return Shown(identity, certificate.fingerprint(hashes.SHA256()), certificate.not_valid_before_utc)


def anchor_of(material: TlsMaterial) -> bytes:
    """The certificate (PEM) among those a service trusts that vouches for the service itself.

    Raises:
        TlsError: There is none.
    """
    chain = x509.load_pem_x509_certificates(material.certificate)
    for root in read_roots(material.ca, "the service's authorities"):
        try:
            chain[-1].verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return root.public_bytes(Encoding.PEM)
    raise TlsError("the service's certificate is by none of the authorities it trusts")


def pin_of(anchor: bytes) -> bytes:
    """SHA-256 of an authority's certificate (PEM) in DER form."""
    return x509.load_pem_x509_certificate(anchor).fingerprint(hashes.SHA256())


class Anchors:
    """Verifies leaves; what was verified once is not computed again while it holds."""

    def __init__(self) -> None:
        self._shown: OrderedDict[bytes, Shown] = OrderedDict()
        self._verified: OrderedDict[tuple[bytes, bytes, bytes], _Verified] = OrderedDict()

    def shown(self, leaf: bytes) -> Shown:
        """As the function of that name."""
        found = self._shown.get(leaf)
        if found is None:
            found = shown(leaf)
            _remember(self._shown, leaf, found)
        return found

    def verify(self, leaf: bytes, between: bytes, roots: bytes, now: datetime) -> None:
        """Verifies that one of `roots` vouches for `leaf` as a client, through certificates of `between`; all PEM.

        Raises:
            TlsError: None of them does, or not at this time.
        """
        key = leaf, between, roots
        found = self._verified.get(key)
        if found is None or not found.valid_from <= now <= found.valid_until:
            found = _verify(leaf, between, roots, now)
            _remember(self._verified, key, found)


def _remember(memory: OrderedDict[K, V], key: K, value: V) -> None:
    memory[key] = value
    if len(memory) > MAX_REMEMBERED:
        memory.popitem(last=False)


def _verify(leaf: bytes, between: bytes, roots: bytes, now: datetime) -> _Verified:
    try:
        store = Store(read_roots(roots, "the organisation's authorities"))
        verifier = PolicyBuilder().store(store).time(now).max_chain_depth(MAX_DEPTH).build_client_verifier()
        intermediates = x509.load_pem_x509_certificates(between) if between else []
        chain = verifier.verify(x509.load_pem_x509_certificate(leaf), intermediates).chain
    except (VerificationError, ValueError) as error:
        # Its text tells more of the certificate's inside than the caller needs.
        raise TlsError("no authority of its organisation vouches for this certificate now") from error
    return _Verified(max(one.not_valid_before_utc for one in chain), min(one.not_valid_after_utc for one in chain))
