"""The demo from its first step to its last: keys, processes in order, a second release, verdicts, and the end.

Holds always: nothing is started before every port was found free; every wait is for a condition and has an end; however
it ends, by a verdict, a failure, Ctrl-C or SIGTERM, every process ends with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

from deploy.demo import verdicts
from deploy.demo.authority import Authority
from deploy.demo.catalogue import CLEAN_NAME, RELEASE_1, RELEASE_2, USER_ORDER, Source
from deploy.demo.place import OPERATORS, PARTIES, PROBES, ROOT, Place, program
from deploy.demo.ports import ADDRESS, WITNESSES, Ports
from deploy.demo.processes import ProcessError, Processes
from deploy.demo.screen import Screen
from deploy.demo.verdicts import Told
from lachan.errors import LachanError
from lachan.message import A, query
from resolver.control import ControlError, call

READY_SECONDS = 60.0
"""For a process to come up, on a slow machine too."""
CHECK_SECONDS = 90.0
"""For the verdicts, with CHECK=1, from the moment that all processes are up."""
ANSWER_SECONDS = 0.5
LOOK_SECONDS = 0.5
RIGHT, WRONG, FAILED = 0, 1, 2
MODULE = "deploy.demo"


class DemoError(LachanError):
    """The demo cannot begin."""


class StopError(BaseException):
    """A signal asked for the end; not an `Exception`, so that nothing on the way takes it for a fault."""


@dataclass(frozen=True)
class Wish:
    """What was asked for on the command line."""

    ports: Ports
    folder: Path
    cheating: bool
    check: bool
    user_list: Path | None = None


class Interrupts:
    """Turns the first signal into `StopError`; further ones only hurry the end."""

    def __init__(self) -> None:
        self.hurry = False
        self._ending = False

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._ending:
            self.hurry = True
            return
        self._ending = True
        raise StopError

    def listen(self) -> None:
        """Begins."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def end(self) -> None:
        """From here on nothing is interrupted any more."""
        self._ending = True


def _answers(port: int) -> bool:
    """Whether a resolver answers over UDP."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.settimeout(ANSWER_SECONDS)
        try:
            sock.connect((ADDRESS, port))
            sock.send(query(CLEAN_NAME, A, id=1))
            return bool(sock.recv(4096))
        except OSError:
            return False


def _listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as sock:
        sock.settimeout(ANSWER_SECONDS)
        return sock.connect_ex((ADDRESS, port)) == 0


def _resolves(port: int) -> bool:
    """Whether DNS is answered there, on both transports."""
    return _answers(port) and _listens(port)


def _serves(port: int, path: str) -> bool:
    """Whether a page is there."""
    return verdicts.get(port, path) is not None


def _follows(place: Place, operator: str, serial: int) -> bool:
    """Whether an operator's resolver runs on that release."""
    try:
        status, _ = call(place.runtime(operator) / "supervisor.sock", {"command": "status"})
    except ControlError:
        return False
    return bool(status["list"]["serial"] == serial)


