"""What only this resolver is asked: a list swapped under load, ten times the names, a warm cache, random subdomains.

Each starts an edge of its own on the second set of ports, measures it, and ends it.
"""

from __future__ import annotations

import os
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resolver import rules
from resolver.control import call
from tests.bench import inputs as files
from tests.bench import load
from tests.bench.inputs import Inputs
from tests.bench.peers import Peer
from tests.bench.servers import Server

EDGE = Path(__file__).with_name("candidate")
PORT = 5430
RATE = 20_000
ATTACK_RATE = 5_000
ATTACK_TURNS = 5
ATTACKED = "attacked.example"
CROWD = "127.0.0.66"
OTHERS = "127.0.0.77"
OTHERS_RATE = 2_000
SILENT_PORT = 5301
WARM_ANSWERS = 100_000
FACTOR = 10
"""How many times the run's names the large list has."""


@dataclass(frozen=True)
class Scenarios:
    """On the names of a run; `build` keeps what is dear to make."""

    inputs: Inputs
    build: Path
    seconds: float

    @contextmanager
    def _edge(self, name: str, snapshot: Path, further: Mapping[str, str] | None = None) -> Iterator[Server]:
        values = {"BENCH_SNAPSHOT": str(snapshot), **(further or {})}
        server = Server(name, Peer(PORT, "sh", [str(EDGE)]), self.inputs.folder, values)
        try:
            server.start(self.inputs.blocked[0])
            yield server
        finally:
            server.stop()

    def swap(self) -> dict[str, Any]:
        """Times of answers while a worker swaps the whole list once a second, beside those while it does not."""
        snapshot = self.inputs.folder / "rules.snapshot"
        file = self.inputs.folder / "cached-0.txt"
        with self._edge("swap", snapshot) as edge:
            load.run(edge.port, file, self.seconds)
            steady = load.run(edge.port, file, self.seconds, rate=RATE)
            swaps: list[float] = []
            over = threading.Event()

            def swapping() -> None:
                [control] = (self.inputs.folder / "swap.d" / "run").glob("worker-*.sock")
                while not over.wait(1.0):
                    fresh = rules.load(snapshot, epoch=1000 + len(swaps), activated_at=int(time.time()))
                    assert fresh.fd is not None
                    began = time.monotonic()
                    call(control, {"command": "rules", "rules": fresh.describe()}, [fresh.fd])
                    swaps.append(time.monotonic() - began)
                    os.close(fresh.fd)

            thread = threading.Thread(target=swapping)
            thread.start()
            try:
                under = load.run(edge.port, file, max(self.seconds, 4), rate=RATE)
            finally:
                over.set()
                thread.join()
        return {
            "swaps": len(swaps),
            "swap_ms": round(1000 * sorted(swaps)[len(swaps) // 2], 1) if swaps else 0.0,
            "lost": under.lost,
            "steady": steady.quantiles(),
            "swapping": under.quantiles(),
        }

    def warm(self) -> dict[str, Any]:
        """Memory of an edge that keeps this many answers."""
        names = self.inputs.clean[:WARM_ANSWERS]
        file = files.write_lines(self.inputs.folder / "warm.txt", names)
        with self._edge("warm", self.inputs.folder / "rules.snapshot") as edge:
            before = edge.memory()
            asked = load.run(edge.port, file, 60)
            again = load.run(edge.port, file, 60)
            after = edge.memory()
        return {"answers": asked.completed, "again_qps": round(again.qps), "before_mb": before, "after_mb": after}

    def attack(self) -> dict[str, Any]:
        """Times of others' answers while many ask random names below one domain whose servers say nothing.

        The edge has a core of its own; whoever asks, and the upstreams, share the other. What of a difference comes
        from there shows where the same flood goes to somebody else (`elsewhere`).
        """
        upstream = [sys.executable, "-m", "tests.bench.silent", str(SILENT_PORT), ATTACKED]
        silent = subprocess.Popen(["taskset", "-c", "1", *upstream])
        values = {"BENCH_ATTACK": f"{ATTACKED} {SILENT_PORT} {CROWD}"}
        told: dict[str, dict[str, list[load.Load]]] = {"cached": {}, "uncached": {}}
        waiting: dict[str, int] = {}
        try:
            with (
                self._edge("attack", self.inputs.folder / "rules.snapshot", values) as edge,
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere,
            ):
                elsewhere.bind(("127.0.0.1", 0))
                cached = self.inputs.folder / "cached-0.txt"
                load.run(edge.port, cached, self.seconds, source=OTHERS)
                aims = {"quiet": 0, "elsewhere": elsewhere.getsockname()[1], "attacked": edge.port}
                for turn in range(ATTACK_TURNS):
                    for mode, port in aims.items():
                        while self._waiting("attack"):
                            # What is left of the attack before is none of this one's.
                            time.sleep(0.1)
                        with self._flood(port, f"{turn}{mode}"):
                            waiting[mode] = self._waiting("attack")
                            for kind, modes in told.items():
                                file = cached if kind == "cached" else self._uncached(f"{turn}{mode}")
                                one = load.run(edge.port, file, self.seconds, rate=OTHERS_RATE, source=OTHERS)
                                modes.setdefault(mode, []).append(one)
        finally:
            silent.terminate()
            silent.wait(10)
        return {
            kind: {
                mode: {
                    "lost": sum(one.lost for one in turns),
                    "failed": round(max(one.shares.get("SERVFAIL", 0.0) for one in turns), 5),
                    **{
                        f"p{part}_us": round(statistics.median(one.percentile(part / 100) for one in turns), 1)
                        for part in (50, 99)
                    },
                }
                for mode, turns in modes.items()
            }
            for kind, modes in told.items()
        } | {"attack_qps": ATTACK_RATE, "others_qps": OTHERS_RATE, "outstanding": waiting}

    def _waiting(self, name: str) -> int:
        """Questions that an edge's worker has on their way."""
        [control] = (self.inputs.folder / f"{name}.d" / "run").glob("worker-*.sock")
        outstanding: int = call(control, {"command": "status"})[0]["outstanding"]
        return outstanding

    @contextmanager
    def _flood(self, port: int, label: str) -> Iterator[None]:
        """Random names below one domain, to a port; none where that is 0."""
        if not port:
            yield
            return
        # More than last for the measurements, and for what comes between them.
        count = int(ATTACK_RATE * (2 * self.seconds + 10))
        file = files.write_lines(
            self.inputs.folder / "attack.txt", [f"{random.getrandbits(64):x}-{label}.{ATTACKED}" for _ in range(count)]
        )
        command = load.flood(port, file, ATTACK_RATE, CROWD)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as attacking:
            try:
                # What the edge lets wait for one domain is taken before others are looked at.
                time.sleep(1.0)
                yield
            finally:
                attacking.terminate()

    def _uncached(self, label: str) -> Path:
        """Names that nobody has asked before, of domains that answer."""
        clean = self.inputs.clean
        count = int(OTHERS_RATE * (self.seconds + 1))
        return files.write_lines(
            self.inputs.folder / "uncached.txt", [f"o{label}-{i}.{clean[i % len(clean)]}" for i in range(count)]
        )

    def large(self) -> dict[str, Any]:
        """An edge under ten times as many names, beside one under the run's: ready as fast, its list shared."""
        count = len(self.inputs.blocked)
        snapshot = self.build / f"large-{FACTOR * count}.snapshot"
        seconds = 0.0
        if not snapshot.exists():
            self.build.mkdir(parents=True, exist_ok=True)
            seconds, _ = files.make_snapshot(snapshot, self.inputs.blocked, (FACTOR - 1) * count)
        told: dict[str, Any] = {"names": FACTOR * count, "bytes": snapshot.stat().st_size}
        if seconds:
            told["build_s"] = round(seconds, 2)
        for name, path in (("run", self.inputs.folder / "rules.snapshot"), ("large", snapshot)):
            with self._edge(name, path) as edge:
                before = edge.cpu_seconds()
                asked = load.run(edge.port, self.inputs.folder / "blocked-0.txt", self.seconds)
                told[name] = {
                    "ready_s": round(edge.ready, 2),
                    "memory_mb": edge.memory(),
                    "blocked_cpu_us": round(1e6 * (edge.cpu_seconds() - before) / max(asked.completed, 1), 2),
                }
        return told
