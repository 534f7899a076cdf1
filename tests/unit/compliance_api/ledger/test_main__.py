from __future__ import annotations

from pathlib import Path

import pytest

from compliance_api.ledger import __main__ as alone
from compliance_api.ledger import pack
from lachan.ledger.leaf import Kind
from tests.support.ledger import Book, Parties


def test_it_says_what_holds_and_what_does_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parties = Parties()
    book = Book(parties)
    book.enter(Kind.REPORT, b"report")
    pack.write(tmp_path / "pack", book.files([0], [1]).items())
    (tmp_path / "keys").write_text(parties.policy_text)
    words = [str(tmp_path / "pack"), "--keys", str(tmp_path / "keys")]
    assert alone.main(words) == 0
    assert capsys.readouterr().out.endswith("holds: 1 leaves opened, 0 by their commitments alone\n")
    (tmp_path / "pack" / pack.content_name(0)).write_bytes(b"another")
    assert alone.main(words) == 1
    assert "DOES NOT HOLD" in capsys.readouterr().out
    (tmp_path / "keys").unlink()
    assert alone.main(words) == 2
