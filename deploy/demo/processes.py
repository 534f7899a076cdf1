"""The demo's processes: each started with a log file of its own, and all of them ended, whatever happens.

Holds always: a process gets SIGTERM from the kernel when this one dies, even by SIGKILL; everything started here
carries a mark in its environment, and so does what that starts, so that what a killed process leaves behind (a
resolver's workers outlive their supervisor on purpose) is found and ended, by this demo or by the next one; nothing
without the mark is ever signalled; Ctrl-C at the terminal reaches this process alone, which ends the others.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.launcher import PROGRAMS, Launcher
from lachan.errors import LachanError

POLL_SECONDS = 0.05
STOP_SECONDS = 15.0
SWEEP_SECONDS = 3.0
TAIL_LINES = 20
MARK = "LACHAN_DEMO"
FIRST = 2
"""How many of the processes end after all others."""


class ProcessError(LachanError):
    """A process of the demo did not do its part; the message ends with the end of its log."""


def tail(path: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log."""
    try:
        return _last(path.read_text(errors="replace"), lines)
    except OSError as error:
        return f"({path}: {error.strerror})"


def _last(text: str, lines: int = TAIL_LINES) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


def _command(argv: Sequence[str]) -> list[str]:
    # setpriv is in util-linux, which every Debian has; the signal survives the exec that follows it.
    return ["setpriv", "--pdeathsig", "TERM", "--", *argv]


@dataclass
class Process:
    """One running process."""

    name: str
    argv: Sequence[str]
    log: Path
    child: subprocess.Popen[bytes]

    def failure(self) -> ProcessError:
        """What to say of its end."""
        return ProcessError(
            f"{self.name} ended with status {self.child.returncode}: {' '.join(self.argv)}\n{tail(self.log)}"
        )


class Processes:
    """All of them, in the order they were started."""

    def __init__(self, logs: Path, folder: Path, commands: Path, mark: str) -> None:
        """Remembers where things go.

        Args:
            logs: Folder of the log files.
            folder: The working folder of every process.
            commands: File in which every command line is noted, so that each step can be repeated by hand.
            mark: What tells this demo's processes from every other one on the machine.
        """
        self._logs = logs
        self._folder = folder
        self._commands = commands
        self._mark = mark
        self._running: list[Process] = []
        self._launcher: Launcher | None = None
        self._environment = os.environ | {"PYTHONUNBUFFERED": "1", MARK: mark}

    def _note(self, argv: Sequence[str]) -> None:
        with self._commands.open("a") as file:
            file.write(" ".join(argv) + "\n")

    def run(self, commands: Iterable[Sequence[str]]) -> list[str]:
        """Runs commands side by side to their ends; what each printed.

        Raises:
            ProcessError: One failed.
        """
        asked = list(commands)
        for argv in asked:
            self._note(argv)
        if all(Path(argv[0]).name in PROGRAMS for argv in asked):
            outcomes = self._launched().run(asked)
        else:
            outcomes = self._executed(asked)
        with (self._logs / "preparation.log").open("ab") as log:
            for argv, (_, output, errors) in zip(asked, outcomes, strict=True):
                log.write(f"$ {' '.join(argv)}\n".encode() + output + errors)
        failed = [
            f"{' '.join(argv)}: status {status}\n{_last((errors or output).decode(errors='replace'))}"
            for argv, (status, output, errors) in zip(asked, outcomes, strict=True)
            if status
        ]
        if failed:
            raise ProcessError("\n".join(failed))
        return [output.decode() for _, output, _ in outcomes]

    def _launched(self) -> Launcher:
        if self._launcher is None:
            self._launcher = Launcher(_command([]), self._folder, self._environment, self._logs)
        return self._launcher

    def _executed(self, commands: Sequence[Sequence[str]]) -> list[tuple[int, bytes, bytes]]:
        children = [
            subprocess.Popen(
                _command(argv),
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            for argv in commands
        ]
        ended = [(child, *child.communicate()) for child in children]
        return [(child.returncode, output, errors) for child, output, errors in ended]

    def refused(self, argv: Sequence[str]) -> str:
        """Runs a command that is to be refused; why it was.

        Raises:
            ProcessError: It was not.
        """
        try:
            self.run([argv])
        except ProcessError as error:
            return str(error)
        raise ProcessError(f"{' '.join(argv)}: was not refused")

    def start(self, name: str, argv: Sequence[str]) -> None:
        """Starts a process that goes on running."""
        self._note(argv)
        log = self._logs / f"{name}.log"
        with log.open("ab") as file:
            child = subprocess.Popen(
                _command(argv),
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                # Out of the terminal's reach: a Ctrl-C is for this process to pass on.
                start_new_session=True,
            )
        self._running.append(Process(name, argv, log, child))

    def check(self) -> None:
        """Makes sure that all still run.

        Raises:
            ProcessError: One has ended.
        """
        for process in self._running:
            if process.child.poll() is not None:
                raise process.failure()

    def wait_for(self, what: str, ready: Callable[[], bool], seconds: float) -> None:
        """Waits until a condition holds.

        Raises:
            ProcessError: A process ended meanwhile, or it took too long.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                logs = "".join(f"\n--- {one.name}\n{tail(one.log, 6)}" for one in self._running)
                raise ProcessError(f"{what}: not within {seconds:g} s{logs}")
            time.sleep(POLL_SECONDS)

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> None:
        """Ends all of them and whatever they have left behind.

        Args:
            hurry: Asked again and again: True ends the waiting and the processes by force.
        """
        if self._launcher is not None:
            self._launcher.close()
            self._launcher = None
        deadline = time.monotonic() + STOP_SECONDS
        # What was started first has what the others need: the database, for one.
        first, others = self._running[:FIRST], self._running[FIRST:]
        for ending in (others, first):
            for process in reversed(ending):
                with contextlib.suppress(ProcessLookupError):
                    process.child.terminate()
            for process in ending:
                while process.child.poll() is None and time.monotonic() < deadline and not hurry():
                    time.sleep(POLL_SECONDS)
                if process.child.poll() is None:
                    process.child.kill()
                    process.child.wait()
        self._running.clear()
        self.sweep(hurry)

    def sweep(self, hurry: Callable[[], bool] = lambda: False) -> None:
        """Ends whatever carries the mark: what a killed process left behind, now or in an earlier demo."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + SWEEP_SECONDS
            told: set[int] = set()
            while left := marked(self._mark):
                for pid in left - told:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                told |= left
                if time.monotonic() > deadline or (number == signal.SIGTERM and hurry()):
                    break
                time.sleep(POLL_SECONDS)


def marked(mark: str) -> set[int]:
    """The living processes that carry a mark, this one apart."""
    wanted = os.fsencode(f"{MARK}={mark}")
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            # Somebody else's environment cannot be read, and a process that has ended has none.
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
    return found
