"""Every input that was kept runs over the build that ships: those that once broke something break nothing any more.

Each target runs in a process of its own, which says the input before it takes it: what ends the process is named.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import corpus
from tests.fuzz.targets import COMPILED, GUIDED, PURE

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 90


@pytest.mark.parametrize("target", [*COMPILED, *GUIDED, *PURE])
def test_the_corpus_breaks_nothing(target: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--replay", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    ran = result.stdout.splitlines()
    assert result.returncode == 0, f"{ran[-1:]}\n{result.stderr[-2000:]}"
    assert len(ran) == len(corpus.seeds(target)) > 0


def test_a_file_of_the_corpus_reads_as_it_was_written() -> None:
    for data in (b"", b"\0", bytes(range(256)) * 3):
        assert corpus.decode(corpus.encode(data, "anything")) == data
    for path in corpus.FOLDER.rglob("*.hex"):
        first, *_ = path.read_text().splitlines()
        assert first.startswith("# "), path
