"""Where reports are taken: an authority in a folder, PostgreSQL, several service processes on it, and their nodes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from lachan import postgres
from lachan.postgres import PostgresError
from tests.support.compliance import Authority, Service
from tests.support.protos import ROOT

START_SECONDS = 60.0
# What else the service does is left to the tests of that.
RARELY = "6h"


def _free_ports(count: int) -> list[int]:
    """Ports that a service can come back to, below those that the kernel gives away on its own."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(12_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


class Database:
    """A PostgreSQL that can be killed and brought back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = contextlib.ExitStack()
        self.url: URL | None = None

    def start(self) -> None:
        """Up, also where backends of the one that was killed have not noticed yet."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                server = self._running.enter_context(postgres.embedded(self._folder))
            except PostgresError:
                if time.monotonic() > deadline:
                    raise
                continue
            self.url = server.database("compliance")
            return

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        return int((self._folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])

    def kill(self) -> None:
        """With SIGKILL, and not told to anybody."""
        os.kill(self.pid, signal.SIGKILL)
        self._running.close()

    def kill_a_backend(self) -> None:
        """One connection's process: the server then ends all the others and recovers by itself."""
        backends = [pid for pid in _children(self.pid) if b"lachan" in _command(pid) or b"[local]" in _command(pid)]
        os.kill(backends[0], signal.SIGKILL)

    def close(self) -> None:
        self._running.close()


@dataclass
class Nodes:
    """A process with nodes in it."""

    process: subprocess.Popen[str]
    log: Path

    def order(self, **order: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a process of nodes ended")
        told: dict[str, Any] = json.loads(line)
        return told


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def operators(nodes: int, each: int = 16) -> dict[str, list[str]]:
    """So many nodes, dealt out to operators."""
    return {
        f"isp-{first // each}": [f"edge-{number}" for number in range(first, min(nodes, first + each))]
        for first in range(0, nodes, each)
    }


def everybody(groups: Sequence[Nodes], **order: Any) -> list[dict[str, Any]]:
    """Tells all processes of nodes the same, and waits for their answers."""
    for group in groups:
        group.order(**order)
    return [group.answer() for group in groups]


UNLIMITED = {
    "calls_per_second": 1_000_000,
    "calls_burst": 10_000_000,
    "items_per_second": 1_000_000,
    "items_burst": 10_000_000,
}


class Place:
    """Everything, in a folder."""

    def __init__(self, folder: Path, operators: dict[str, list[str]], services: int) -> None:
        self._folder = folder
        self.database = Database(folder / "db")
        self.database.start()
        assert self.database.url is not None
        settings = {
            "database": {"url": self.database.url.render_as_string(hide_password=False)},
            "judge": {"interval": RARELY},
            # A few nodes bring here what thousands would: what is measured is the service, not their share of it.
            "limits": {"party": UNLIMITED, "organisation": UNLIMITED},
            "log": {"level": "error"},
            "console": None,
        }
        self.authority = Authority(folder / "authority", settings=settings, operators=operators)
        self._keys = folder / "keys"
        self._keys.mkdir()
        for operator, name in self._names():
            self.authority.keys[f"{operator}/node/{name}"].save(self._keys / f"{operator}-{name}.pem")
        (folder / "receipt.pub.pem").write_bytes(self.authority.receipt_key.public.pem())
        ports = _free_ports(services)
        self._targets = [f"127.0.0.1:{port}" for port in ports]
        self.services = [self._service(number, port) for number, port in enumerate(ports)]

    def _names(self) -> list[tuple[str, str]]:
        return [(operator, name) for operator, names in self.authority.operators.items() for name in names]

    def _service(self, number: int, port: int) -> Service:
        config = json.loads(self.authority.configure(lists=1).read_text())
        config |= {"listen": f"127.0.0.1:{port}"}
        path = self.authority.folder / f"compliance-{number}.yaml"
        path.write_text(json.dumps(config))
        return Service(path, self._folder / f"service-{number}.log")

    def start(self) -> None:
        for service in self.services:
            service.start()

    def told(self, number: int, of: int) -> dict[str, Any]:
        """What the process of nodes with that number is told."""
        mine = self._names()[number::of]
        return {
            "nodes": [
                {
                    "organisation": operator,
                    "node": name,
                    "key": str(self._keys / f"{operator}-{name}.pem"),
                    "tls": str(self.authority.folder / "tls" / f"{operator}-node-{name}"),
                    # Half of them begin with the one service, half with the other.
                    "targets": self._targets[place % len(self._targets) :]
                    + self._targets[: place % len(self._targets)],
                }
                for place, (operator, name) in enumerate(mine)
            ],
            "receipt_key": str(self._folder / "receipt.pub.pem"),
            "log": str(self._folder / f"acknowledged-{number}"),
        }

    @contextlib.contextmanager
    def nodes(self, processes: int, cores: Iterable[int]) -> Iterator[list[Nodes]]:
        """All nodes, dealt out to processes that run on these cores."""
        started: list[Nodes] = []
        try:
            for number in range(processes):
                told = self.told(number, processes)
                process = subprocess.Popen(
                    [sys.executable, "-m", "tests.ingest.nodes"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=ROOT,
                )
                os.sched_setaffinity(process.pid, set(cores))
                started.append(Nodes(process, Path(told["log"])))
                started[-1].order(**told)
            for one in started:
                one.answer()
            yield started
        finally:
            for one in started:
                one.process.kill()
                one.process.communicate()

    def processor_seconds(self) -> float:
        """Of every service and of all of the database's processes, since they started; ended ones included."""
        pids = {service.pid for service in self.services}
        pids |= {self.database.pid, *_children(self.database.pid)}
        return sum(_seconds(pid) for pid in pids) + _seconds(self.database.pid, of_children=True)

    def close(self) -> None:
        for service in self.services:
            service.close()
        self.database.close()


def _children(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rsplit(")", 1)[1].split()[1]) == parent:
                found.append(int(path.parent.name))
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _seconds(pid: int, *, of_children: bool = False) -> float:
    """Time on a processor (proc(5), stat): of a process, or of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    user, system = (fields[13], fields[14]) if of_children else (fields[11], fields[12])
    return (int(user) + int(system)) / float(os.sysconf("SC_CLK_TCK"))
