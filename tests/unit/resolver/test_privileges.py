"""Who a process may become, and that mistakes are told in a sentence."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from resolver.privileges import PrivilegeError, account, give

PROGRAM = """
import json, os, resource, sys
from resolver import privileges
privileges.raise_descriptors(int(sys.argv[2]))
privileges.drop(sys.argv[1] or None)
lines = open("/proc/self/status").read().splitlines()
told = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
told["files"] = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
told["core"] = resource.getrlimit(resource.RLIMIT_CORE)
try:
    os.setuid(0)
    told["back"] = os.geteuid() == 0
except PermissionError:
    told["back"] = False
print(json.dumps(told))
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def dropped(user: str, files: int = 64) -> dict[str, str]:
    arguments = [sys.executable, "-c", PROGRAM, user, str(files)]
    lines = subprocess.check_output(arguments, text=True, timeout=30).splitlines()
    told: dict[str, str] = json.loads(lines[-1])
    return told


@as_root
def test_root_becomes_the_user_with_nothing_left() -> None:
    nobody = pwd.getpwnam("nobody")
    told = dropped("nobody")
    assert set(told["Uid"].split()) == {str(nobody.pw_uid)}
    assert set(told["Gid"].split()) == {str(nobody.pw_gid)}
    assert set(told["Groups"].split()) <= {str(nobody.pw_gid)}
    assert {told[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert (told["NoNewPrivs"], told["Umask"], told["back"]) == ("1", "0077", False)


def test_whoever_it_is_gains_nothing_more() -> None:
    told = dropped("")
    assert (told["NoNewPrivs"], told["Umask"]) == ("1", "0077")
    assert set(told["Uid"].split()) == {str(os.getuid())}
    # A core would hold what clients ask.
    assert told["core"] == [0, 0]


def test_descriptors_are_raised_as_far_as_the_machine_lets_it() -> None:
    assert int(dropped("", 300)["files"]) >= 300
    # More than any machine allows: as many as there are.
    assert int(dropped("", 1 << 31)["files"]) >= 300


def test_a_user_that_cannot_be_become_is_told() -> None:
    with pytest.raises(PrivilegeError, match="there is no user 'nobody-here'"):
        account("nobody-here")
    with pytest.raises(PrivilegeError, match="root is what is to be given up"):
        account("root")


def test_only_root_can_become_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 4242)
    with pytest.raises(PrivilegeError, match="only root can become 'nobody'; this process runs as user 4242"):
        account("nobody")


@as_root
def test_what_root_has_made_is_given_away(tmp_path: Path) -> None:
    made = tmp_path / "state"
    made.mkdir()
    give([made], "nobody")
    assert made.stat().st_uid == pwd.getpwnam("nobody").pw_uid
    give([tmp_path], None)
    assert tmp_path.stat().st_uid == 0
    with pytest.raises(PrivilegeError, match="missing"):
        give([tmp_path / "missing"], "nobody")
