"""Reports from a real process to a real service: down for 60 windows, the process killed again and again meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from lachan import signing
from lachan.compliance.v1 import report_pb2 as pb
from lachan.signing import SigningKey, VerifyKey
from lachan.spool import Spool
from lachan.tls import Role
from tests.support.authority import Authority
from tests.support.protos import ROOT
from tests.support.reporting_node import BEGIN, SECONDS, counts, write_clock
from tests.support.wait import until

WINDOWS = 60
EPOCHS = ("11" * 16, "22" * 16)


def set_up(folder: Path, authority: Authority) -> VerifyKey:
    """Everything a node needs in its folder; its public key."""
    key = SigningKey.generate()
    key.save(folder / "node.key")
    files = authority.papers.issue("isp-a", Role.NODE, "edge-1")
    (folder / "uplink.yaml").write_text(
        f"target: {authority.target}\n"
        f"tls: {{ca: {files.ca}, certificate: {files.certificate}, key: {files.key}}}\n"
        f"authority_key: {authority.key_file}\n"
        "backoff_first: 10ms\nbackoff_max: 50ms\nbatch: 7\n"
    )
    write_clock(folder, BEGIN)
    return key.public


class Node:
    """The process, which may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self.told: list[int] = []

    async def start(self, epoch: str) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.reporting_node", str(self._folder), epoch,
            cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read(self._process))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.told.append(int(line))

    async def kill(self) -> None:
        if self._process is not None and self._reading is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            await self._reading
            self._process = None


@contextlib.asynccontextmanager
async def node_and_authority(folder: Path) -> AsyncIterator[tuple[Node, Authority, VerifyKey]]:
    authority = Authority(folder)
    await authority.start()
    key = set_up(folder, authority)
    await authority.stop()
    node = Node(folder)
    try:
        yield node, authority, key
    finally:
        await node.kill()
        await authority.stop()


def check_chain(authority: Authority, key: VerifyKey) -> None:
    """Every window exactly once, in one chain over both epochs, with the counts that were counted."""
    digest, previous_epoch, epoch, sequence = b"", b"", b"", 0
    for place, signed in enumerate(authority.reports):
        key.verify(signing.REPORT, signed.report, signed.signature)
        report = pb.Report.FromString(signed.report)
        start = BEGIN + place * SECONDS
        assert report.window_start == start
        assert report.previous_digest == digest
        if report.boot_epoch != epoch:
            previous_epoch, epoch, sequence = epoch, report.boot_epoch, 0
        sequence += 1
        assert (report.sequence, report.previous_boot_epoch) == (sequence, previous_epoch)
        assert (report.spool_lost, report.windows_lost) == (False, 0)
        expected = counts(start)
        assert report.queries[0].count == expected.queries[1, "default", 0]
        assert sum(cell.count for cell in report.blocked) == expected.blocked[1, 1]
        digest = hashlib.sha256(signed.report).digest()
    assert [bytes.fromhex(known) for known in EPOCHS] == list(
        dict.fromkeys(report.boot_epoch for report in authority.parsed())
    )


async def test_every_window_arrives_once_through_an_outage_and_kills(tmp_path: Path) -> None:
    rng = random.Random(11)
    async with node_and_authority(tmp_path) as (node, authority, key):
        closed = 0
        await node.start(EPOCHS[0])
        while closed < WINDOWS:
            closed = min(WINDOWS, closed + rng.randint(1, 9))
            told = len(node.told)
            write_clock(tmp_path, BEGIN + closed * SECONDS + 1)
            await until(lambda told=told: len(node.told) > told)
            # In the middle of whatever it does now.
            await asyncio.sleep(rng.uniform(0, 0.02))
            await node.kill()
            await node.start(EPOCHS[closed > WINDOWS // 2])
        await authority.start()
        for count in (10, 30):
            await authority.until(lambda count=count: len(authority.reports) >= count)
            await node.kill()
            await node.start(EPOCHS[1])
        await authority.until(lambda: len(authority.reports) >= WINDOWS)
        # Repetitions of what was stored but not acknowledged before a kill may still come; nothing new does.
        write_clock(tmp_path, BEGIN + (WINDOWS + 1) * SECONDS + 1)
        await authority.until(lambda: len(authority.reports) == WINDOWS + 1)
        await node.kill()
        check_chain(authority, key)
        spool = Spool(tmp_path / "reports.spool")
        left = [item.payload for item in spool.batch(1000, 1 << 20)]
        proofs = len(spool.proofs(1000))
        spool.close()
        # Killed right after the service stored the last ones: their receipts may not have arrived.
        assert proofs + len(left) == WINDOWS + 1
        stored = {report.SerializeToString(deterministic=True) for report in authority.reports}
        assert set(left) <= stored
