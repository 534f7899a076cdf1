"""The locks hold what the packages ask for: every direct dependency, at a version that fits, with hashes alone.

Holds always: what imports here imports on a machine that was installed from its lock; a lock names no place to install
from, so that the hash decides (docs/adr/0011-locked-dependencies.md).
"""

from __future__ import annotations

import re
import tomllib
from pathlib import PurePosixPath

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.tree import text

PROJECT = tomllib.loads(text(PurePosixPath("pyproject.toml")))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
# Each lock with the extras that it was resolved for, as `make lock` says.
LOCKS = {"edge": [], "central": ["central"], "dev": [*EXTRAS]}

PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)( ; .+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def pinned(lock: str) -> dict[str, str]:
    lines = text(PurePosixPath(f"lock/{lock}.txt")).splitlines()
    return {canonicalize_name(match[1]): match[2] for line in lines if (match := PINNED.match(line))}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_direct_dependency_is_locked_at_a_version_that_fits(lock: str) -> None:
    wanted = [*PROJECT["dependencies"], *(line for extra in LOCKS[lock] for line in EXTRAS[extra])]
    have = pinned(lock)
    unfit = []
    for requirement in map(Requirement, wanted):
        version = have.get(canonicalize_name(requirement.name))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            unfit.append(f"{requirement}: {version or 'not locked'}")
    assert unfit == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_version_has_its_hashes_and_nothing_else_stands_there(lock: str) -> None:
    lines = [line for line in text(PurePosixPath(f"lock/{lock}.txt")).splitlines() if not re.match(r"\s*(#|$)", line)]
    assert [line for line in lines if not PINNED.match(line) and not HASH.match(line)] == []
    unhashed = [
        line
        for line, after in zip(lines, [*lines[1:], ""], strict=True)
        if PINNED.match(line) and not HASH.match(after)
    ]
    assert unhashed == []


def test_the_locks_agree_with_one_another() -> None:
    everything = pinned("dev")
    apart = [
        f"{lock}: {name}=={version}, dev: {everything.get(name)}"
        for lock in ("edge", "central")
        for name, version in pinned(lock).items()
        if everything.get(name) != version
    ]
    assert apart == []
