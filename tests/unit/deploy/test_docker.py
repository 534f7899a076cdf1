"""The Dockerfiles name what exists, run as nobody special, and their locks hold all that a role imports."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "deploy" / "docker"
# What each role's process imports, and the lock it is installed from.
ROLES = {
    "resolver": ("edge", ["resolver.cli", "resolver.supervisor", "resolver.worker", "resolver.explain"]),
    "probe": ("edge", ["compliance_api.probe.cli", "compliance_api.probe.agent", "compliance_api.probe.uplink"]),
    "blocklist": ("central", ["blocklist_sync.central.cli", "blocklist_sync.central.serving.server"]),
    "compliance": ("central", ["compliance_api.cli", "compliance_api.app"]),
}


def instructions(role: str) -> list[tuple[str, str]]:
    text = (DOCKER / f"{role}.Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def test_there_is_one_for_each_role() -> None:
    assert {path.name for path in DOCKER.iterdir()} == {f"{role}.Dockerfile" for role in ROLES}


@pytest.mark.parametrize("role", ROLES)
def test_what_is_copied_exists(role: str) -> None:
    copied = [rest.split()[:-1] for word, rest in instructions(role) if word == "COPY" and "--from" not in rest]
    assert copied
    assert [name for names in copied for name in names if not (ROOT / name).exists()] == []
    for lock in re.findall(r"lock/\w+\.txt", (DOCKER / f"{role}.Dockerfile").read_text()):
        assert (ROOT / lock).exists()


@pytest.mark.parametrize("role", ROLES)
def test_everything_is_installed_by_its_hash(role: str) -> None:
    commands = " ".join(rest for word, rest in instructions(role) if word == "RUN")
    for install in re.findall(r"pip install ([^&]*)", commands):
        assert "--require-hashes" in install or "--no-index" in install
    assert f"lock/{ROLES[role][0]}.txt" in commands


@pytest.mark.parametrize("role", ROLES)
def test_it_runs_as_nobody_special_and_tells_its_health(role: str) -> None:
    last = dict(instructions(role))
    stages = [rest for word, rest in instructions(role) if word == "FROM"]
    assert [stage.split()[0] for stage in stages] == ["python:3.11-slim-bookworm"] * 2
    assert last["USER"] == "lachan"
    assert "CMD" in last["HEALTHCHECK"]
    assert json.loads(last["ENTRYPOINT"])[0] == f"lachan-{role}"


@pytest.mark.parametrize("role", ROLES)
def test_the_configuration_is_the_one_that_an_example_shows(role: str) -> None:
    command = json.loads(dict(instructions(role))["ENTRYPOINT"])
    path = Path(command[command.index("--config") + 1])
    assert path.parent == Path("/etc/lachan")
    assert (ROOT / "deploy" / "examples" / path.name).exists()


def test_the_tools_that_build_are_found_in_the_lock() -> None:
    script = re.search(r"awk '([^']*)'", (DOCKER / "resolver.Dockerfile").read_text())
    assert script is not None
    found = subprocess.run(
        ["awk", script[1], str(ROOT / "lock" / "dev.txt")], check=True, capture_output=True, text=True
    ).stdout
    assert [line.partition("==")[0] for line in found.splitlines() if "==" in line] == ["cython", "setuptools"]
    assert found.count("--hash=") >= 4


OWNERS = """
    import importlib, importlib.metadata, json, sys
    for name in sys.argv[1:]:
        importlib.import_module(name)
    owners = {}
    for distribution in importlib.metadata.distributions():
        for file in distribution.files or ():
            owners[str(distribution.locate_file(file))] = distribution.metadata["Name"]
    loaded = {owners.get(getattr(module, "__file__", None) or "") for module in sys.modules.values()}
    print(json.dumps(sorted(name.lower().replace("_", "-") for name in loaded - {None})))
"""
# grpcio, structlog and SciPy look for them, use them where they are there, and miss nothing where they are not.
OPTIONAL = {"lachan", "setuptools", "grpcio-tools", "grpcio-reflection", "greenlet", "cython"}


@pytest.mark.parametrize("lock", ["edge", "central"])
def test_roles_import_nothing_that_their_lock_lacks(lock: str) -> None:
    modules = [module for which, names in ROLES.values() if which == lock for module in names]
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "lock" / f"{lock}.txt").read_text(), re.MULTILINE))
    loaded = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(OWNERS), *modules], check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout
    assert [name for name in json.loads(loaded) if name not in locked | OPTIONAL] == []
