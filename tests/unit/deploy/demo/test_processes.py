from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.demo.processes import MARK, ProcessError, Processes, marked, tail

DEADLINE = 20.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    family = Processes(tmp_path, tmp_path, tmp_path / "commands.log", mark=str(tmp_path))
    yield family
    family.stop()


def test_commands_run_side_by_side_and_are_noted(processes: Processes, tmp_path: Path) -> None:
    assert processes.run([["echo", "one"], ["echo", "two"]]) == ["one\n", "two\n"]
    assert (tmp_path / "commands.log").read_text() == "echo one\necho two\n"


def test_every_failing_command_is_told(processes: Processes) -> None:
    with pytest.raises(ProcessError, match=r"(?s)sh -c echo oh >&2; false: status 1\noh.*ls.*no-such"):
        processes.run([["true"], ["sh", "-c", "echo oh >&2; false"], ["ls", "no-such"]])


def test_an_end_is_noticed_with_the_end_of_the_log(processes: Processes) -> None:
    processes.start("short", ["sh", "-c", "echo a reason; exit 3"])
    with pytest.raises(ProcessError, match=r"(?s)short ended with status 3.*a reason"):
        processes.wait_for("something", lambda: False, DEADLINE)


def test_waiting_has_an_end(processes: Processes) -> None:
    processes.start("idle", ["sh", "-c", "echo still here; exec sleep 60"])
    with pytest.raises(ProcessError, match=r"the moon: not within 0.1 s"):
        processes.wait_for("the moon", lambda: False, 0.1)
    processes.wait_for("nothing", lambda: True, 0.1)
    processes.check()


def test_a_stubborn_process_is_ended_by_force(processes: Processes, tmp_path: Path) -> None:
    processes.start("stubborn", ["sh", "-c", "trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done"])
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    processes.stop(hurry=lambda: True)
    assert gone(int((tmp_path / "pid").read_text()))


# A process that starts another in a session of its own, as a resolver does its workers.
SUPERVISOR = "setsid sleep 600 & echo $! > worker.part; mv worker.part worker; exec sleep 600"
PARENT = """
    import sys, time
    from pathlib import Path
    from deploy.demo.processes import Processes
    folder = Path({folder!r})
    family = Processes(folder, folder, folder / "commands.log", mark=str(folder))
    family.start("supervisor", ["sh", "-c", {supervisor!r}])
    time.sleep(600)
"""


def test_what_a_killed_process_leaves_behind_is_ended(processes: Processes, tmp_path: Path) -> None:
    processes.start("supervisor", ["sh", "-c", SUPERVISOR])
    until((tmp_path / "worker").exists)
    worker = int((tmp_path / "worker").read_text())
    supervisor = marked(str(tmp_path)) - {worker}
    assert len(supervisor) == 1
    os.kill(supervisor.pop(), signal.SIGKILL)
    assert not gone(worker)
    processes.stop()
    assert gone(worker)


def test_processes_end_with_a_demo_that_is_killed_and_the_next_one_ends_the_rest(
    processes: Processes, tmp_path: Path
) -> None:
    script = textwrap.dedent(PARENT).format(folder=str(tmp_path), supervisor=SUPERVISOR)
    parent = subprocess.Popen([sys.executable, "-c", script])
    until((tmp_path / "worker").exists)
    worker = int((tmp_path / "worker").read_text())
    parent.kill()
    parent.wait(DEADLINE)
    # This supervisor passes nothing on; a resolver's ends its workers when it is told to end.
    until(lambda: marked(str(tmp_path)) == {worker})
    processes.sweep()
    assert gone(worker)


def test_nothing_without_the_mark_is_touched(processes: Processes, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"], env={MARK: f"{tmp_path}-another"}) as bystander:
        assert bystander.pid not in marked(str(tmp_path))
        processes.sweep()
        assert bystander.poll() is None
        bystander.kill()


def test_a_log_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    assert "No such file" in tail(tmp_path / "none.log")
