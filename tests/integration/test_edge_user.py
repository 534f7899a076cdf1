"""An edge started by root that becomes another user: supervisor and workers, and those that take a worker's place."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo.upstream import upstream
from lachan.message import NXDOMAIN
from tests.support.blocklist import built, entry
from tests.support.edge import running, until

USER = "nobody"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the user can reach, unlike pytest's own."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    program = [sys.executable, "-c", "import resolver.worker"]
    if subprocess.run(program, user=USER, cwd="/", capture_output=True, check=False).returncode != 0:
        pytest.skip(f"{USER} cannot read this checkout")
    folder = Path(tempfile.mkdtemp(prefix="lachan-user-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def facts(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    told = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return {key: told[key] for key in ("Uid", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Umask")}


async def test_everything_runs_as_the_user_once_sockets_are_bound(place: Path) -> None:
    (place / "rules.snapshot").write_bytes(built(entry("bad.example")))
    (place / "rules.snapshot").chmod(0o644)
    uid = str(pwd.getpwnam(USER).pw_uid)
    none = "0" * 16
    wanted = {"Uid": "\t".join([uid] * 4), "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none,
              "NoNewPrivs": "1", "Umask": "0077"}  # fmt: skip
    blocklist = {"snapshot": "rules.snapshot"}
    async with upstream() as port, running(place, [port], blocklist=blocklist, user=USER) as edge:
        assert edge.process is not None
        [first] = edge.workers()
        assert [facts(pid) for pid in (edge.process.pid, first)] == [wanted, wanted]
        assert (await edge.ask("bad.example")).rcode == NXDOMAIN
        # Who takes its place can do no more than it could.
        os.kill(first, signal.SIGKILL)
        [second] = await until(lambda: edge.workers() not in ([], [first]) and edge.workers(), "another one serves")
        assert facts(second) == wanted
        # The next supervisor, root again at first, finds what this one left.
        edge.kill()
        await edge.start()
        assert edge.workers() == [second]
        assert facts(edge.process.pid) == wanted
        assert (await edge.ask("bad.example")).rcode == NXDOMAIN
        assert {path.stat().st_uid for path in (edge.runtime, place / "state", *edge.runtime.iterdir())} == {int(uid)}
