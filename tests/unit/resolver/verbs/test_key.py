from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compliance_api.ledger.outside import parse_parties
from lachan.signing import SigningKey
from resolver.cli import app
from tests.unit.resolver.test_settings import LEAST


def test_the_line_is_one_that_the_verifier_takes(tmp_path: Path) -> None:
    config = tmp_path / "edge.yaml"
    config.write_text(LEAST + "state_dir: state\n")
    state = tmp_path / "state"
    state.mkdir()
    own = SigningKey.generate()
    own.save(state / "node.key")
    runner = CliRunner()
    told = runner.invoke(app, ["key", "--config", str(config)]).stdout
    assert parse_parties(told.encode(), "told") == {"lachan://isp-a/node/edge-1": frozenset({own.public.raw})}
    as_json = json.loads(runner.invoke(app, ["key", "--config", str(config), "--json"]).stdout)
    assert as_json == {"node": "lachan://isp-a/node/edge-1", "key": own.public.raw.hex()}


def test_a_node_without_a_key_says_so(tmp_path: Path) -> None:
    config = tmp_path / "edge.yaml"
    config.write_text(LEAST + "state_dir: state\n")
    failed = CliRunner().invoke(app, ["key", "--config", str(config)])
    assert failed.exit_code != 0
    with pytest.raises(Exception, match=r"node\.key"):
        raise failed.exception or AssertionError
