from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from lachan import application
from lachan.application import ApplicationError, binding, read, request, statement, verify
from lachan.signing import SigningKey
from lachan.tls import Identity, Role

NODE = Identity("a", Role.NODE, "e1")
KEY = application.new_key()
REPORTS = SigningKey.generate()
TOKEN = b"t" * 32
BOUND = binding(TOKEN, REPORTS.public.raw)


def test_a_request_is_for_one_party_one_token_and_one_key() -> None:
    csr = request(KEY, NODE, BOUND)
    assert read(csr, NODE, BOUND) == KEY.public_key()
    verify(TOKEN, csr, REPORTS.public.raw, REPORTS.sign(application.ENROLMENT, statement(TOKEN, csr)))
    for party, challenge in (
        (Identity("b", Role.NODE, "e1"), BOUND),
        (Identity("a", Role.PROBE, "e1"), BOUND),
        (NODE, binding(b"u" * 32, REPORTS.public.raw)),
        (NODE, binding(TOKEN, bytes(32))),
    ):
        with pytest.raises(ApplicationError):
            read(csr, party, challenge)


def test_a_renewal_carries_no_challenge() -> None:
    assert read(request(KEY, NODE), NODE) == KEY.public_key()
    with pytest.raises(ApplicationError, match="challenge"):
        read(request(KEY, NODE), NODE, BOUND)


def test_a_proof_is_by_the_key_over_this_request_and_token() -> None:
    csr = request(KEY, NODE, BOUND)
    signature = REPORTS.sign(application.ENROLMENT, statement(TOKEN, csr))
    other = SigningKey.generate()
    for token_hash, data, key, signed in (
        (b"u" * 32, csr, REPORTS.public.raw, signature),
        (TOKEN, csr + b"x", REPORTS.public.raw, signature),
        (TOKEN, csr, other.public.raw, signature),
        (TOKEN, csr, REPORTS.public.raw, REPORTS.sign(application.COLLECTION, statement(TOKEN, csr))),
        (TOKEN, csr, b"short", signature),
        (TOKEN, csr, REPORTS.public.raw, b""),
    ):
        with pytest.raises(ApplicationError):
            verify(token_hash, data, key, signed)


def odd(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, *names: str) -> bytes:
    """A request with another key or other names."""
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    if names:
        uris = [x509.UniformResourceIdentifier(name) for name in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(uris), critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER)


def tampered() -> bytes:
    csr = bytearray(request(KEY, NODE))
    csr[-1] ^= 1
    return bytes(csr)


@pytest.mark.parametrize(
    "csr",
    [
        b"",
        b"x" * 100,
        b"0" * 4097,
        tampered(),
        odd(KEY),
        odd(KEY, str(NODE), "lachan://b/node/e1"),
        odd(KEY, "https://a.example/"),
        odd(ec.generate_private_key(ec.SECP384R1()), str(NODE)),
        odd(ed25519.Ed25519PrivateKey.generate(), str(NODE)),
    ],
)
def test_what_is_no_good_request_is_refused(csr: bytes) -> None:
    with pytest.raises(ApplicationError):
        read(csr, NODE)


def test_a_key_is_kept_and_read_again() -> None:
    assert application.load_key(application.key_pem(KEY)).public_key() == KEY.public_key()
    big = application.key_pem(ec.generate_private_key(ec.SECP384R1()))
    for pem in (b"", b"x", big, REPORTS.public.pem()):
        with pytest.raises(ApplicationError):
            application.load_key(pem)


def test_people_compare_one_fingerprint_over_both_keys() -> None:
    mine = application.fingerprint(KEY.public_key(), REPORTS.public.raw)
    assert len(mine) == 16
    assert mine != application.fingerprint(application.new_key().public_key(), REPORTS.public.raw)
    assert mine != application.fingerprint(KEY.public_key(), bytes(32))
    text = application.shown(mine)
    assert len(text.split("-")) == 8
    for typed in (text, text.upper(), text.replace("-", ":"), text.replace("-", " "), f" {mine.hex()} "):
        assert application.typed(typed) == mine
    for bad in ("", "xyz", text[:-1], text + "00"):
        with pytest.raises(ApplicationError):
            application.typed(bad)
