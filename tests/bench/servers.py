"""A server under measurement: started, waited for, held to its job, weighed, ended."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.peers import SEARCH, UPSTREAM_PORT, Peer

READY_SECONDS = 180
ADDRESS = bytes([192, 0, 2, 1])
"""The upstream's answer to every name."""


class BenchError(Exception):
    """A server does not do its job: its speed means nothing."""


def query(port: int, name: str, timeout: float = 0.5) -> bytes | None:
    """The answer to one question, or None."""
    wire = (
        struct.pack("!6H", 4660, 0x0100, 1, 0, 0, 0)
        + b"".join(bytes([len(x)]) + x.encode() for x in name.split("."))
        + b"\0\0\1\0\1"
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        sock.sendto(wire, ("127.0.0.1", port))
        with contextlib.suppress(OSError):
            return sock.recv(4096)
    return None


def family(pid: int) -> list[int]:
    """`pid` and all that descend from it."""
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{found[-1]}/task").iterdir():
                todo += [int(child) for child in (task / "children").read_text().split()]
    return found


def pss_mb(pid: int) -> float:
    """A process's memory in megabytes, each page divided by those who share it."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def private_mb(pid: int) -> float:
    """Megabytes in memory that no other process could share: pages of private mappings that are nobody else's."""
    total, private = 0, False
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            words = line.split()
            if not words[0].endswith(":"):
                private = words[1].endswith("p")
            elif private and words[0] in ("Private_Clean:", "Private_Dirty:"):
                total += int(words[1])
    return total / 1024


@dataclass
class Server:
    """One server, and how to reach it."""

    name: str
    peer: Peer
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    ready: float = 0.0
    process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self.peer.port

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, listed: str) -> None:
        """Starts it and waits until it blocks and answers.

        Raises:
            BenchError: It does not in time.
        """
        scratch = self.folder / f"{self.name}.d"
        scratch.mkdir(exist_ok=True)
        values = {
            "BENCH_PORT": str(self.port),
            "BENCH_UPSTREAM": f"127.0.0.1:{UPSTREAM_PORT}",
            "BENCH_DIR": str(scratch),
        }
        log = self.folder / f"{self.name}.log"
        began = time.monotonic()
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                ["taskset", "-c", "0", *self.peer.command],
                env=os.environ | {"PATH": SEARCH} | values | self.environment,
                start_new_session=True,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        while not self._does_its_job(listed):
            if self.process.poll() is not None or time.monotonic() - began > READY_SECONDS:
                raise BenchError(f"{self.name} did not come up: {log.read_text()[-500:]}")
            time.sleep(0.02)
        self.ready = time.monotonic() - began

    def _does_its_job(self, listed: str) -> bool:
        answer = query(self.port, "clean.example.org")
        if answer is None or self.peer.echo:
            return answer is not None
        verdict = query(self.port, listed)
        return answer[3] & 15 == 0 and verdict is not None and verdict[3] & 15 == 3

    def check(self, blocked: list[str], clean: list[str], rng: random.Random) -> None:
        """100 listed names (and names under them) must be NXDOMAIN, 100 clean ones must carry the upstream's address.

        Raises:
            BenchError: One is not.
        """
        for i in range(100):
            listed = query(self.port, ("x." if i % 2 else "") + rng.choice(blocked), 2)
            fresh = query(self.port, f"check{rng.randrange(10**9)}.{rng.choice(clean)}", 2)
            if not (listed and listed[3] & 15 == 3):
                raise BenchError(f"{self.name}: a listed name is not blocked")
            if not (fresh and fresh[3] & 15 == 0 and ADDRESS in fresh):
                raise BenchError(f"{self.name}: a clean name is not answered as the upstream answers it")

    def cpu_seconds(self) -> float:
        """Processor time of the whole family so far, in nanoseconds' resolution where the kernel tells it."""
        total = 0
        for member in family(self.pid):
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{member}/task").iterdir():
                    total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def memory(self) -> dict[str, float]:
        """Megabytes: `pss` of the whole family, `worker` that is private to the process that answers.

        Where several of a family could be that process, the one that holds most.
        """
        return {
            "pss": round(sum(map(pss_mb, family(self.pid))), 1),
            "worker": round(max(map(private_mb, self.workers()), default=0.0), 1),
        }

    def workers(self) -> list[int]:
        """Processes that answer: ours by their name, a peer's all."""
        members = family(self.pid)
        ours = [pid for pid in members if b"resolver.worker" in _command(pid)]
        return ours or members

    def stop(self) -> None:
        """Ends it."""
        if self.process is None:
            return
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
