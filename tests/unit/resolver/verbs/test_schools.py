from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from resolver.cli import app
from resolver.errors import ResolverError

SUMS = {
    "day": "2026-03-02",
    "schools": {
        "a": {"clients": 30, "queries": 500, "blocked": {"gambling": 4, "protected": 0}},
        "b": {"clients": "few"},
    },
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    kept = tmp_path / "state" / "schools"
    kept.mkdir(parents=True)
    (kept / "2026-03-02.json").write_text(json.dumps(SUMS))
    (kept / "2026-03-01.json").write_text(json.dumps({"day": "2026-03-01", "schools": {}}))
    made = tmp_path / "edge.yaml"
    made.write_text(
        "organisation: a\nnode: edge-1\nstate_dir: state\nruntime_dir: run\nlisten: [{address: 127.0.0.1}]\n"
        "upstreams: [{address: 192.0.2.53}]\nblocklist: {snapshot: rules.snapshot}\n"
        "schools: [{name: a, networks: [198.51.100.0/24]}, {name: b, networks: [203.0.113.0/24]}]\n"
    )
    return made


def run(config: Path, *words: str) -> str:
    result = CliRunner().invoke(app, ["schools", "--config", str(config), *words], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_the_newest_day_is_shown_for_people_and_for_programs(config: Path) -> None:
    shown = run(config)
    assert "2026-03-02" in shown
    assert "gambling 4" in shown
    assert "protected" not in shown, "what did not happen is not listed"
    assert "few" in shown
    assert json.loads(run(config, "--json")) == SUMS
    assert json.loads(run(config, "--json", "--school", "b"))["schools"] == {"b": {"clients": "few"}}
    assert json.loads(run(config, "--json", "--day", "2026-03-01"))["schools"] == {}


@pytest.mark.parametrize(
    "words",
    [("--day", "2026-02-30"), ("--day", "2026-03-09"), ("--school", "c")],
    ids=["no day", "not kept", "unknown"],
)
def test_what_is_not_there_is_said(config: Path, words: tuple[str, str]) -> None:
    with pytest.raises(ResolverError, match=words[1]):
        run(config, *words)
