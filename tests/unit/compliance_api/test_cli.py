from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from compliance_api.cli import app, main
from lachan.signing import SigningKey, VerifyKey
from lachan.tls import identity_of


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
