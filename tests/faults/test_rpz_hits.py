"""The hit log agent, killed before every change that it makes to the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocklist_sync.artifact._snapshot import Snapshot
from blocklist_sync.artifact.policy import default
from lachan import config
from lachan.compliance.v1 import report_pb2 as pb
from lachan.spool import Spool
from resolver.rpzlog.agent import HitLogAgent
from resolver.rpzlog.judging import List
from resolver.rpzlog.settings import HitsFile
from tests.support.blocklist import built, entry
from tests.support.killed import at_every_step

START = 1_800_000_000
SECONDS = 10
TEXT = """
organisation: isp-a
node: resolver-1
state_dir: state
log: {path: rpz.log, form: lachan, settle: 1s}
zone: {origin: lachan.rpz.so.example, resolver: "127.0.0.1:53"}
sync: {repository: "https://lists.so.example", root: root.json, ca: ca.pem}
report: {window: 10s}
"""


class Node:
    """An agent that is made anew for every turn, as after a kill."""

    def __init__(self, folder: Path) -> None:
        (folder / "state").mkdir()
        self.folder = folder
        self.file = config.parse(TEXT, HitsFile, base=folder)
        self.log = folder / "rpz.log"
        self.log.touch()
        self.now = START
        self.written: dict[int, int] = {}
        self._lists = [List(Snapshot(built(entry("bad.example"))), default())]

    def turn(self) -> None:
        spool = Spool(self.folder / "state" / "reports.spool")
        agent = HitLogAgent(self.file, spool, self.now)
        agent._lists = self._lists
        agent.turn(self.now)
        spool.close()

    def hits(self, count: int) -> None:
        """So many of them, now."""
        with self.log.open("a") as file:
            file.writelines(f"lachan-hit {self.now} nxdomain *.bad.example. www.bad.example.\n" for _ in range(count))
        start = self.now - self.now % SECONDS
        self.written[start] = self.written.get(start, 0) + count

    def told(self) -> dict[int, pb.Report]:
        spool = Spool(self.folder / "state" / "reports.spool")
        items = spool.batch(1000, 1 << 20)
        spool.close()
        reports = [pb.Report.FromString(pb.SignedReport.FromString(item.payload).report) for item in items]
        by_start = {report.window_start: report for report in reports}
        assert len(by_start) == len(reports)
        return by_start


@pytest.mark.forks
def test_a_kill_at_any_step_loses_no_hit_and_doubles_none(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.turn()
    for turn in range(6):
        node.hits(5)
        for step in at_every_step(node.turn):
            node.hits(step % 4)
            if step == turn + 2:
                node.log.rename(tmp_path / f"rpz.log.{turn}")
            if step % 3 == turn % 3:
                node.now += SECONDS
    node.now += 3 * SECONDS
    node.turn()
    told = node.told()
    assert [report.sequence for report in told.values()] == list(range(1, len(told) + 1))
    assert sum(node.written.values()) > 60
    for start, count in node.written.items():
        assert sum(cell.count for cell in told[start].blocked) == count, start
    assert sum(report.hit_log.gaps + report.hit_log.late + report.hit_log.unknown for report in told.values()) == 0


def test_a_tally_that_is_lost_or_damaged_is_told_as_a_gap(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.turn()
    node.now += 2 * SECONDS
    node.turn()
    for damage in (lambda path: path.unlink(), lambda path: path.write_text("{")):
        damage(tmp_path / "state" / "hits.json")
        node.hits(3)
        node.turn()
        node.now += 2 * SECONDS
        node.turn()
    # What was in the log before is not told again, and what came meanwhile may be missing: said, not guessed.
    told = node.told()
    assert sum(report.hit_log.gaps for report in told.values()) == 2
    assert len({bytes(report.boot_epoch) for report in told.values()}) == 3


def test_without_a_list_the_log_waits(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.turn()
    lists, node._lists = node._lists, []
    node.hits(2)
    node.now += 2 * SECONDS
    node.turn()
    assert not node.told()
    node._lists = lists
    node.turn()
    assert sum(cell.count for report in node.told().values() for cell in report.blocked) == 2
