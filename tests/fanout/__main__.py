"""Measures how a release fans out: `make fanout`, or `python -m tests.fanout --edges 200`.

Real agents, each with its folder, certificate, TLS connections and TUF, several in a process; one real server process.
From the moment before `publish` writes until the last agent has verified the release, built its snapshot durably and
found a new name in it: by announcements first, then by polling alone; then one edge by itself, with a million names;
then a whole resolver with them, on which a release is suspended and comes back by itself. Said beside: when readers
could see the release, what the edge's own round took, and for how long processes waited for a processor meanwhile.
The last line is JSON; where something misses what DESIGN asks for, the status is 1.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

from tests.bench import builds
from tests.fanout import suspension
from tests.support.list_authority import ListAuthority
from tests.support.papers import Papers
from tests.support.registry import GAMBLING

PROGRAM = Path(sys.executable).with_name("lachan-blocklist")
START_SECONDS = 300.0
# What DESIGN and the breaking of the glass ask for, and how long to go on looking so that it can be said by how much it
# was missed.
TARGETS = {
    "slowest_push_s": 5.0,
    "slowest_poll_s": 60.0,
    "slowest_push_s_1m": 5.0,
    "slowest_poll_s_1m": 60.0,
    "suspend_s_1m": 1.0,
    "delta_wire_bytes": 12_000,
    "records_bytes": 16_000_000,
    "build_s_1m": 5.0,
}
PUSHED_SECONDS = 60.0
POLLED_SECONDS = 120.0
POLL_INTERVAL = 30.0
MILLION = 1_000_000


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Authority:
    """The list authority: its list, its server, everybody's certificates."""

    def __init__(self, folder: Path, names: int) -> None:
        self.folder = folder
        self.papers = Papers(folder / "papers")
        self.list = ListAuthority(folder / "authority")
        self._names = [f"n{number}.example" for number in range(names)]
        self.https_port = self.push_port = 0

    def publish(self, serial: int) -> float:
        """Publishes a list with a name of its own; when that began, on the machine's monotonic clock."""
        names = [*(self._names if serial == 1 else ()), f"fresh-{serial}.example"]
        self.list.decide(*((name, GAMBLING, True) for name in names))
        self.list.build()
        self.list.sign()
        began = time.monotonic()
        outcome = self.list.publish(sign=False)
        assert outcome.release.serial == serial
        return began

    def seen(self) -> float:
        """When readers could see what is published, on the machine's monotonic clock."""
        written = (self.list.repository / "metadata" / "timestamp.json").stat().st_mtime
        return written - time.time() + time.monotonic()

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        paper = self.papers.of("lachan://so-test/service/blocklist")
        tls = {"ca": str(paper.ca), "certificate": str(paper.certificate), "key": str(paper.key)}
        config = {
            "release": str(self.list.release.folder),
            "repository": str(self.list.repository),
            "https": {
                "listen": "127.0.0.1:0",
                "certificate": tls["certificate"],
                "key": tls["key"],
                "client_ca": tls["ca"],
            },
            "push": {"listen": "127.0.0.1:0", "tls": tls},
            "log": {"level": "warning"},
        }
        path = self.folder / "list.yaml"
        path.write_text(json.dumps(config))
        process = subprocess.Popen([PROGRAM, "serve", "--config", path], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            text = ""
            while not text.rstrip().endswith("}"):
                line = process.stdout.readline()
                assert line, "the server did not start"
                text += line
            ports = json.loads(text)
            self.https_port, self.push_port = ports["https_port"], ports["push_port"]
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            process.stdout.close()

    def edge(self, number: int, *, pushed: bool) -> dict[str, Any]:
        """What one agent is told."""
        own = self.papers.of(f"lachan://isp-a/node/n{number}")
        sync = {
            "repository": f"https://localhost:{self.https_port}",
            "root": str(self.list.repository / "metadata" / "1.root.json"),
            "ca": str(own.ca),
            "tls": {"certificate": str(own.certificate), "key": str(own.key)},
            "poll_interval": POLL_INTERVAL,
        }
        if pushed:
            sync["push"] = {"target": f"localhost:{self.push_port}"}
        return {"edge": number, "folder": str(self.folder / "edges" / str(number)), "sync": sync}


class Enforced(NamedTuple):
    """What an agent enforces, as it tells it."""

    serial: int
    at: float
    """On the machine's monotonic clock."""
    took: float
    """Seconds of its round, on the clock."""
    cpu: float
    """Seconds of a processor that its process used meanwhile: where it is alone there, its own."""


@dataclass
class Edges:
    """All agents, in their processes, and what they told: the serial that each enforces, and since when."""

    processes: list[subprocess.Popen[bytes]]
    count: int
    ready: set[int] = field(default_factory=set)
    """Those that have asked the repository once, and listen where they should."""
    enforced: dict[int, Enforced] = field(default_factory=dict)

    def _take(self, line: bytes) -> None:
        told = json.loads(line)
        if "ready" in told:
            self.ready.add(told["edge"])
        else:
            edge = told.pop("edge")
            self.enforced[edge] = Enforced(**told)

    def until(self, serial: int, seconds: float) -> None:
        """Waits until every agent is ready and enforces a serial."""
        deadline = time.monotonic() + seconds
        pipes: list[IO[bytes]] = [process.stdout for process in self.processes if process.stdout is not None]

        def there() -> int:
            return sum(one.serial >= serial for one in self.enforced.values())

        while there() < self.count or len(self.ready) < self.count:
            left = deadline - time.monotonic()
            if left <= 0:
                raise SystemExit(f"{there()} of {self.count} edges have serial {serial}, {len(self.ready)} are ready")
            for pipe in select.select(pipes, [], [], min(left, 1.0))[0]:
                line = pipe.readline()
                if not line:
                    raise SystemExit("a process of agents ended")
                self._take(line)

    def slowest(self, serial: int, began: float) -> tuple[float, float]:
        """Seconds from `began` until the last agent, and the median one, enforced a serial."""
        took = sorted(one.at - began for one in self.enforced.values() if one.serial == serial)
        assert len(took) == self.count
        return took[-1], took[len(took) // 2]


@contextlib.contextmanager
def running(told: list[dict[str, Any]], processes: int) -> Iterator[Edges]:
    """The agents, dealt out to processes."""
    started = []
    try:
        for first in range(processes):
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.fanout.edges"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # What stands in a buffer would not be seen by select.
                bufsize=0,
            )
            started.append(process)
            assert process.stdin is not None
            process.stdin.write(json.dumps(told[first::processes]).encode())
            process.stdin.close()
        yield Edges(started, len(told))
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(30)
            assert process.stdout is not None
            process.stdout.close()


def memory(processes: list[subprocess.Popen[bytes]]) -> float:
    """Of all of them together, in MB."""
    pages = sum(int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) for process in processes)
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def waited() -> float:
    """Seconds in which some process of this machine waited for a processor, since it started; 0 where nobody counts."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/pressure/cpu").read_text().split("total=")[1].split()[0]) / 1e6
    return 0.0


def measure(edges: int, names: int, processes: int, folder: Path) -> dict[str, float]:
    """Seconds to the slowest edge, by announcements and by polling."""
    authority = Authority(folder, names)
    authority.publish(1)
    slowest = {}
    with authority.serving():
        for pushed, serial, limit in ((True, 2, PUSHED_SECONDS), (False, 3, POLLED_SECONDS)):
            how = "pushed" if pushed else "polled"
            told = [authority.edge(number, pushed=pushed) for number in range(edges)]
            began = time.monotonic()
            with running(told, processes) as group:
                group.until(serial - 1, START_SECONDS)
                say(
                    f"{how}: {edges} edges in {processes} processes ({memory(group.processes):.0f} MB) ready after "
                    f"{time.monotonic() - began:.1f} s, with serial {serial - 1} of {names + 1} names"
                )
                waiting = waited()
                began = authority.publish(serial)
                group.until(serial, limit)
                last, median = group.slowest(serial, began)
                waiting = waited() - waiting
            say(
                f"{how}: publish to enforced: slowest {last:.2f} s, median {median:.2f} s; "
                f"to be seen after {authority.seen() - began:.2f} s; "
                f"somebody waited for a processor for {waiting:.1f} s meanwhile"
            )
            if edges == 1:
                alone = group.enforced[0]
                say(f"{how}: its own round: {alone.took:.2f} s, {alone.cpu:.2f} s of a processor")
            slowest[f"slowest_{'push' if pushed else 'poll'}_s"] = round(last, 2)
    return slowest


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="tests.fanout", description=__doc__)
    parser.add_argument("--edges", type=int, default=200)
    parser.add_argument("--names", type=int, default=1000, help="of the list that edges take over")
    parser.add_argument("--processes", type=int, default=8, help="that agents are dealt out to")
    parser.add_argument(
        "--no-million", dest="million", action="store_false", help="leave out the one edge with a million names"
    )
    parser.add_argument("--no-builds", action="store_true", help="leave out the builds of a million names and ten")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lachan-fanout-") as folder:
        found: dict[str, Any] = {"edges": options.edges}
        found |= measure(options.edges, options.names, options.processes, Path(folder))
        if options.million:
            alone = measure(1, MILLION, 1, Path(folder) / "million")
            alone |= asyncio.run(suspension.measure(Path(folder) / "million"))
            found |= {f"{name}_1m": took for name, took in alone.items()}
        if not options.no_builds:
            built = builds.measure(Path(folder) / "builds")
            say(
                f"a whole build of a million names: {built['build_s_1m']} s ({built['build_cpu_s_1m']} s of CPU), "
                f"{built['build_mb_1m']} MB; of ten million: "
                f"{built['build_s_10m']} s, {built['build_mb_10m']} MB; a hundred names changed in a million: "
                f"{built['delta_wire_bytes']} bytes on the wire"
            )
            found |= built
    say(json.dumps(found))
    missed = [f"{name}: {found[name]} s, not within {limit:g}" for name, limit in limits(found).items()]
    missed += [] if options.no_builds else builds.beyond(found)
    if missed:
        raise SystemExit("; ".join(missed))


def limits(found: Mapping[str, Any]) -> dict[str, float]:
    """The targets that were missed, by the name of the figure."""
    return {name: limit for name, limit in TARGETS.items() if found.get(name, 0) > limit}


if __name__ == "__main__":
    main()
