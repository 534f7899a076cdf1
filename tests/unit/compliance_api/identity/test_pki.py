from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from compliance_api.identity import pki
from compliance_api.identity.pki import PkiError
from lachan import tls
from lachan.tls import Identity, Role

NOW = datetime.now(UTC)


def issue(folder: Path, uri: str = "lachan://a/node/edge-1", days: int = 90, **names: list[str]) -> Path:
    out = folder / "out"
    values = {"dns": ["localhost"], "addresses": ["127.0.0.1", "::1"], **names}
    pki.issue(folder / "ca", out, uri, NOW, days=days, **values)
    return out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pki.init(tmp_path / "ca", NOW)
    return tmp_path


def test_a_leaf_names_one_party_and_verifies_against_its_authority(folder: Path) -> None:
    out = issue(folder)
    files = tls.TlsFiles(ca=out / "ca.pem", certificate=out / "certificate.pem", key=out / "key.pem")
    material = tls.load(files)
    assert material.identity == Identity("a", Role.NODE, "edge-1")
    leaf = x509.load_pem_x509_certificate(material.certificate)
    authority = x509.load_pem_x509_certificate(material.ca)
    leaf.verify_directly_issued_by(authority)
    assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)
    assert leaf.not_valid_after_utc == (NOW + timedelta(days=90)).replace(microsecond=0)
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_keys_are_private_and_nothing_is_overwritten(folder: Path) -> None:
    out = issue(folder)
    for key in (folder / "ca" / "ca-key.pem", out / "key.pem"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    with pytest.raises(PkiError, match="exists already"):
        issue(folder)
    with pytest.raises(PkiError, match="exists already"):
        pki.init(folder / "ca", NOW)


@pytest.mark.parametrize(
    ("uri", "names", "message"),
    [
        ("lachan://a/king/edge-1", {}, "role is none of"),
        ("https://a/node/edge-1", {}, "is not lachan://"),
        ("lachan://a/node/EDGE", {}, "identifier"),
        ("lachan://a/node/e", {"addresses": ["nowhere"]}, "nowhere"),
        ("lachan://a/node/e", {"dns": ["x.example"] * 30}, "at most"),
    ],
)
def test_a_wrong_name_is_refused(folder: Path, uri: str, names: dict[str, list[str]], message: str) -> None:
    with pytest.raises(PkiError, match=message):
        issue(folder, uri, **names)


def test_a_leaf_does_not_outlive_its_authority(folder: Path) -> None:
    with pytest.raises(PkiError, match="beyond the authority's own end"):
        issue(folder, days=4000)


def test_an_authority_that_cannot_be_used_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PkiError, match="No such file"):
        pki.issue(tmp_path / "none", tmp_path / "x", "lachan://a/node/e", NOW, dns=[], addresses=[], days=1)
    pki.init(tmp_path / "other", NOW)
    (folder / "ca" / "ca-key.pem").write_bytes((tmp_path / "other" / "ca-key.pem").read_bytes())
    with pytest.raises(PkiError, match="does not belong"):
        issue(folder)


def test_one_authority_stands_below_another_and_signs_leaves_alone(folder: Path) -> None:
    pki.below(folder / "ca", folder / "issuing", NOW, 100)
    made = x509.load_pem_x509_certificate((folder / "issuing" / "ca.pem").read_bytes())
    made.verify_directly_issued_by(x509.load_pem_x509_certificate((folder / "ca" / "ca.pem").read_bytes()))
    pki.issue(folder / "issuing", folder / "leaf", "lachan://a/person/an", NOW, dns=[], addresses=[], days=9)
    leaf, between = x509.load_pem_x509_certificates((folder / "leaf" / "certificate.pem").read_bytes())
    leaf.verify_directly_issued_by(made)
    assert between == made
    assert (folder / "leaf" / "ca.pem").read_bytes() == (folder / "ca" / "ca.pem").read_bytes()
    with pytest.raises(PkiError, match="no authority below it"):
        pki.below(folder / "issuing", folder / "deeper", NOW, 9)
    with pytest.raises(PkiError, match="beyond the authority's own end"):
        pki.below(folder / "ca", folder / "longer", NOW, 4000)
