"""A seat is one process's, however that process was started and however it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from resolver.control import ControlError
from resolver.seats import SeatError, ask_any, sit, sitting, used

SITTER = """
import pathlib, sys
from resolver.seats import sit
with sit(pathlib.Path(sys.argv[1]), 2):
    print("sits", flush=True)
    input()
"""


def test_a_seat_is_taken_until_its_file_is_closed(tmp_path: Path) -> None:
    assert sitting(tmp_path, 0) is None
    with sit(tmp_path, 0):
        assert sitting(tmp_path, 0) == os.getpid()
        with pytest.raises(SeatError, match=r"worker-0\.lock: another process has this seat"):
            sit(tmp_path, 0)
        with sit(tmp_path, 1):
            assert used(tmp_path) == [0, 1]
    assert sitting(tmp_path, 0) is None
    with sit(tmp_path, 0):
        assert sitting(tmp_path, 0) == os.getpid()


def test_who_is_stopped_still_sits_there_and_who_is_killed_does_not(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", SITTER, str(tmp_path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"sits\n"
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        assert sitting(tmp_path, 2) == process.pid
        process.kill()
        process.wait()
    assert sitting(tmp_path, 2) is None


def test_who_does_not_say_who_it_is_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolver.seats.NAMING_SECONDS", 0.05)
    with sit(tmp_path, 0) as file:
        file.truncate(0)
        with pytest.raises(SeatError, match="does not say who"):
            sitting(tmp_path, 0)


def test_asking_any_worker_where_none_is_tells_where(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match=str(tmp_path)):
        ask_any(tmp_path, {"command": "status"})
    sit(tmp_path, 0).close()
    (tmp_path / "worker-0.sock").touch()
    with pytest.raises(ControlError, match=r"worker-0\.sock"):
        ask_any(tmp_path, {"command": "status"})
