"""What only this resolver is asked: a list swapped under load, ten times the names, a warm cache, random subdomains.

Each starts an edge of its own on the second set of ports, measures it, and ends it.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
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
ATTACK_RATE = 20_000
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
    def _edge(self, name: str, snapshot: Path) -> Iterator[Server]:
        server = Server(name, Peer(PORT, "sh", [str(EDGE)]), self.inputs.folder, {"BENCH_SNAPSHOT": str(snapshot)})
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
        """Times of others' answers while somebody asks random names below one domain."""
        names = [f"a{i:x}.victim-{self.inputs.clean[0]}" for i in range(int(ATTACK_RATE * (self.seconds + 2)))]
        file = files.write_lines(self.inputs.folder / "attack.txt", names)
        others = self.inputs.folder / "cached-0.txt"
        with self._edge("attack", self.inputs.folder / "rules.snapshot") as edge:
            load.run(edge.port, others, self.seconds)
            steady = load.run(edge.port, others, self.seconds, rate=RATE)
            attacking = subprocess.Popen(
                load.command(edge.port, file, self.seconds + 1, rate=ATTACK_RATE),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                under = load.run(edge.port, others, self.seconds, rate=RATE)
            finally:
                attacking.wait()
        return {"lost": under.lost, "steady": steady.quantiles(), "attacked": under.quantiles()}

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
