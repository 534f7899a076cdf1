from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compliance_api.cli import app, main
from compliance_api.ledger import pack
from lachan.ledger.leaf import Kind
from lachan.ledger.note import NoteKey
from lachan.signing import SigningKey, VerifyKey
from lachan.tls import identity_of
from tests.support.ledger import Book, Parties


def run(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_an_authority_issues_a_certificate(tmp_path: Path) -> None:
    run("ca", "init", "--out", str(tmp_path / "ca"))
    names = ["--dns", "edge.example", "--ip", "192.0.2.1", "--ip", "::1"]
    out = run(
        "ca", "issue", "--ca", str(tmp_path / "ca"), "--uri", "lachan://a/node/e", *names, "--out", str(tmp_path / "e")
    )
    assert Path(out.strip()) == tmp_path / "e" / "certificate.pem"
    assert str(identity_of((tmp_path / "e" / "certificate.pem").read_bytes())) == "lachan://a/node/e"


def test_a_key_is_made_with_its_public_half_beside_it(tmp_path: Path) -> None:
    run("key", "--out", str(tmp_path / "receipt.pem"))
    key = SigningKey.load(tmp_path / "receipt.pem")
    assert VerifyKey.load(tmp_path / "receipt.pub.pem").key_id == key.public.key_id


def test_the_log_s_key_is_told_as_policies_name_it(tmp_path: Path) -> None:
    SigningKey.generate().save(tmp_path / "log.pem")
    told = run("ledger", "key", "--origin", "log.example/ledger", "--key", str(tmp_path / "log.pem"))
    known = NoteKey.parse(told.strip())
    assert (known.name, known.key.raw) == ("log.example/ledger", SigningKey.load(tmp_path / "log.pem").public.raw)


def test_a_wrong_configuration_ends_with_its_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "compliance.yaml"
    config.write_text("listen: 127.0.0.1:0\nsurprise: 1\n")
    monkeypatch.setattr("sys.argv", ["lachan-compliance", "serve", "--config", str(config)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert f"{config}:2: surprise" in said
    assert "receipt_key" in said


def test_a_pack_is_verified_and_what_is_wrong_is_named(tmp_path: Path) -> None:
    book = Book(Parties())
    for number in range(5):
        book.enter(Kind.OBSERVATION, b"observation %d" % number)
    pack.write(tmp_path / "pack", book.files([1, 2, 3], [2, 5]).items())
    (tmp_path / "keys").write_text(book.parties.policy_text)
    (tmp_path / "pinned").write_bytes(book.head(2).encode())
    words = ["verify", str(tmp_path / "pack"), "--keys", str(tmp_path / "keys"), "--pinned", str(tmp_path / "pinned")]
    out = run(*words)
    assert "log.example/ledger: 5 leaves, cosigned by w1, w2" in out
    assert "holds: 3 leaves opened, 0 by their commitments alone" in out
    assert json.loads(run(*words, "--json"))["cosigned"].keys() == {"w1", "w2"}
    (tmp_path / "pack" / pack.content_name(2)).write_bytes(b"observation 9")
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert "ledger/leaves/2.content: file: was changed" in result.output
    assert "ledger/leaves/2.json: edited: this observation is not what was committed to" in result.output
    assert "DOES NOT HOLD: 2 leaves opened" in result.output
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).output)
    assert not told["holds"]
    assert [one["flaw"] for one in told["problems"]] == ["file", "edited"]
