from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "deploy" / "preflight.sh"


def run(folder: Path, programs: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs the script where these programs are all there is; each is a line of shell."""
    for name, line in programs.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
    return subprocess.run(
        ["/bin/sh", str(SCRIPT)], env={"PATH": str(folder)}, check=False, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("lacking", "packages"),
    [
        ("python3", "python3 python3-venv python3-dev"),
        ("gcc", "gcc"),
        ("setpriv", "util-linux"),
    ],
)
def test_what_is_missing_is_named_with_its_apt_line(tmp_path: Path, lacking: str, packages: str) -> None:
    programs = {"python3": "exit 0", "gcc": "exit 0", "setpriv": "exit 0"}
    del programs[lacking]
    ended = run(tmp_path, programs)
    assert ended.returncode == 1
    assert ended.stderr == f"missing: {packages}\n  sudo apt-get install {packages}\n"


@pytest.mark.parametrize(("part", "package"), [("ensurepip", "python3-venv"), ("Python.h", "python3-dev")])
def test_a_python_without_its_parts_is_noticed(tmp_path: Path, part: str, package: str) -> None:
    python = f'case "$2" in *{part}*) exit 1;; esac'
    ended = run(tmp_path, {"python3": python, "gcc": "exit 0", "setpriv": "exit 0"})
    assert ended.stderr.endswith(f"sudo apt-get install {package}\n")


def test_an_old_python_is_said_to_be_old(tmp_path: Path) -> None:
    python = 'case "$2" in *version_info*) exit 1;; esac'
    ended = run(tmp_path, {"python3": python, "gcc": "exit 0", "setpriv": "exit 0"})
    assert ended.returncode == 1
    assert "older than Python 3.11" in ended.stderr


def test_nothing_is_said_where_nothing_is_missing(tmp_path: Path) -> None:
    ended = run(tmp_path, {"python3": "exit 0", "gcc": "exit 0", "setpriv": "exit 0"})
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
