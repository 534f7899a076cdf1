"""Load by dnsperf, pinned to the second core: as much as a server takes, or at a rate, with the time of each answer."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

CLIENTS = 8
OUTSTANDING = 400


@dataclass(frozen=True)
class Load:
    """What came of it. `latencies` are seconds, sorted, where they were asked for."""

    completed: int
    lost: int
    qps: float
    shares: dict[str, float]
    latencies: list[float] = field(default_factory=list)

    def percentile(self, part: float) -> float:
        """Microseconds that this part of the answers stayed below."""
        if not self.latencies:
            return 0.0
        return 1e6 * self.latencies[min(len(self.latencies) - 1, int(part * len(self.latencies)))]

    def quantiles(self) -> dict[str, float]:
        """The two that are told."""
        return {"p50_us": round(self.percentile(0.5), 1), "p99_us": round(self.percentile(0.99), 1)}


def command(
    port: int, file: Path, seconds: float, *, transport: str = "udp", rate: int = 0, source: str = "127.0.0.1"
) -> list[str]:
    """Dnsperf's arguments, asking from `source`; with a rate, it tells of each query."""
    told = ["-Q", str(rate), "-v"] if rate else []
    return [
        "taskset", "-c", "1", "dnsperf", "-m", transport, "-s", "127.0.0.1", "-p", str(port), "-d", str(file),
        "-a", source, "-n", "1", "-e", "-c", str(CLIENTS), "-q", str(OUTSTANDING), "-l", str(seconds), *told,
    ]  # fmt: skip


def flood(port: int, file: Path, rate: int, source: str) -> list[str]:
    """Arguments of somebody who asks at a rate whether he is answered or not, until the file or he is ended."""
    return [
        "taskset", "-c", "1", "dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(file), "-a", source,
        "-n", "1", "-e", "-c", str(CLIENTS), "-Q", str(rate), "-q", str(4 * rate), "-t", "1",
    ]  # fmt: skip


def run(
    port: int, file: Path, seconds: float, *, transport: str = "udp", rate: int = 0, source: str = "127.0.0.1"
) -> Load:
    """Asks each query of the file once, for so long at most."""
    out = subprocess.run(
        command(port, file, seconds, transport=transport, rate=rate, source=source),
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    return read(out)


def read(out: str) -> Load:
    """What dnsperf printed."""
    values: dict[str, list[str]] = {}
    latencies = []
    for line in out.splitlines():
        if line.startswith("> "):
            # `> NOERROR name A 0.000123`; a query that timed out ends in no number.
            words = line.split()
            if words[-1][0].isdigit() and "." in words[-1] and len(words) == 5:
                latencies.append(float(words[-1]))
        elif ":" in line and line.split(":", 1)[1].split():
            values[line.split(":")[0].strip()] = line.split(":", 1)[1].split()
    done = int(values["Queries completed"][0])
    codes = values.get("Response codes", [])
    return Load(
        done,
        int(values["Queries lost"][0]),
        float(values["Queries per second"][0]),
        {codes[i]: int(codes[i + 1]) / max(done, 1) for i in range(0, len(codes), 3)},
        sorted(latencies),
    )
