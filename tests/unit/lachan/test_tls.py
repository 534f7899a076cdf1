from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lachan.tls import (
    MAX_PEM_BYTES,
    Credential,
    Identity,
    Role,
    TlsError,
    TlsFiles,
    belongs,
    identity_of,
    load,
    read_pem,
)
from tests.support import foreign

NODE = "lachan://a/node/edge-1"


def certificate(*names: x509.GeneralName) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(hours=1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


@pytest.mark.parametrize("role", list(Role))
def test_an_identity_is_its_uri(role: Role) -> None:
    identity = Identity("so-kh-cn", role, "x1")
    assert Identity.parse(str(identity)) == identity


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lachan://",
        "lachan://a/node",
        "lachan://a/node/x/y",
        "lachan://a/node/",
        "lachan:///node/x",
        "https://a/node/x",
        "LACHAN://a/node/x",
        "lachan://A/node/x",
        "lachan://a/node/-x",
        "lachan://a/node/x-",
        "lachan://a/node/x_y",
        "lachan://a/node/x\n",
        "lachan://a/node/%78",
        f"lachan://a/node/{'x' * 64}",
        "lachan://a/king/x",
        "lachan://a/Node/x",
        "lachan://a@b/node/x",
    ],
)
def test_another_form_is_nobody(text: str) -> None:
    with pytest.raises(TlsError):
        Identity.parse(text)


def test_a_certificate_speaks_for_its_one_uri() -> None:
    pem = certificate(x509.DNSName("edge.example"), uri("https://edge.example/"), uri(NODE))
    assert identity_of(pem) == Identity("a", Role.NODE, "edge-1")


def test_the_first_certificate_of_a_chain_counts() -> None:
    chain = certificate(uri(NODE)) + certificate(uri("lachan://b/service/compliance"))
    assert str(identity_of(chain)) == NODE


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "alternative name"),
        ([x509.DNSName("edge.example")], "names 0 parties"),
        ([uri(NODE), uri("lachan://b/node/edge-1")], "names 2 parties"),
        ([uri(NODE), uri(NODE)], "names 2 parties"),
        ([uri("lachan://a/king/x")], "the role is none of"),
    ],
)
def test_a_certificate_that_names_nobody_or_several_is_refused(names: list[x509.GeneralName], message: str) -> None:
    with pytest.raises(TlsError, match=message):
        identity_of(certificate(*names))


@pytest.mark.parametrize("pem", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(pem: bytes) -> None:
    with pytest.raises(TlsError, match="not a certificate"):
        identity_of(pem)


def test_the_three_files_are_read_and_each_is_named_where_it_fails(tmp_path: Path) -> None:
    files = TlsFiles(ca=tmp_path / "ca.pem", certificate=tmp_path / "certificate.pem", key=tmp_path / "key.pem")
    with pytest.raises(TlsError, match=f"^{files.certificate}: No such file"):
        load(files)
    files.certificate.write_bytes(b"hello")
    with pytest.raises(TlsError, match=f"^{files.certificate}: not a certificate"):
        load(files)
    files.certificate.write_bytes(certificate(uri(NODE)))
    with pytest.raises(TlsError, match=f"^{files.ca}: No such file"):
        load(files)
    files.ca.write_bytes(b"ca")
    with pytest.raises(TlsError, match=f"^{files.key}: No such file"):
        load(files)
    files.key.write_bytes(b"key")
    material = load(files)
    assert (material.ca, material.key, str(material.identity)) == (b"ca", b"key", NODE)


def test_a_pem_file_has_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "large.pem"
    path.write_bytes(b"x" * MAX_PEM_BYTES)
    assert len(read_pem(path)) == MAX_PEM_BYTES
    path.write_bytes(b"x" * (MAX_PEM_BYTES + 1))
    with pytest.raises(TlsError, match=f"larger than {MAX_PEM_BYTES} bytes"):
        read_pem(path)


def files(folder: Path, party: foreign.Party) -> TlsFiles:
    """Written over what was there, the key last."""
    written = TlsFiles(ca=folder / "ca.pem", certificate=folder / "certificate.pem", key=folder / "key.pem")
    for path, data in ((written.ca, ROOT.pem), (written.certificate, party.pem), (written.key, party.key_pem)):
        fresh = path.with_suffix(".new")
        fresh.write_bytes(data)
        fresh.rename(path)
    return written


ROOT = foreign.root("root")


def test_a_key_belongs_to_its_certificate() -> None:
    one, two = ROOT.leaf(NODE), ROOT.leaf(NODE)
    assert belongs(one.material(ROOT.pem))
    assert not belongs(replace(one.material(ROOT.pem), key=two.key_pem))
    assert not belongs(replace(one.material(ROOT.pem), key=b"x"))


def test_a_renewed_certificate_is_taken_up_where_the_files_stand(tmp_path: Path) -> None:
    old, new = ROOT.leaf(NODE), ROOT.leaf(NODE)
    credential = Credential(files(tmp_path, old))
    before = credential.material
    assert credential.material is before
    files(tmp_path, new)
    assert credential.material == new.material(ROOT.pem)


def test_half_of_a_new_pair_changes_nothing_until_the_other_half_is_there(tmp_path: Path) -> None:
    old, new = ROOT.leaf(NODE), ROOT.leaf(NODE)
    credential = Credential(files(tmp_path, old))
    (tmp_path / "certificate.pem").write_bytes(new.pem)
    assert credential.material == old.material(ROOT.pem)
    (tmp_path / "key.pem").write_bytes(new.key_pem)
    assert credential.material == new.material(ROOT.pem)
    (tmp_path / "certificate.pem").unlink()
    assert credential.material == new.material(ROOT.pem)
    (tmp_path / "certificate.pem").write_bytes(b"x")
    assert credential.material == new.material(ROOT.pem)
