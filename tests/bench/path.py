"""`python -m tests.bench.path`: nanoseconds a query that the compiled path itself takes, the kernel's calls left out.

Holds always: every query is answered, and as its workload says, or there is no figure. Steadier than `make bench`
beside other work, since the least of many turns is told; blind to what the kernel does to the processor's caches.
With `--once`, one turn for a profiler: `valgrind --tool=callgrind` or `perf record` before the same command.
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import os
import random
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

from blocklist_sync.artifact.snapshot import Snapshot
from resolver._hot.cache import Cache
from resolver._hot.counters import LAYOUT, Counters
from resolver._hot.engine import Engine
from resolver._hot.forward import Forwarder
from resolver._hot.policy import Policy
from resolver._hot.tally import TALLY_LAYOUT, Tally
from resolver.cookies import CookieSettings
from resolver.guard import make_guard
from resolver.limits import RateLimitSettings
from resolver.local import LocalSettings, compile_locals
from tests.bench import inputs
from tests.bench.tables import say, table
from tests.support.engine import SECRET, Upstream, mapped

BUILD = Path("build/bench")
SOURCE = Path(__file__).with_name("replay.c")
DESCRIPTOR = 1_000_000
TURN = 76_800
ASKED = 300_000
KEPT = {"cached": 10_000, "kept": 100_000}
"""Answers in the cache: the popular ones of `make bench`, and as many again as no processor's cache holds."""

CACHE_BYTES = 512 << 20
NETWORKS = ("127.0.0.0", 104), ("10.0.0.0", 104), ("172.16.0.0", 108), ("192.168.0.0", 112), ("100.64.0.0", 106)


def _wire(name: str, ident: int) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
    return struct.pack("!6H", ident & 0xFFFF, 0x0100, 1, 0, 0, 1) + labels + b"\0\0\1\0\1" + opt


class Compiled:
    """An engine under production settings, with everything in memory as a worker has it."""

    def __init__(self, snapshot: Path) -> None:
        file = snapshot.open("rb")
        size = os.fstat(file.fileno()).st_size
        rules = Snapshot(mmap.mmap(file.fileno(), size, mmap.MAP_SHARED | mmap.MAP_POPULATE, mmap.PROT_READ))
        networks = [(mapped(address), length, 0) for address, length in sorted(NETWORKS, key=lambda item: -item[1])]
        policy = Policy(1, rules, [("default", [], False)], {}, networks, (bytes(4), bytes(16)), False, True, bytes(16))
        rates = RateLimitSettings(queries_per_second=10_000_000, burst=10_000_000, exceptions=())
        fd = os.memfd_create("shared")
        os.ftruncate(fd, CACHE_BYTES + rates.table_bytes)
        shared = memoryview(mmap.mmap(fd, CACHE_BYTES + rates.table_bytes))
        self.upstream = Upstream(64)
        forwarder = Forwarder(200, 20_000)
        forwarder.add_upstream(self.upstream.connected())
        ring = mmap.mmap(-1, LAYOUT["windows"] * LAYOUT["row_cells"] * 8)
        tally = mmap.mmap(-1, TALLY_LAYOUT["halves"] * TALLY_LAYOUT["half_words"] * 8)
        self.engine = Engine(
            policy,
            compile_locals(LocalSettings(), ["default"]),
            Cache(shared[:CACHE_BYTES], SECRET, 0, 86400),
            Counters(memoryview(ring), 300),
            Tally(tally),
            make_guard(CookieSettings(), rates, shared[CACHE_BYTES:], bytes(32), time.time()),
            forwarder,
            86400,
        )

    def keep(self, names: list[str]) -> None:
        """Has the answers to these names in the cache."""
        missing = names
        while missing:
            for start in range(0, len(missing), 100):
                self._ask(missing[start : start + 100])
            missing = [name for name in missing if not self._known(name)]

    def _known(self, name: str) -> bool:
        return self.engine.answer(_wire(name, 0), mapped("10.0.0.1"), 2, 0) is not None

    def _ask(self, names: list[str]) -> None:
        waiting = sum(not self._known(name) for name in names)
        deadline = time.monotonic() + 1
        while waiting and time.monotonic() < deadline:
            for query, source in self.upstream.waiting():
                answer = query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:-11]
                record = b"\xc0\x0c\0\1\0\1\0\1\x51\x80\0\4\xc0\0\2\1"
                self.upstream.socket.sendto(answer + record, source)
            self.engine.tick()
            self.engine.hear()
            waiting -= len(self.engine.collect())


