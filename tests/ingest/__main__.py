"""Measures how fast reports are taken, and kills what takes them: `make ingest`, or `python -m tests.ingest`.

Real service processes, a real PostgreSQL that writes to the disk, mutual TLS and real signing nodes in processes of
their own. First one service and its database on one core, the nodes on the others: the rate per core is the number of
reports over the seconds of processor that the service and all processes of the database took for them (proc(5)), beside
what was reached by the clock. Then two services on one database, under load of single reports and batches, each killed
with SIGKILL and brought back, PostgreSQL too; and at last what was acknowledged is held against what is stored. The
last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.ingest.kills import survive
from tests.ingest.place import Nodes, Place, everybody, operators, say

BATCH = 256
WARM_SECONDS = 2.0


def quantile(took: Sequence[float], share: float) -> float:
    ordered = sorted(took)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


GOALS: Mapping[str, Callable[[float], bool]] = {
    "single_per_s": lambda rate: rate >= 1000,
    "batched_per_s": lambda rate: rate >= 3000,
    "p99_ms": lambda took: took < 250,
}
"""Of a core; a slower run ends with 1."""


def measured(
    place: Place, groups: Sequence[Nodes], what: str, seconds: float, **order: Any
) -> tuple[float, float, int]:
    """Reports a second of processor time, the 99th percentile of a call in seconds, and how many were taken."""
    everybody(groups, do="run", seconds=WARM_SECONDS, **order)
    # As many as a call takes, and some; the rest is signed while the service works.
    everybody(groups, do="sign", count=2 * BATCH)
    before, began = place.processor_seconds(), time.monotonic()
    answers = everybody(groups, do="run", seconds=seconds, **order)
    wall, used = time.monotonic() - began, place.processor_seconds() - before
    taken = sum(answer["taken"] for answer in answers)
    took = [seconds for answer in answers for seconds in answer["took"]]
    say(
        f"{what}: {taken} reports in {len(took)} calls, {taken / used:.0f}/s a core ({used:.1f} s of processor,"
        f" {1e6 * used / taken:.0f} us a report); {taken / wall:.0f}/s by the clock, {used / wall:.0%} of a core busy;"
        f" a call: median {1000 * quantile(took, 0.5):.0f} ms, p99 {1000 * quantile(took, 0.99):.0f} ms"
    )
    return taken / used, quantile(took, 0.99), taken


def beside(groups: Sequence[Nodes], seconds: float, catching_up: int) -> int:
    """Single reports while some nodes catch up: how long they wait, and how many were taken of both kinds."""
    first, *others = groups
    first.order(do="run", seconds=seconds, batch=BATCH, most=catching_up)
    for one in others:
        one.order(do="run", seconds=seconds, batch=1)
    batched, singles = first.answer(), [one.answer() for one in others]
    took = [seconds for answer in singles for seconds in answer["took"]]
    taken = sum(answer["taken"] for answer in singles)
    say(
        f"one report a call, while {catching_up} nodes catch up with {batched['taken']} reports: {taken} reports,"
        f" median {1000 * quantile(took, 0.5):.0f} ms, p99 {1000 * quantile(took, 0.99):.0f} ms"
    )
    return int(batched["taken"]) + taken


def rates(folder: Path, nodes: int, processes: int, seconds: float, catching_up: int) -> dict[str, Any]:
    """How fast, per core."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    place = Place(folder, operators(nodes), services=1)
    try:
        place.start()
        with place.nodes(processes, cores[1:] or cores) as groups:
            say(f"one service and its database on core {cores[0]}, {nodes} nodes in {processes} processes beside it")
            single, p99, taken = measured(place, groups, "one report a call", seconds, batch=1)
            most = max(1, catching_up // processes)
            batched, batched_p99, more = measured(
                place, groups, f"batches of {BATCH}, {most * processes} at a time", seconds, batch=BATCH, most=most
            )
            if processes > 1:
                more += beside(groups, seconds, catching_up)
    finally:
        place.close()
        os.sched_setaffinity(0, set(cores))
    return {
        "single_per_s": round(single),
        "batched_per_s": round(batched),
        "p99_ms": round(1000 * p99, 1),
        "batched_p99_ms": round(1000 * batched_p99, 1),
        "reports": taken + more,
    }


def main() -> None:
    """Measures, kills, proves and prints."""
    parser = argparse.ArgumentParser(prog="tests.ingest", description=__doc__)
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--processes", type=int, default=2, help="that nodes are dealt out to")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--catching-up", type=int, default=2, help="nodes that hand in batches at a time")
    parser.add_argument("--kill-seconds", type=float, default=2.0, help="of load before and after each kill")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lachan-ingest-") as name:
        folder = Path(name)
        found = rates(folder / "rates", options.nodes, options.processes, options.seconds, options.catching_up)
        proof, kills, differing = survive(
            folder / "kills", options.nodes // 2, options.processes, options.kill_seconds, 5, 64
        )
    say(
        f"{proof.acknowledged} reports acknowledged over {kills} kills, {proof.stored} stored: {proof.lost} lost,"
        f" {proof.doubled} doubled, {proof.astray} astray in log or chain, {differing} receipts that changed"
    )
    found["reports"] += proof.acknowledged
    say(json.dumps({**found, "kills": kills, "lost": proof.lost, "doubled": proof.doubled}))
    slow = [name for name, holds in GOALS.items() if not holds(found[name])]
    if slow:
        say(f"not as fast as wanted: {', '.join(slow)}")
    if proof.lost or proof.doubled or proof.astray or differing or slow:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
