"""A real edge: `lachan-resolver serve` in processes of its own, on ports of its own, asked over loopback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from lachan.asking import Manner, Outcome, Server, Transport
from lachan.exchange import exchange
from lachan.message import Message, query, type_number
from resolver.control import ControlError, call

DEADLINE_SECONDS = 90.0
COMMAND = [sys.executable, "-m", "resolver.cli"]


def free_port() -> int:
    """A port that is free for UDP and TCP now."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram,
        ):
            stream.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                datagram.bind(stream.getsockname())
                port: int = stream.getsockname()[1]
                return port


async def until(condition: Callable[[], Any], what: str, seconds: float = DEADLINE_SECONDS) -> Any:
    """Waits for a condition to bring something true, and gives that back."""
    deadline = time.monotonic() + seconds
    while True:
        result = await asyncio.to_thread(condition)
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.02)


def ended(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@contextlib.contextmanager
def nothing_written(pids: Sequence[int]) -> Iterator[None]:
    """No file of these processes grows, their logs' included."""
    limits = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in pids}
    for pid, (_, hard) in limits.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        for pid, limit in limits.items():
            if not ended(pid):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)


class Edge:
    """One edge, its folder and its processes."""

    def __init__(self, folder: Path, upstreams: list[int], **settings: Any) -> None:
        self.folder = folder
        self.port = free_port()
        self.config = folder / "edge.yaml"
        self.runtime = folder / "run"
        self.settings: dict[str, Any] = {
            "organisation": "a",
            "node": "edge-1",
            "state_dir": "state",
            "runtime_dir": "run",
            "workers": 1,
            "listen": [{"address": "127.0.0.1", "port": self.port}],
            "upstreams": [{"address": "127.0.0.1", "port": port} for port in upstreams],
            "cache": {"size": "4MB"},
            "forwarding": {"sockets": 16},
        } | settings
        self.process: subprocess.Popen[bytes] | None = None
        self._log = folder / "edge.log"

    @property
    def log(self) -> str:
        """What its processes have logged."""
        return self._log.read_text() if self._log.exists() else ""

    def status(self) -> dict[str, Any] | None:
        """What `lachan-resolver status` tells, None while nobody is there."""
        try:
            return call(self.runtime / "supervisor.sock", {"command": "status"})[0]
        except ControlError:
            return None

    def workers(self) -> list[int]:
        """Process ids of its workers, whoever supervises them."""
        found = []
        for path in sorted(self.runtime.glob("worker-*.sock")):
            with contextlib.suppress(ControlError):
                found.append(int(call(path, {"command": "status"})[0]["pid"]))
        return found

    async def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """What `lachan-resolver` says when told so beside this edge."""
        arguments = [*COMMAND, *words, "--config", str(self.config)]
        return await asyncio.to_thread(
            subprocess.run, arguments, capture_output=True, text=True, timeout=60, check=False
        )

    async def start(self) -> None:
        """Starts it and waits until it serves."""
        self.config.write_text(yaml.safe_dump(self.settings))
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - not waited for here
                [*COMMAND, "serve", "--config", str(self.config)], stdout=log, stderr=log
            )
        process = self.process

        def up() -> bool:
            assert process.poll() is None, f"the edge ended while starting:\n{self.log}"
            status = self.status()
            return bool(status and len(status["workers"]) == self.settings["workers"])

        await until(up, "the edge is up")

    def kill(self) -> None:
        """SIGKILL to the supervisor alone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    async def stop(self) -> None:
        """Ends it and whatever of it is left."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            await asyncio.to_thread(self.process.wait, 15)
        for pid in self.workers():
            os.kill(pid, signal.SIGKILL)

    async def ask(self, name: str, qtype: str = "A", *, tcp: bool = False, tries: int = 2, **options: Any) -> Message:
        """What it answers."""
        server = Server("127.0.0.1", self.port, Transport.TCP if tcp else Transport.UDP)
        manner = Manner(tries=tries, timeout=10.0, follow_truncation=False)
        result = await exchange(server, query(name, type_number(qtype), id=0, **options), manner)
        assert result.outcome is Outcome.ANSWERED, f"{name} {qtype}: {result.outcome}\n{self.log}"
        assert result.message is not None
        return result.message


@contextlib.asynccontextmanager
async def running(folder: Path, upstreams: list[int], **settings: Any) -> AsyncIterator[Edge]:
    """An edge that serves, ended in every case."""
    edge = Edge(folder, upstreams, **settings)
    try:
        await edge.start()
        yield edge
    finally:
        await edge.stop()
