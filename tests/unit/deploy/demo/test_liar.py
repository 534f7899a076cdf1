from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from deploy.demo.liar import Copier, Pretence, altered
from lachan.compliance.v1 import report_pb2 as pb
from lachan.spool import Spool

NEWEST = Pretence(2, b"\2" * 32, 1_000)


def report(start: int = 1_000, serial: int = 1) -> pb.Report:
    return pb.Report(
        sequence=4,
        previous_digest=b"\1" * 32,
        window_start=start,
        window_seconds=5,
        list=pb.ListState(serial=serial, records_digest=b"\1" * 32, activated_at=900, checked_at=900),
        queries=[
            pb.QueryCount(transport=pb.TRANSPORT_UDP, profile="default", rcode=0, count=50),
            pb.QueryCount(transport=pb.TRANSPORT_UDP, profile="default", rcode=3, count=20),
        ],
        blocked=[pb.BlockCount(category=pb.CATEGORY_GAMBLING, action=pb.ACTION_NXDOMAIN, count=10)],
    )


def test_the_newest_list_and_more_blocks_are_claimed() -> None:
    lie = altered(report(), b"\7" * 32, NEWEST, 1.5)
    assert lie.list == pb.ListState(serial=2, records_digest=b"\2" * 32, activated_at=1_000, checked_at=1_000)
    assert lie.blocked[0].count == 15
    # The tables still agree with each other, and the chain is the liar's own.
    assert [query.count for query in lie.queries] == [50, 25]
    assert lie.previous_digest == b"\7" * 32
    assert lie.sequence == 4


def test_nothing_is_claimed_that_could_not_have_been() -> None:
    assert altered(report(start=990), b"", NEWEST, 1.5).list.serial == 1
    assert altered(report(), b"", None, 1.5).list.serial == 1
    assert altered(report(serial=3), b"", NEWEST, 1.5).list.serial == 3


def test_the_original_stays_as_it_was() -> None:
    original = report()
    altered(original, b"", NEWEST, 2)
    assert original == report()


def test_a_spool_is_read_while_its_owner_holds_it(tmp_path: Path) -> None:
    copier = Copier(tmp_path / "reports.spool", tmp_path)
    assert copier.read(0) == []
    with contextlib.closing(Spool(tmp_path / "reports.spool")) as spool:
        first = spool.append(b"one", 1.0, {"head": hashlib.sha256(b"one").digest()})
        assert copier.read(0) == [(first.position, b"one")]
        assert copier.read(first.position) == []
        second = spool.append(b"two", 2.0)
        assert copier.read(first.position) == [(second.position, b"two")]
        # The owner noticed nothing.
        assert [item.payload for item in spool.batch(10, 1 << 20)] == [b"one", b"two"]
