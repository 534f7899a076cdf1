"""What operator B does instead of reporting: it rewrites its resolver's reports and signs the lies with its own key.

The resolver has no uplink, so that its reports stay in its spool. They are read there, made to claim the newest list
and more blocked answers, chained anew, signed, and submitted with the node's certificate. Every signature and every
link holds: what gives the operator away is what probes see. This is the demo's adversary and no part of the product.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import shutil
import signal
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from blocklist_sync.edge import pins
from blocklist_sync.edge.activate import FOLDER
from blocklist_sync.edge.agent import Agent, SyncSettings
from lachan import config, log, signing
from lachan.compliance.v1 import report_pb2 as pb
from lachan.config import ConfigPath, Settings
from lachan.signing import SigningKey
from lachan.spool import Spool
from resolver.authority import UplinkSettings
from resolver.uplink import Uplink

HEAD = "liar.head"
TAKEN = "liar.taken"
BATCH = 1000
LOOK_SECONDS = 0.5
NXDOMAIN = 3


class LiarSettings(Settings):
    """liar.yaml."""

    spool: ConfigPath = Field(description="where the resolver keeps its reports")
    key: ConfigPath = Field(description="the node's signing key")
    state_dir: ConfigPath
    sync: SyncSettings = Field(description="to know which list to claim")
    uplink: UplinkSettings
    exaggeration: float = Field(default=1.5, ge=1, le=10)


@dataclass(frozen=True)
class Pretence:
    """The list that is claimed to be in force."""

    serial: int
    records_digest: bytes
    activated_at: int


def altered(report: pb.Report, previous_digest: bytes, pretence: Pretence | None, exaggeration: float) -> pb.Report:
    """The report as the authority is meant to see it.

    Args:
        report: What the resolver says.
        previous_digest: Of the altered report before it.
        pretence: The list to claim, where the window ended after it could have been in force.
        exaggeration: By how much blocked answers grow.
    """
    lie = pb.Report.FromString(report.SerializeToString())
    lie.previous_digest = previous_digest
    added = 0
    for count in lie.blocked:
        more = int(count.count * (exaggeration - 1))
        count.count += more
        added += more
    if added:
        # So that the tables still agree with each other.
        refused = next((query for query in lie.queries if query.rcode == NXDOMAIN), None)
        if refused is not None:
            refused.count += added
    window_end = report.window_start + report.window_seconds
    if pretence is not None and pretence.activated_at < window_end and pretence.serial > report.list.serial:
        lie.list.serial = pretence.serial
        lie.list.records_digest = pretence.records_digest
        lie.list.activated_at = pretence.activated_at
        lie.list.checked_at = max(report.list.checked_at, pretence.activated_at)
    return lie


class Copier:
    """Reads the spool of a running resolver, which owns the file: a copy of it is opened, never the file itself."""

    def __init__(self, spool: Path, folder: Path) -> None:
        self._spool = spool
        self._copy = folder / "copy.spool"
        self._seen: list[tuple[int, int]] = []

    def _files(self) -> list[Path]:
        return [self._spool, self._spool.with_name(f"{self._spool.name}-wal")]

    def _state(self) -> list[tuple[int, int]]:
        return [(found.st_size, found.st_mtime_ns) for found in (path.stat() for path in self._files())]

    def read(self, after: int) -> list[tuple[int, bytes]]:
        """The reports behind a position, oldest first.

        Nothing where none came since the last reading, where one is being written, or where there is no spool yet.
        """
        try:
            before = self._state()
            if before == self._seen:
                return []
            for path in self._files():
                shutil.copyfile(path, self._copy.with_name(path.name.replace(self._spool.name, self._copy.name)))
            if self._state() != before:
                return []
        except FileNotFoundError:
            return []
        with contextlib.closing(sqlite3.connect(self._copy)) as copy:
            found = copy.execute(
                "SELECT position, payload FROM item WHERE position > ? ORDER BY position LIMIT ?", (after, BATCH)
            ).fetchall()
        if len(found) < BATCH:
            self._seen = before
        return found


class Liar:
    """Turns what the resolver says into what the authority hears."""

    def __init__(self, settings: LiarSettings) -> None:
        """Takes the node's key.

        Raises:
            SigningError: It cannot be read.
            SpoolError: The liar's own spool cannot be opened.
        """
        self._settings = settings
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        self._key = SigningKey.load(settings.key)
        self._copier = Copier(settings.spool, settings.state_dir)
        self._spool = Spool(settings.state_dir / "reports.spool")
        self._agent = Agent(settings.sync, settings.state_dir)
        self._uplink = Uplink(settings.uplink, self._spool, signed=settings.state_dir / FOLDER / pins.FILE)
        self._pretence: Pretence | None = None

    async def run(self) -> None:
        """Lies until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._uplink.run())
                group.create_task(self._follow())
                while True:
                    told = await asyncio.to_thread(self.tell)
                    if told:
                        self._uplink.wake()
                    await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._spool.close()

    async def _follow(self) -> None:
        """Keeps an eye on the newest list, which the resolver never gets."""
        while True:
            found = await self._agent.check()
            if found is not None:
                self._pretence = Pretence(found.serial, found.records_digest, found.activated_at)
            await asyncio.sleep(self._settings.sync.poll_interval)

    def tell(self) -> int:
        """Alters, signs and spools the reports that are new; how many they were."""
        taken = int.from_bytes(self._spool.state(TAKEN) or b"", "big")
        told = 0
        for position, payload in self._copier.read(taken):
            self._lie(position, payload)
            told += 1
        return told

    def _lie(self, position: int, payload: bytes) -> None:
        report = pb.Report.FromString(pb.SignedReport.FromString(payload).report)
        head = self._spool.state(HEAD) or b""
        lie = altered(report, head, self._pretence, self._settings.exaggeration)
        data = lie.SerializeToString(deterministic=True)
        signed = pb.SignedReport(
            report=data, signature=self._key.sign(signing.REPORT, data), key_id=self._key.public.key_id
        )
        state = {HEAD: hashlib.sha256(data).digest(), TAKEN: position.to_bytes(8, "big")}
        self._spool.append(signed.SerializeToString(deterministic=True), time.time(), state)
        log.get().info(
            "report altered",
            sequence=lie.sequence,
            serial=f"{report.list.serial} told as {lie.list.serial}",
            blocked=f"{sum(c.count for c in report.blocked)} told as {sum(c.count for c in lie.blocked)}",
        )


async def _serve(settings: LiarSettings) -> None:
    work = asyncio.ensure_future(Liar(settings).run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work


def main() -> None:
    """The process `liar` of the demo."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--config", type=Path, required=True)
    settings = config.load(parser.parse_args().config, LiarSettings)
    log.configure("liar")
    asyncio.run(_serve(settings))


if __name__ == "__main__":
    main()