def _queries(workload: str, names: inputs.Inputs, rng: random.Random) -> list[str]:
    if workload == "blocked":
        return [f"{'www.' if rng.random() < 0.3 else ''}{rng.choice(names.blocked)}" for _ in range(ASKED)]
    if workload == "cached":
        return [names.clean[min(int(rng.paretovariate(0.9)), KEPT["cached"]) - 1] for _ in range(ASKED)]
    kept = names.clean[: KEPT["kept"]]
    return [rng.choice(kept) for _ in range(ASKED)]


def _measure(workload: str, arguments: argparse.Namespace, names: inputs.Inputs, snapshot: Path) -> list[str]:
    rng = random.Random(7)
    path = Compiled(snapshot)
    path.keep(names.clean[: KEPT.get(workload, 0)])
    replay = ctypes.CDLL(None)
    replay.replay_answers.restype = replay.replay_denials.restype = ctypes.c_uint64
    packets = [
        _wire(name.swapcase() if rng.random() < 0.3 else name, i)
        for i, name in enumerate(_queries(workload, names, rng))
    ]
    data = b"".join(struct.pack("<H", len(packet)) + packet for packet in packets)
    if replay.replay_load(data, ctypes.c_size_t(len(data)), arguments.batch, arguments.clients) != ASKED:
        sys.exit("the queries were not taken")

    def turn() -> float:
        replay.replay_go(TURN)
        answers, denials = replay.replay_answers(), replay.replay_denials()
        began = time.process_time_ns()
        while replay.replay_answers() < answers + TURN:
            path.engine.drain(DESCRIPTOR, True)
            if time.process_time_ns() - began > 60e9:
                sys.exit(f"{workload}: not every query was answered")
        took = (time.process_time_ns() - began) / TURN
        if replay.replay_denials() - denials != (TURN if workload == "blocked" else 0):
            sys.exit(f"{workload}: answered otherwise than it asks for")
        return took

    turn()
    deadline = time.monotonic() + (0 if arguments.once else arguments.seconds)
    times = [turn()]
    while time.monotonic() < deadline:
        times.append(turn())
    return [workload, f"{min(times):.0f}", f"{statistics.median(times):.0f}", str(len(times))]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", default="blocked,cached,kept")
    parser.add_argument("--names", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=1, help="addresses that ask")
    parser.add_argument("--batch", type=int, default=64, help="queries that wait when a worker looks")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--once", action="store_true")
    arguments = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    library = (BUILD / "replay.so").resolve()
    if os.environ.get("LD_PRELOAD", "") != str(library):
        subprocess.run(["gcc", "-O2", "-Wall", "-shared", "-fPIC", str(SOURCE), "-o", str(library), "-ldl"], check=True)
        command = [sys.executable, "-m", "tests.bench.path", *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | {"LD_PRELOAD": str(library)})  # noqa: S606
    rng = random.Random(7)
    names = inputs.Inputs(
        BUILD, inputs.make_names(arguments.names, rng), inputs.make_names(inputs.CLEAN_NAMES, rng, tag="q")
    )
    snapshot = BUILD / f"path-{arguments.names}.snapshot"
    if not snapshot.exists():
        inputs.make_snapshot(snapshot, names.blocked)
    rows = [_measure(workload, arguments, names, snapshot) for workload in arguments.workloads.split(",")]
    say(table(["", "ns a query, least", "median", "turns"], rows))


if __name__ == "__main__":
    main()
