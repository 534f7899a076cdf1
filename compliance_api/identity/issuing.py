"""Signs the certificates of who was let in, with the authority that the service holds.

Holds always: what is signed names one party and carries the key of a request that was verified before; no certificate
outlives the one that vouches for it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from compliance_api.domain.parties.enrolment import Issued
from compliance_api.errors import ComplianceError
from compliance_api.identity import pki
from compliance_api.identity.anchors import Anchors
from lachan import application
from lachan.tls import Identity, TlsError, identity_of, read_pem

MAX_CHAIN = 3


def _read(pem: bytes) -> list[x509.Certificate]:
    try:
        chain = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise TlsError("not certificates in PEM form") from error
    if not 1 <= len(chain) <= MAX_CHAIN:
        raise TlsError(f"1 to {MAX_CHAIN} certificates are expected, the leaf first")
    return chain


def issued_of(party: Identity, chain: bytes) -> Issued:
    """A certificate as it is kept.

    Raises:
        TlsError: It is none, or not for a P-256 key.
    """
    leaf = _read(chain)[0]
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TlsError("its key is not P-256")
    return Issued(
        party,
        leaf.fingerprint(hashes.SHA256()),
        application.public_bytes(key),
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
        chain,
    )


class Issuer:
    """An authority's certificate and key, held by the service."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Reads both.

        Raises:
            PkiError: They cannot be used.
        """
        self._pem = read_pem(certificate)
        self._certificate, self._key = pki.load(certificate, key)

    def issue(self, party: Identity, csr: bytes, now: datetime, seconds: float) -> Issued:
        """A certificate for the key of a CSR that was read before.

        Raises:
            ComplianceError: It would outlive the authority.
        """
        # X.509 knows whole seconds.
        end = (now + timedelta(seconds=seconds)).replace(microsecond=0)
        if end > self._certificate.not_valid_after_utc:
            raise ComplianceError("the authority that signs certificates ends too soon")
        key = x509.load_der_x509_csr(csr).public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise ComplianceError("the request's key is not P-256")
        begin = (now - min(pki.BACKDATED, timedelta(seconds=seconds / 10))).replace(microsecond=0)
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(str(party))]
        leaf = pki.certify(self._certificate, self._key, party, names, key, begin, end)
        # A root is known to whoever verifies; an authority below one is not.
        above = b"" if self._certificate.issuer == self._certificate.subject else self._pem
        return issued_of(party, leaf + above)

    def adopt(self, party: Identity, csr: bytes, chain: bytes, roots: bytes, now: datetime) -> Issued:
        """A certificate that the party's own organisation signed for the key of this CSR.

        Raises:
            TlsError: It is another's, for another key, or none of its organisation's authorities vouches for it.
        """
        found = _read(chain)
        leaf = pki.pem(found[0])
        if identity_of(leaf) != party:
            raise TlsError(f"it names {identity_of(leaf)}, not {party}")
        Anchors().verify(leaf, b"".join(pki.pem(one) for one in found[1:]), roots, now)
        issued = issued_of(party, chain)
        if found[0].public_key() != x509.load_der_x509_csr(csr).public_key():
            raise TlsError("it is for another key than the newcomer's")
        return issued
