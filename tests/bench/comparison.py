"""Every server up, then every workload on each of them in turn, so that a slow spell of the machine hits them all.

Holds always: ratios are taken within a round, and their median is told; a server that answers with other response codes
than the workload asks for, or loses more than 0.5 % of the queries, ends the run: speed without the job is no speed.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import load
from tests.bench.inputs import EXPECTED, Inputs
from tests.bench.peers import TLS_OFFSET
from tests.bench.servers import BenchError, Server
from tests.bench.tables import say, table

ECHOED = ("blocked", "cached")
"""Workloads in which nothing but the packet costs: those have a floor."""

LATENCY_RATE = 20_000
LATENCY_SECONDS = 2.0


@dataclass
class Comparison:
    """One run; `results`: of each workload and server the rounds' queries a second, CPU µs a query, losses."""

    inputs: Inputs
    servers: list[Server]
    workloads: list[str]
    rounds: int
    seconds: float
    results: dict[tuple[str, str], list[tuple[float, float, int]]] = field(default_factory=dict)
    latencies: dict[str, dict[str, float]] = field(default_factory=dict)

    def run(self) -> None:
        """Every round, workload and server in turn, then answers' times at a rate that all of them bear."""
        for turn in range(self.rounds):
            for workload in self.workloads:
                for server in self.servers:
                    if not server.peer.echo or workload in ECHOED:
                        self._measure(server, workload, turn)
            for server in self.servers:
                if server.peer.tls:
                    self._measure(server, "dot", turn)
        for server in self.servers:
            self.latencies[server.name] = load.run(
                server.port, self._file("mixed", self.rounds), LATENCY_SECONDS, rate=LATENCY_RATE
            ).quantiles()

    def _file(self, workload: str, turn: int) -> Path:
        return self.inputs.folder / f"{workload}-{turn}.txt"

    def _measure(self, server: Server, workload: str, turn: int) -> None:
        dot = workload == "dot"
        asked = "blocked" if dot else workload
        port, transport = (server.port + TLS_OFFSET, "dot") if dot else (server.port, "udp")
        file = self._file(asked, turn)
        if workload == "cached":
            load.run(port, file, self.seconds)
        before = server.cpu_seconds()
        said = load.run(port, file, self.seconds, transport=transport)
        cpu = 1e6 * (server.cpu_seconds() - before) / max(said.completed, 1)
        for code, (low, high) in zip(("NXDOMAIN", "NOERROR"), EXPECTED[asked], strict=True):
            if not server.peer.echo and not low <= said.shares.get(code, 0.0) <= high:
                raise BenchError(
                    f"{server.name}: {workload} brought {said.shares}, not {code} in {low:.3f}..{high:.3f}"
                )
        if said.lost > 0.005 * (said.completed + said.lost) and said.lost > 1500:
            raise BenchError(f"{server.name}: {workload} lost {said.lost} of {said.completed + said.lost}")
        self.results.setdefault((workload, server.name), []).append((said.qps, cpu, said.lost))

    def ratio(self, workload: str, name: str, other: str) -> float | None:
        """CPU a query of a server against another's: the median of the rounds' ratios."""
        rows, others = self.results.get((workload, name)), self.results.get((workload, other))
        if not rows or not others:
            return None
        return statistics.median(a[1] / b[1] for a, b in zip(rows, others, strict=True))

    def print(self) -> None:
        """A table for each workload, one for times, one for memory."""
        names = [server.name for server in self.servers]
        for workload in [*self.workloads, "dot"]:
            rows = []
            for name in names:
                measured = self.results.get((workload, name))
                if measured:
                    qps, cpu = (statistics.median(row[i] for row in measured) for i in (0, 1))
                    ratios = (self.ratio(workload, name, other) for other in names)
                    rows.append([name, f"{qps:.0f}", f"{cpu:.2f}", str(sum(row[2] for row in measured)),
                                 *("" if ratio is None else f"{ratio:.2f}" for ratio in ratios)])  # fmt: skip
            if rows:
                say(table([workload, "q/s", "CPU µs/q", "lost", *(f"÷ {name}" for name in names)], rows))
        rows = []
        for server in self.servers:
            memory, times = server.memory(), self.latencies[server.name]
            rows.append([server.name, f"{server.ready:.2f}", f"{memory['pss']:.0f}", f"{memory['worker']:.0f}",
                         f"{times['p50_us']:.0f}", f"{times['p99_us']:.0f}"])  # fmt: skip
        rate = f"at {LATENCY_RATE} q/s, mixed"
        say(table(["", "ready s", "PSS MB", "private MB of a worker", f"p50 µs {rate}", "p99 µs"], rows))

    def document(self) -> dict[str, object]:
        """The same for machines: medians, and ratios of CPU a query."""
        names = [server.name for server in self.servers]
        told: dict[str, object] = {}
        for workload in [*self.workloads, "dot"]:
            measured = {name: rows for name in names if (rows := self.results.get((workload, name)))}
            if measured:
                told[workload] = {
                    name: {
                        "qps": round(statistics.median(row[0] for row in rows)),
                        "cpu_us": round(statistics.median(row[1] for row in rows), 2),
                        "lost": sum(row[2] for row in rows),
                        "against": {
                            other: round(ratio, 2)
                            for other in names
                            if other != name and (ratio := self.ratio(workload, name, other)) is not None
                        },
                    }
                    for name, rows in measured.items()
                }
        told["servers"] = {
            server.name: {"ready_s": round(server.ready, 2), "memory_mb": server.memory()} | self.latencies[server.name]
            for server in self.servers
        }
        return told
