from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release import holder

SECRET = b"a long passphrase"


def never() -> bytes:
    raise AssertionError("nobody should be asked")


def test_a_key_is_encrypted_and_opens_with_its_passphrase_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "lan.pem"
    key = holder.create(path, "lan", lambda: SECRET)
    assert b"ENCRYPTED" in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    opened = holder.signer(str(path), lambda: SECRET)
    assert opened.public_key == key == holder.public(holder.public_path(path))
    assert holder.person_of(opened.public_key) == "lan"
    key.verify_signature(opened.sign(b"data"), b"data")
    with pytest.raises(CentralError, match="another passphrase") as refused:
        holder.signer(str(path), lambda: b"a wrong passphrase")
    assert "wrong" not in str(refused.value)
    with pytest.raises(CentralError, match="never replaced"):
        holder.create(path, "lan", lambda: SECRET)


def test_a_machines_key_may_lie_in_the_clear(tmp_path: Path) -> None:
    holder.create(tmp_path / "timestamp.pem", "timestamp", None)
    assert holder.person_of(holder.signer(str(tmp_path / "timestamp.pem"), never).public_key) == "timestamp"


def test_passphrases_come_from_a_file_or_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.write_bytes(SECRET + b"\r\nmore")
    assert holder.passphrase_from(file)() == SECRET
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(CentralError, match="--passphrase-file"):
        holder.passphrase_from(None)()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    said = iter(["one passphrase", "another passphrase", "the same", "the same"])
    monkeypatch.setattr("getpass.getpass", lambda _: next(said))
    with pytest.raises(CentralError, match="differ"):
        holder.passphrase_from(None, twice=True)()
    assert holder.passphrase_from(None, twice=True)() == b"the same"


@pytest.mark.parametrize("person", ["", "a\nb", " x", "x" * 64])
def test_people_have_names(tmp_path: Path, person: str) -> None:
    with pytest.raises(CentralError, match="printable"):
        holder.create(tmp_path / "k.pem", person, None)
    assert not list(tmp_path.iterdir())


def test_a_short_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CentralError, match="protects nothing"):
        holder.create(tmp_path / "k.pem", "lan", lambda: b"short")
    assert not (tmp_path / "k.pem").exists()


def test_what_is_no_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "k.pem"
    path.write_text("no key")
    with pytest.raises(CentralError, match=r"k\.pem: not a private key"):
        holder.signer(str(path), never)
    path.write_bytes(
        generate_private_key(SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(CentralError, match="not an Ed25519 key"):
        holder.signer(str(path), never)
    for text in ("[]", "{}", '{"format": "other"}', "{"):
        (tmp_path / "k.pub.json").write_text(text)
        with pytest.raises(CentralError, match=r"k\.pub\.json"):
            holder.public(tmp_path / "k.pub.json")


def test_halves_of_two_keys_do_not_fit(tmp_path: Path) -> None:
    for name in ("a", "b"):
        holder.create(tmp_path / f"{name}.pem", name, None)
    holder.public_path(tmp_path / "a.pem").write_bytes(holder.public_path(tmp_path / "b.pem").read_bytes())
    with pytest.raises(CentralError, match="not the public half"):
        holder.signer(str(tmp_path / "a.pem"), never)


def test_any_signer_is_opened_by_its_uri(tmp_path: Path) -> None:
    # The library's own scheme for files stands for a device here.
    path = tmp_path / "device.pem"
    key = holder.create(path, "device", None)
    uri = f"file2:{path}"
    adopted = tmp_path / "adopted.pub.json"
    holder.adopt(uri, key, adopted, "minh")
    assert json.loads(adopted.read_text())["person"] == "minh"
    opened = holder.signer(uri, never, adopted)
    assert holder.person_of(opened.public_key) == "minh"
    with pytest.raises(CentralError, match="needs its public key"):
        holder.signer(uri, never)
    with pytest.raises(CentralError, match="file2: the signer fails: FileNotFoundError"):
        holder.signer(f"file2:{tmp_path}/none", never, adopted)
    with pytest.raises(CentralError, match="no scheme"):
        holder.adopt("carrier-pigeon:1", key, tmp_path / "other.pub.json", "minh")
    with pytest.raises(CentralError, match="never replaced"):
        holder.adopt(uri, key, adopted, "minh")


def test_a_device_that_signs_with_another_key_is_found_out(tmp_path: Path) -> None:
    path, other = tmp_path / "device.pem", tmp_path / "other.pem"
    adopted = tmp_path / "adopted.pub.json"
    holder.adopt(f"file2:{path}", holder.create(path, "device", None), adopted, "minh")
    holder.create(other, "other", None)
    with pytest.raises(CentralError, match="file2: the signer fails: KeyMismatchError"):
        holder.signer(f"file2:{other}", never, adopted)
    signer = holder.signer(f"file2:{path}", never, adopted)
    assert signer.sign(b"data").keyid == signer.public_key.keyid


def test_a_token_alone_tells_its_public_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CentralError, match="give --public"):
        holder.device_key("awskms:x", never)
    monkeypatch.delenv("PYKCS11LIB", raising=False)
    with pytest.raises(CentralError, match="PYKCS11LIB environment variable must be set"):
        holder.device_key("hsm:2?label=x", lambda: b"1234")
