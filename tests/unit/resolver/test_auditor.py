"""The auditor against a real service on loopback, with a ledger in memory that can be made to cheat."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from blocklist_sync.edge import pins
from lachan.compliance.v1 import audit_service_pb2 as pb
from lachan.compliance.v1 import audit_service_pb2_grpc as stubs
from lachan.compliance.v1 import report_pb2
from lachan.ledger import checkpoint, note, tree
from lachan.ledger.batch import signed
from lachan.ledger.leaf import Kind, Opening
from lachan.spool import Spool
from resolver.auditor import FOLDER, Auditor, Doubt
from resolver.heads import CONTRADICTION
from resolver.trust import Trust
from resolver.uplink import Uplink
from tests.support.authority import Authority
from tests.support.ledger import NOON, Book, Parties, forest
from tests.support.pins import targets
from tests.support.wait import until
from tests.unit.resolver.test_uplink import fill, running, settings


class Ledger(Authority, stubs.AuditServiceServicer):
    """Enters every report, and shows heads that two witnesses cosigned."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.parties = Parties()
        self.book = Book(self.parties)
        self.size = 0
        self.bend: Callable[[pb.ProvenLeaf], object] = lambda _: None
        self.head: bytes | None = None

    def serve_more(self, server: grpc.aio.Server) -> None:
        stubs.add_AuditServiceServicer_to_server(self, server)

    def _store(self, report: report_pb2.SignedReport) -> report_pb2.SignedReceipt:
        known = len(self.reports)
        receipt = super()._store(report)
        if len(self.reports) > known:
            self.book.enter(Kind.REPORT, signed(report.report, report.signature, report.key_id))
        return receipt

    async def GetCheckpoint(self, request: Any, context: Any) -> pb.GetCheckpointResponse:  # noqa: N802 - gRPC's name
        del request, context
        size = min(self.size, self.book.woods.size)
        data = self.book.head(size).encode() if size else b""
        return pb.GetCheckpointResponse(checkpoint=data if self.head is None else self.head)

    async def ProveInclusion(  # noqa: N802 - gRPC's name
        self, request: pb.ProveInclusionRequest, context: Any
    ) -> pb.ProveInclusionResponse:
        del context
        leaves = []
        for index in request.indexes:
            own = self.book.openings[index]
            opening = pb.LeafOpening(salt=own.salt, kind=own.kind, entered_at=own.entered_at)
            proof = self.book.woods.inclusion(index, request.size)
            leaf = pb.ProvenLeaf(index=index, commitment=own.commitment, proof=proof, opening=opening)
            self.bend(leaf)
            leaves.append(leaf)
        return pb.ProveInclusionResponse(leaves=leaves)

    async def ProveConsistency(  # noqa: N802 - gRPC's name
        self, request: pb.ProveConsistencyRequest, context: Any
    ) -> pb.ProveConsistencyResponse:
        del context
        return pb.ProveConsistencyResponse(proof=self.book.woods.consistency(request.old_size, request.new_size))


@contextlib.asynccontextmanager
async def edge(folder: Path) -> AsyncIterator[tuple[Ledger, Spool, Uplink]]:
    authority = Ledger(folder)
    await authority.start()
    (folder / "policy").write_text(authority.parties.policy_text)
    spool = Spool(folder / "spool.db")
    pin = {"policy": folder / "policy", "poll": 0.01, "check": 0.1}
    made = settings(authority, ledger=pin)
    try:
        yield authority, spool, Uplink(made, spool, random.Random(1), wall=lambda: NOON + 3600.0)
    finally:
        await authority.stop()
        spool.close()


async def test_a_report_stays_until_it_is_proven_under_a_cosigned_head(tmp_path: Path) -> None:
    async with edge(tmp_path) as (authority, spool, uplink):
        fill(spool, 3)
        async with running(uplink):
            await until(lambda: spool.stats().acknowledged == 3)
            assert spool.stats().items == 3
            authority.size = 2
            await until(lambda: spool.stats().items == 1)
            authority.size = 3
            await until(lambda: spool.stats().items == 0)
            # The disk first, then what is told of it.
            await until(lambda: uplink.status.ledger is not None and uplink.status.ledger.proven == 3)
            status = uplink.status.ledger
        assert authority.calls == [3]
        assert status is not None
        assert (status.size, status.proven, status.doubts, status.contradicted) == (3, 3, {}, False)
        # All that is needed to show anybody that the report was made.
        for proof in spool.proofs(10):
            proven = pb.ProvenReceipt.FromString(proof.proof)
            head = checkpoint.parse(note.parse(proven.checkpoint).text)
            leaf, report = proven.leaf, authority.reports[proven.leaf.index]
            content = signed(report.report, report.signature, report.key_id)
            Opening(leaf.opening.salt, Kind.REPORT, leaf.opening.entered_at, content).check(leaf.commitment)
            tree.verify_inclusion(tree.leaf_hash(leaf.commitment), leaf.index, head.size, leaf.proof, head.root)
            assert report_pb2.Receipt.FromString(proven.receipt.receipt).index == leaf.index


