"""The embedded server: as this user, as another one, after kill -9, and side by side."""

from __future__ import annotations

import asyncio
import os
import pwd
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from lachan import postgres
from lachan.postgres import DatabaseSettings, PostgresError

ROOT = Path(__file__).parents[2]
HOLD = """
import asyncio, sys
from pathlib import Path
from lachan import postgres
settings = postgres.DatabaseSettings(embedded=Path(sys.argv[1]))
with postgres.database(settings, "held") as url:
    print("ready", flush=True)
    sys.stdin.read()
"""


def settings(folder: Path) -> DatabaseSettings:
    return DatabaseSettings(embedded=folder)


def ask(url: postgres.URL, question: str) -> str:
    async def run() -> str:
        engine = postgres.engine(url, 2, "test")
        try:
            async with engine.begin() as connection:
                return str((await connection.execute(text(question))).scalar())
        finally:
            await engine.dispose()

    return asyncio.run(run())


def postmaster(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])


def runs(pid: int, folder: Path) -> bool:
    try:
        return os.fsencode(folder / "data") in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def wait_for_end(pid: int, folder: Path) -> None:
    deadline = time.monotonic() + 30
    while runs(pid, folder):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def hold(folder: Path, *prefix: str) -> subprocess.Popen[str]:
    """Another process that owns the server on `folder` until its input ends."""
    process = subprocess.Popen(
        [*prefix, sys.executable, "-B", "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def release(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    assert process.wait(30) == 0
    process.stdout.close()


def test_it_keeps_its_data_and_listens_on_no_network(tmp_path: Path) -> None:
    with postgres.database(settings(tmp_path), "one") as url:
        ask(url, "WITH made AS (SELECT lo_from_bytea(42, 'kept')) SELECT 1 FROM made")
    with postgres.database(settings(tmp_path), "one") as url:
        pid = postmaster(tmp_path)
        assert ask(url, "SELECT convert_from(lo_get(42), 'UTF8')") == "kept"
        assert ask(url, "SELECT current_setting('listen_addresses')") == ""
        assert ask(url, "SELECT current_setting('TimeZone')") == "UTC"
        assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700
        assert Path(f"/proc/{pid}").stat().st_uid != 0, "never root"
    wait_for_end(pid, tmp_path)


def test_a_path_too_long_for_a_socket_gets_a_short_one(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 25)
    with postgres.database(settings(folder), "one") as url:
        sockets = Path(str(url.query["host"]))
        assert sockets.parent == Path(tempfile.gettempdir())
        assert ask(url, "SELECT 1") == "1"
    assert not sockets.exists()


def test_a_second_process_uses_the_server_of_the_first(tmp_path: Path) -> None:
    owner = hold(tmp_path)
    pid = postmaster(tmp_path)
    with postgres.database(settings(tmp_path), "held") as url:
        assert postmaster(tmp_path) == pid
        assert ask(url, "SELECT current_database()") == "held"
    assert runs(pid, tmp_path), "it belongs to the first"
    release(owner)
    wait_for_end(pid, tmp_path)


def test_it_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    owner = hold(tmp_path)
    pid = postmaster(tmp_path)
    owner.kill()
    owner.communicate()
    # Started at once, while the old one may still be on its way out.
    with postgres.database(settings(tmp_path), "held") as url:
        assert postmaster(tmp_path) != pid
        assert ask(url, "SELECT 1") == "1"
    wait_for_end(pid, tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_runs_it_as_themselves() -> None:
    nobody = pwd.getpwnam("nobody")
    # pytest's own folders are closed to others.
    with tempfile.TemporaryDirectory(prefix="lachan-") as outer:
        os.chown(outer, nobody.pw_uid, nobody.pw_gid)
        folder = Path(outer) / "db"
        prefix = ("setpriv", "--reuid", str(nobody.pw_uid), "--regid", str(nobody.pw_gid), "--clear-groups")
        if subprocess.run([*prefix, sys.executable, "-c", ""], cwd="/", check=False, capture_output=True).returncode:
            pytest.skip("this checkout is closed to other users")
        owner = hold(folder, *prefix)
        pid = postmaster(folder)
        assert Path(f"/proc/{pid}").stat().st_uid == nobody.pw_uid
        effective = next(
            line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("CapEff")
        )
        assert int(effective.split()[1], 16) == 0
        release(owner)
        wait_for_end(pid, folder)


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with postgres.database(settings(tmp_path), "one"):
        pass
    (tmp_path / "data" / "postgresql.conf").write_text("nonsense = 1\n")
    with pytest.raises(PostgresError, match="nonsense"), postgres.database(settings(tmp_path), "one"):
        pass
