from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compliance_api.cli import app
from compliance_api.verbs.calling import ending
from tests.support import foreign
from tests.support.edge import free_port


def test_who_renews_in_time_is_told_nothing() -> None:
    assert ending(end=1000, due=700, now=699) is None
    assert "ends at 1970-01-01 00:16 UTC" in str(ending(end=1000, due=700, now=700))
    assert "only a new token" in str(ending(end=1000, due=700, now=1000))


@pytest.mark.parametrize(("days", "told"), [(1000, ""), (25, "person renew"), (19, "only a new token")])
def test_whoever_acts_is_told_of_their_certificates_end(tmp_path: Path, days: int, told: str) -> None:
    theirs = foreign.root("theirs")
    begins = datetime.now(UTC) - timedelta(days=20)
    leaf = theirs.leaf("lachan://a/person/an", begins=begins, days=days)
    for name, pem in (("ca", theirs.pem), ("certificate", leaf.pem), ("key", leaf.key_pem)):
        (tmp_path / f"{name}.pem").write_bytes(pem)
    (tmp_path / "key.pem").chmod(0o600)
    words = ["enrolment", "list", "--service", f"127.0.0.1:{free_port()}", "--as", str(tmp_path)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code != 0
    assert (told in done.stderr) if told else done.stderr == ""