class Demo:
    """One showing."""

    def __init__(self, wish: Wish, screen: Screen) -> None:
        self._wish = wish
        self._screen = screen
        self._place = Place(wish.folder, wish.ports, cheating=wish.cheating)
        self._processes = Processes(self._place.logs, ROOT, self._place.commands, mark=str(wish.folder))
        self._authority = Authority(self._place, self._processes, screen.detail)

    def end_leftovers(self) -> None:
        """Ends what an earlier demo in this folder left behind, where it was killed together with a resolver."""
        self._processes.sweep()

    # --- before anything runs ----------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Makes keys, certificates, the root and every configuration file, by the product's own commands.

        Raises:
            ProcessError: A command failed.
        """
        place, run = self._place, self._processes.run
        compliance = program("lachan-compliance")
        run(
            [
                [compliance, "ca", "init", "--out", str(place.ca)],
                [compliance, "key", "--out", str(place.receipt_key)],
                [compliance, "key", "--out", str(place.ledger_key)],
                *([compliance, "key", "--out", str(place.witness_key(owner))] for owner in WITNESSES),
                *self._authority.key_commands(),
            ]
        )
        issue = [compliance, "ca", "issue", "--ca", str(place.ca)]
        run(
            [
                *issue, "--uri", party.uri, "--out", str(place.folder / "pki" / party.folder),
                *(["--ip", ADDRESS, "--dns", "localhost"] if party.serves else []),
            ]
            for party in PARTIES
        )  # fmt: skip
        place.write_witnesses()
        self._authority.found()
        place.write()
        enrol = {
            **{operator: program("lachan-resolver") for operator in OPERATORS},
            **{probe: program("lachan-probe") for probe in PROBES},
        }
        printed = run([command, "enroll", "--config", str(place.config(name))] for name, command in enrol.items())
        for name, output in zip(enrol, printed, strict=True):
            begin = output.index("-----BEGIN")
            place.public_key(name).write_text(output[begin:])

    # --- the processes, in order ---------------------------------------------------------------------------------

    def _start(self, name: str, command: str, *verb: str) -> None:
        self._processes.start(name, [program(command), *verb, "--config", str(self._place.config(name))])

    def _play(self, name: str, *arguments: str) -> None:
        self._processes.start(name, [sys.executable, "-m", f"{MODULE}.{name}", *arguments])

    def _wait(self, what: str, ready: Callable[[], bool]) -> None:
        self._processes.wait_for(what, ready, READY_SECONDS)

    def bring_up(self) -> None:
        """Starts everything, each after what it needs.

        Raises:
            ProcessError: Something does not come up.
        """
        place, ports, screen = self._place, self._wish.ports, self._screen
        with screen.step("the list authority with its registry, and an upstream in the internet's place"):
            self._play("upstream", "--port", str(ports.upstream))
            self._start("list", "lachan-blocklist", "serve")
            self._wait("the upstream", partial(_resolves, ports.upstream))
            self._wait("the list authority", lambda: _listens(ports.list_https) and _listens(ports.list_grpc))
        # Side by side with the people below: it takes long, and needs nothing of theirs to start.
        self._start("compliance", "lachan-compliance", "serve")
        for owner in WITNESSES:
            self._start(f"witness-{owner}", "lachan-compliance", "witness")
        with screen.step("release 1: orders, proposals, approvals, and 2 of 3 signatures"):
            self._authority.enrol()
            sources = list(RELEASE_1)
            if self._wish.user_list is not None:
                sources.append(Source(self._wish.user_list.absolute(), "gambling", USER_ORDER))
            for one in self._authority.decide(sources):
                if one.refused or one.source.order == USER_ORDER:
                    screen.detail(f"{one.source.file}: {one.added} names, {one.refused} lines refused")
            self._authority.release()
        with screen.step("the compliance service, on the same PostgreSQL, in a database of its own"):
            for operator in OPERATORS:
                self._start(operator, "lachan-resolver", "serve")
            self._wait("the compliance service", partial(_serves, ports.console, "/health"))
        with screen.step("the resolvers of operators A and B, both on release 1"):
            for operator, port in zip(OPERATORS, (ports.operator_a, ports.operator_b), strict=True):
                self._wait(f"release 1 at operator {operator.upper()}", partial(_follows, place, operator, 1))
                self._wait(f"an answer of operator {operator.upper()}", partial(_resolves, port))
        followers = ("a",) if place.cheating else OPERATORS
        said = "operator A follows, B does not" if place.cheating else "both operators follow"
        with screen.step(f"release 2: {said}"):
            self._authority.decide(RELEASE_2)
            self._authority.release()
            for operator in followers:
                self._wait(f"release 2 at operator {operator.upper()}", partial(_follows, place, operator, 2))
        with screen.step("two probes and some clients" + (", and B's false reports" if place.cheating else "")):
            for probe in PROBES:
                self._start(probe, "lachan-probe", "run")
            self._play("traffic", "--config", str(place.config("traffic")))
            if place.cheating:
                self._play("liar", "--config", str(place.config("liar")))
            for owner, port in ports.metrics.items():
                self._wait(f"the metrics of {owner}", partial(_serves, port, "/metrics"))

    # --- what comes of it ----------------------------------------------------------------------------------------

    def watch(self) -> dict[str, Told]:
        """Shows verdicts as they change: for ever, or with CHECK=1 until they are in.

        Raises:
            ProcessError: A process has ended.
        """
        begun = time.monotonic()
        told: dict[str, Told] = {name: Told() for name in OPERATORS}
        while True:
            self._processes.check()
            now = verdicts.ask(self._wish.ports.console, {name: name for name in OPERATORS})
            seconds = time.monotonic() - begun
            if now is not None:
                self._screen.verdicts(now, told, seconds)
                told = now
            if self._wish.check and (verdicts.are_in(told, cheating=self._wish.cheating) or seconds > CHECK_SECONDS):
                return told
            time.sleep(LOOK_SECONDS)

    def end(self, hurry: Callable[[], bool]) -> None:
        """Ends every process."""
        self._processes.stop(hurry)
        self._place.leave()

    def run(self) -> dict[str, Told]:
        """The whole showing."""
        self._place.clear()
        with self._screen.step("keys, certificates, the root: the k-of-n ceremony"):
            self.prepare()
        self.bring_up()
        self._screen.places(self._place)
        return self.watch()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Makes sure that no other demo uses the folder.

    Raises:
        DemoError: One does.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoError(f"{folder}: another demo is running there") from error
        yield


def show(wish: Wish) -> int:
    """Runs a demo to its end; the exit status.

    With CHECK=1 the last line on standard output is the verdicts, as one JSON object.
    """
    screen, interrupts = Screen(), Interrupts()
    told: dict[str, Told] | None = None
    status = RIGHT
    try:
        with _alone(wish.folder):
            demo = Demo(wish, screen)
            demo.end_leftovers()
            wish.ports.check()
            interrupts.listen()
            try:
                told = demo.run()
            except StopError:
                # The way a demo without CHECK=1 is meant to end.
                status = FAILED if wish.check else RIGHT
            except ProcessError as error:
                screen.failure(str(error))
                status = FAILED
            finally:
                interrupts.end()
                screen.line("\n  ending every process")
                demo.end(lambda: interrupts.hurry)
    except LachanError as error:
        screen.failure(str(error))
        return FAILED
    if told is None:
        return status
    document = {"operators": {name: one.document() for name, one in told.items()}}
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()
    return RIGHT if verdicts.are_right(told, cheating=wish.cheating) else WRONG