async def test_what_the_list_s_repository_pins_is_demanded_without_a_file_of_one_s_own(tmp_path: Path) -> None:
    """A quorum that no head here reaches, and later one that does, as where a witness was replaced."""
    authority = Ledger(tmp_path)
    await authority.start()
    spool = Spool(tmp_path / "spool.db")
    signed_by = tmp_path / pins.FILE
    made = settings(authority, ledger={"poll": 0.01, "check": 0.1})
    uplink = Uplink(made, spool, random.Random(1), wall=lambda: NOON + 3600.0, signed=signed_by)
    text = authority.parties.policy_text
    try:
        fill(spool, 2)
        authority.size = 2
        async with running(uplink):
            # Not known yet: a receipt alone lets nothing go.
            await until(lambda: spool.stats().acknowledged == 2)
            pins.keep(signed_by, targets(1, text.replace(" 2 ", " 3 ")))
            await until(lambda: uplink.status.ledger.doubts.get(Doubt.HEAD, 0) > 0)  # type: ignore[union-attr] # there is one
            assert spool.stats().items == 2
            pins.keep(signed_by, targets(2, text))
            await until(lambda: spool.stats().items == 0)
            assert spool.stats().acknowledged == 0
    finally:
        await authority.stop()
        spool.close()


async def test_where_nobody_pins_a_policy_what_waited_goes_with_its_receipt(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    await authority.start()
    spool = Spool(tmp_path / "spool.db")
    signed_by = tmp_path / pins.FILE
    made = settings(authority, ledger={"poll": 0.01, "check": 0.1})
    uplink = Uplink(made, spool, random.Random(1), signed=signed_by)
    try:
        fill(spool, 2)
        async with running(uplink):
            await until(lambda: spool.stats().acknowledged == 2)
            pins.keep(signed_by, targets(1, None))
            await until(lambda: spool.stats().items == 0)
            fill(spool, 1, first=2)
            uplink.wake()
            await until(lambda: spool.stats().items == 0)
    finally:
        await authority.stop()
        spool.close()


async def test_what_has_a_receipt_is_proven_after_a_restart_and_not_sent_again(tmp_path: Path) -> None:
    async with edge(tmp_path) as (authority, spool, uplink):
        fill(spool, 2)
        async with running(uplink):
            await until(lambda: spool.stats().acknowledged == 2)
        authority.size = 2
        trust = Trust(tmp_path / "policy", None)
        auditor = Auditor(uplink._settings, trust, spool, random.Random(1), lambda: NOON + 3600.0)
        assert await auditor.turn() is False
        assert spool.stats().items == 0
        assert authority.calls == [2]


@pytest.mark.parametrize(
    "bend",
    [
        lambda leaf: leaf.ClearField("opening"),
        lambda leaf: setattr(leaf, "commitment", bytes(32)),
        lambda leaf: setattr(leaf.opening, "entered_at", 1),
        lambda leaf: setattr(leaf.opening, "kind", "law"),
        lambda leaf: setattr(leaf.opening, "salt", b"short"),
        lambda leaf: leaf.proof.append(bytes(32)),
        lambda leaf: setattr(leaf, "index", leaf.index + 100),
    ],
)
async def test_a_report_that_is_not_proven_stays(tmp_path: Path, bend: Callable[[pb.ProvenLeaf], object]) -> None:
    async with edge(tmp_path) as (authority, spool, uplink):
        fill(spool, 2)
        authority.bend, authority.size = bend, 2
        async with running(uplink):
            await until(lambda: uplink.status.ledger.doubts.get(Doubt.INCLUSION, 0) >= 2)  # type: ignore[union-attr] # it is pinned
            assert spool.stats().items == 2
            authority.bend = lambda _: None
            await until(lambda: spool.stats().items == 0)


async def test_while_the_ledger_contradicts_itself_nothing_leaves(tmp_path: Path) -> None:
    async with edge(tmp_path) as (authority, spool, uplink):
        fill(spool, 2)
        authority.size = 2
        async with running(uplink):
            await until(lambda: spool.stats().items == 0 and spool.stats().acknowledged == 0)
            # The same witnesses have cosigned another tree: split view.
            woods = forest(2, b"other ")
            split = authority.parties.head(2, woods.root(), {"w1": NOON, "w2": NOON})
            authority.head = split.encode()
            await until(lambda: uplink.status.ledger.contradicted)  # type: ignore[union-attr] # it is pinned
            fill(spool, 1, first=2)
            uplink.wake()
            authority.head, authority.size = None, 3
            await until(lambda: spool.stats().acknowledged == 1)
            await until(lambda: uplink.status.ledger.doubts[Doubt.CONTRADICTION] > 2)  # type: ignore[union-attr] # as above
            assert spool.stats().items == 1
            kept = tmp_path / FOLDER / CONTRADICTION
            assert kept.read_bytes() == split.encode()
            # Somebody has looked, and takes the proof away.
            kept.unlink()
            await until(lambda: spool.stats().items == 0)


async def test_heads_that_are_not_believed_prove_nothing(tmp_path: Path) -> None:
    async with edge(tmp_path) as (authority, spool, uplink):
        fill(spool, 2)
        async with running(uplink):
            await until(lambda: spool.stats().acknowledged == 2)
            authority.head = authority.parties.head(2, authority.book.woods.root(2), {"w1": NOON}).encode()
            await until(lambda: uplink.status.ledger.doubts.get(Doubt.HEAD, 0) > 0)  # type: ignore[union-attr] # it is pinned
            authority.head, authority.size = None, 2
            await until(lambda: spool.stats().items == 0)
            authority.size = 1
            await until(lambda: uplink.status.ledger.doubts.get(Doubt.OLDER, 0) > 0)  # type: ignore[union-attr] # as above
            await authority.stop()
            await until(lambda: uplink.status.ledger.doubts.get(Doubt.UNAVAILABLE, 0) > 0)  # type: ignore[union-attr] # as above
