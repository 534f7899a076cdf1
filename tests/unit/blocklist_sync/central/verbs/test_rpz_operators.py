"""The verb: keys drawn once, and told by name alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from blocklist_sync.central.cli import app

FILE = {
    "storage": "zones",
    "keys": "tsig",
    "zones": [{"origin": "lachan.rpz.so.example", "file": "lachan.zone"}],
    "operators": [{"name": "isp-a", "zones": ["lachan.rpz.so.example"], "addresses": ["192.0.2.53/32"]}],
}


def run(folder: Path, *options: str) -> tuple[str, list[dict[str, Any]]]:
    config = folder / "operators.yaml"
    config.write_text(json.dumps(FILE))
    arguments = ["rpz-operators", "--config", str(config), "--out", str(folder / "knot.conf"), *options]
    ended = CliRunner().invoke(app, arguments)
    if ended.exception is not None:
        raise ended.exception
    return ended.output, json.loads(ended.stdout)["keys"] if "--json" in options else []


def test_a_key_is_drawn_once_and_stands_in_files_alone(tmp_path: Path) -> None:
    shown, (row,) = run(tmp_path, "--json")
    assert (row["operator"], row["key"], row["drawn"]) == ("isp-a", "isp-a-1", True)
    secret = Path(row["file"]).read_text().split('"')[3]
    assert secret in (tmp_path / "knot.conf").read_text()
    assert (tmp_path / "knot.conf").stat().st_mode & 0o777 == 0o640
    again, (row,) = run(tmp_path, "--json")
    assert row["drawn"] is False
    assert secret not in shown + again + run(tmp_path)[0]


@pytest.mark.parametrize("command", ["/nowhere/knotc reload"])
def test_knot_that_cannot_be_told_is_said(tmp_path: Path, command: str) -> None:
    with pytest.raises(Exception, match="the file is written, but"):
        run(tmp_path, "--reload", command)
