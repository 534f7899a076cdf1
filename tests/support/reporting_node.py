"""A node that reports and does nothing else: real Reporter, Uplink and spool; its clock is a file, its counts invented.

Run as `python -m tests.support.reporting_node FOLDER EPOCH`; prints the start of every window it told.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from pathlib import Path

from lachan import log
from lachan.config import load
from lachan.signing import SigningKey
from lachan.spool import Spool
from resolver.authority import UplinkSettings
from resolver.counters import WindowCounts
from resolver.report import ClockState, ListState, Reporter
from resolver.uplink import Uplink

BEGIN = 1_750_000_000
SECONDS = 5
POLL_SECONDS = 0.002


def write_clock(folder: Path, now: float) -> None:
    """Sets the node's clock."""
    fresh = folder / "clock.new"
    fresh.write_bytes(struct.pack("d", now))
    fresh.rename(folder / "clock")


def read_clock(folder: Path) -> float:
    """The node's clock."""
    now: float = struct.unpack("d", (folder / "clock").read_bytes())[0]
    return now


def counts(start: int) -> WindowCounts:
    """What was counted in a window, as everybody can tell."""
    return WindowCounts(start, SECONDS, {(1, "default", 0): start % 1009 + 1}, {(1, 1): start % 13}, {}, 0, 0)


async def _run(folder: Path, epoch: bytes) -> None:
    log.configure("node")
    spool = Spool(folder / "reports.spool")
    reporter = Reporter(spool, SigningKey.load(folder / "node.key"), "isp-a", "edge-1")
    uplink = Uplink(load(folder / "uplink.yaml", UplinkSettings), spool)
    delivering = asyncio.create_task(uplink.run())
    while not delivering.done():
        now = read_clock(folder)
        for start in reporter.due(now, BEGIN, SECONDS):
            reporter.write(counts(start), epoch, ListState(serial=1), ClockState(True, 1, 0), now, enforcing=True)
            sys.stdout.write(f"{start}\n")
            sys.stdout.flush()
            uplink.wake()
        await asyncio.sleep(POLL_SECONDS)
    await delivering


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1]), bytes.fromhex(sys.argv[2])))
