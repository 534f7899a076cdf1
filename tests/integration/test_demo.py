"""`make demo CHECK=1` as a user runs it: the real processes, both modes, and nothing left behind."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from deploy.demo.place import ROOT
from tests.support.demo import END_SECONDS, UP_SECONDS, command, left
from tests.support.ports import free_base

VERDICT_SECONDS = 60

pytestmark = pytest.mark.timeout(240)


@pytest.mark.parametrize("cheat", ["stale", "none"])
def test_the_verdicts_are_right(tmp_path: Path, cheat: str) -> None:
    folder = tmp_path / "demo"
    ended = subprocess.run(
        command(folder, free_base(), "--check", "--cheat", cheat),
        check=False, capture_output=True, text=True, timeout=UP_SECONDS + 90 + END_SECONDS, cwd=ROOT,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    operators = json.loads(ended.stdout.splitlines()[-1])["operators"]
    assert operators["a"] == {"verdict": "compliant", "findings": []}
    if cheat == "none":
        assert operators["b"] == {"verdict": "compliant", "findings": []}
    else:
        assert operators["b"]["verdict"] == "not_compliant"
        assert {"stale_list", "under_blocking", "counter_mismatch"} <= set(operators["b"]["findings"])
    # The first verdict on each; further reasons may come behind it.
    verdicts = re.findall(r"^ *(\d+) s  Operator (\w)  (?:not )?compliant", ended.stdout, re.MULTILINE)
    reached = {operator: int(seconds) for seconds, operator in reversed(verdicts)}
    assert set(reached) == {"A", "B"}
    assert max(reached.values()) <= VERDICT_SECONDS
    assert left(folder) == []
