"""`make demo` as a user ends it, kills it, or starts it where it cannot be."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.demo.place import ROOT
from deploy.demo.ports import ADDRESS, Ports
from deploy.demo.processes import marked
from deploy.demo.verdicts import get
from tests.support.demo import END_SECONDS, UP_SECONDS, command, left
from tests.support.ports import free_base

pytestmark = pytest.mark.timeout(240)


def until(what: str, condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@contextlib.contextmanager
def running(folder: Path, base: int) -> Iterator[subprocess.Popen[bytes]]:
    """A demo that is up, and is ended whatever happens."""
    log = folder.with_name("shown")
    with log.open("wb") as shown:
        demo = subprocess.Popen(command(folder, base), stdout=shown, stderr=shown, start_new_session=True, cwd=ROOT)
    try:
        until("the demo to be up", lambda: "Try" in log.read_text() or demo.poll() is not None, UP_SECONDS)
        assert demo.poll() is None, log.read_text()
        yield demo
    finally:
        if demo.poll() is None:
            demo.terminate()
            demo.wait(END_SECONDS)


def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    folder, ports = tmp_path / "demo", Ports(free_base())
    with running(folder, ports.base) as demo:
        page = get(ports.console, "/")
        assert page is not None
        assert "Doanh nghiệp A" in page.decode()
        assert all(get(port, "/metrics") for port in ports.metrics.values())
        assert len(marked(str(folder))) >= 11
        # A terminal sends it to the whole foreground group, in which the demo is alone.
        os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(END_SECONDS) == 0
    assert left(folder) == []


def test_a_demo_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with running(folder, free_base()) as demo:
        demo.kill()
        demo.wait(END_SECONDS)
        until("every process to end", lambda: not left(folder), END_SECONDS)


def refused(folder: Path, base: int) -> str:
    """What a demo says that does not begin."""
    ended = subprocess.run(
        command(folder, base, "--check"), check=False, capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert ended.returncode == 2
    assert not folder.exists()
    return ended.stdout


def test_a_busy_port_is_said_before_anything_starts(tmp_path: Path) -> None:
    ports = Ports(free_base())
    with socket.create_server((ADDRESS, ports.operator_b)):
        said = refused(tmp_path / "demo", ports.base)
    assert f"port {ports.operator_b}/tcp on 127.0.0.1: in use (wanted by operator B's resolver)" in said
    assert "PORT_BASE=" in said


def test_a_second_demo_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another demo is running there" in refused(tmp_path / "demo", free_base())
