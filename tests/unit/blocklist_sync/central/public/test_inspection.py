from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from typer.testing import CliRunner

from blocklist_sync.central.cli import app
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.public import inspection
from tests.support.list_authority import ListAuthority


def pem(key: X25519PrivateKey | Ed25519PrivateKey, path: Path) -> tuple[Path, Path]:
    """Private and public half as files."""
    private, public = path.with_suffix(".pem"), path.with_suffix(".pub.pem")
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


@pytest.mark.parametrize("size", [0, 1, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, 200_000])
def test_what_is_encrypted_is_read_by_its_recipient_alone(tmp_path: Path, size: int) -> None:
    own, text = X25519PrivateKey.generate(), bytes(range(256)) * (size // 256 + 1)
    pieces = [text[:size][at : at + 1000] for at in range(0, size, 1000)]
    path = tmp_path / "list"
    path.write_bytes(b"".join(inspection.encrypt(iter(pieces), own.public_key())))
    assert b"".join(inspection.decrypt(path, own)) == text[:size]
    with pytest.raises(CentralError, match="another reader's"):
        list(inspection.decrypt(path, X25519PrivateKey.generate()))
    data = path.read_bytes()
    for damaged in (data[:-1], data[:-30] + data[-29:], data + b"x"):
        path.write_bytes(damaged)
        with pytest.raises(CentralError, match="changed, or cut short"):
            list(inspection.decrypt(path, own))


def test_a_file_that_ends_at_a_block_was_cut(tmp_path: Path) -> None:
    own = X25519PrivateKey.generate()
    data = b"".join(inspection.encrypt(iter([bytes(200_000)]), own.public_key()))
    path = tmp_path / "list"
    path.write_bytes(data[: 40 + (1 << 16) + 16])
    with pytest.raises(CentralError, match="cut short"):
        list(inspection.decrypt(path, own))
    path.write_bytes(b"other")
    with pytest.raises(CentralError, match="not an encrypted list"):
        list(inspection.decrypt(path, own))


def test_an_inspector_gets_the_list_and_holds_it_against_what_was_published(tmp_path: Path) -> None:
    authority = ListAuthority(tmp_path / "authority")
    authority.publish("bad.example", "worse.example")
    private, public = pem(X25519PrivateKey.generate(), tmp_path / "inspector")
    release, out = authority.release.folder, tmp_path / "export"

    def run(*words: object) -> str:
        result = CliRunner().invoke(app, list(map(str, words)))
        if result.exception is not None:
            raise result.exception
        return str(result.stdout)

    said = ("--person", "an", "--purpose", "yearly inspection")
    run("export", "--release", release, "--out", out, *said, "--recipient", public, "--json")
    assert b"bad.example" not in out.read_bytes()
    commitments = authority.repository / "public" / "1.commitments"
    clear = tmp_path / "clear"
    told = run("inspect", out, "--key", private, "--commitments", commitments, "--out", clear, "--json")
    assert json.loads(told)["entries"] == 2
    assert b"bad.example" in clear.read_bytes()
    run("export", "--release", release, "--out", tmp_path / "plain", *said, "--in-the-clear")
    assert (tmp_path / "plain").read_bytes() == clear.read_bytes()
    # Both were noted, each line holding the one before.
    notes = (release / "access.jsonl").read_bytes().splitlines()
    assert [json.loads(note)["recipient"] != "" for note in notes] == [True, False]
    assert json.loads(notes[1])["previous"] == hashlib.sha256(notes[0]).hexdigest()

    authority.publish("bad.example", "third.example")
    later = authority.repository / "public" / "2.commitments"
    with pytest.raises(CentralError, match="is not committed to"):
        run("inspect", out, "--key", private, "--commitments", later)
    commitments.write_bytes(commitments.read_bytes() + bytes(32))
    with pytest.raises(CentralError, match="1 commitments of the release have no entry"):
        run("inspect", out, "--key", private, "--commitments", commitments)
    with pytest.raises(CentralError, match="--recipient, or say --in-the-clear"):
        run("export", "--release", release, "--out", out, *said)
    _, other = pem(Ed25519PrivateKey.generate(), tmp_path / "other")
    with pytest.raises(CentralError, match="not an X25519 key"):
        run("export", "--release", release, "--out", out, *said, "--recipient", other)
    with pytest.raises(CentralError, match="nothing was published"):
        run("export", "--release", tmp_path / "new", "--out", out, *said, "--in-the-clear")


def test_lines_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "commitments"
    path.write_bytes(b"")
    with pytest.raises(CentralError, match="entry 1: malformed"):
        inspection.check(iter([b"zz\tline\n"]), path)
    with pytest.raises(CentralError, match="ends inside a line"):
        inspection.check(iter([b"00\tline"]), path)
    path.write_text("no key")
    with pytest.raises(CentralError, match="not a public key in PEM form"):
        inspection.recipient(path)
