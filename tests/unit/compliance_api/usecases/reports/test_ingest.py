from __future__ import annotations

import asyncio
import hashlib

import pytest

from compliance_api.domain.parties.organisation import Label, Node, Organisation, OrganisationKind, Registry
from compliance_api.domain.reports.chain import Relation
from compliance_api.errors import MAX_VIOLATIONS, BusyError, InvalidRequestError, NotPermittedError
from compliance_api.usecases.reports.grouping import Call
from compliance_api.usecases.reports.ingest import MAX_REPORTS, SLICE, Ingest
from compliance_api.usecases.reports.room import Capacity, Room
from compliance_api.usecases.reports.standing import Logged
from lachan.compliance.v1 import report_pb2 as pb
from lachan.signing import RECEIPT, REPORT, SigningKey
from lachan.tls import Identity, Role
from tests.support.cases import NOW

NODE_KEY, SERVICE_KEY = SigningKey.generate(), SigningKey.generate()
NODE = Node("e1", NODE_KEY.public.raw, (), frozenset())
OWNER = Organisation("a", OrganisationKind.OPERATOR, Label("x", "x"), frozenset(), (NODE,))
CALLER = Identity("a", Role.NODE, "e1")


class Store:
    def __init__(self) -> None:
        self.calls: list[tuple[str, str, int]] = []

    async def add(self, call: Call) -> list[Logged]:
        self.calls.append((call.operator, call.node, len(call.claims)))
        return [Logged(40 + index, NOW, Relation.EXTENDS, again=False) for index, _ in enumerate(call.claims)]


def signed(number: int, **changes: object) -> pb.SignedReport:
    report = pb.Report(
        organisation="a", node="e1", boot_epoch=b"e" * 16, sequence=number, window_start=300, window_seconds=300
    )
    report.MergeFrom(pb.Report(**changes))  # type: ignore[arg-type] # the fields' types are the caller's care
    data = report.SerializeToString()
    return pb.SignedReport(report=data, signature=NODE_KEY.sign(REPORT, data), key_id=NODE_KEY.public.key_id)


def ingest(store: Store, room: Room | None = None) -> Ingest:
    return Ingest(Registry((), (OWNER,)), store, SERVICE_KEY, room or Room(Capacity()))


async def test_each_report_gets_a_signed_receipt_in_its_place() -> None:
    store = Store()
    reports = [signed(1), signed(2)]
    acknowledged = await ingest(store).submit(CALLER, reports)
    assert store.calls == [("a", "e1", 2)]
    for index, (report, one) in enumerate(zip(reports, acknowledged, strict=True)):
        SERVICE_KEY.public.verify(RECEIPT, one.receipt.receipt, one.receipt.signature)
        receipt = pb.Receipt.FromString(one.receipt.receipt)
        assert receipt.report_digest == hashlib.sha256(report.report).digest()
        assert (receipt.index, receipt.accepted_at) == (40 + index, int(NOW.timestamp()))


async def test_one_bad_report_keeps_the_whole_call_out_and_every_field_is_named() -> None:
    store = Store()
    bad = [signed(1), signed(1, sequence=1 << 63), signed(1, previous_digest=b"x")]
    with pytest.raises(InvalidRequestError) as refused:
        await ingest(store).submit(CALLER, bad)
    assert [one.field for one in refused.value.violations] == [
        "reports[1].report.sequence",
        "reports[2].report.previous_digest",
    ]
    assert store.calls == []


@pytest.mark.parametrize("count", [0, MAX_REPORTS + 1])
async def test_a_call_is_bounded(count: int) -> None:
    with pytest.raises(InvalidRequestError):
        await ingest(Store()).submit(CALLER, [pb.SignedReport()] * count)


@pytest.mark.parametrize(
    "who", [Identity("a", Role.PROBE, "e1"), Identity("a", Role.NODE, "e2"), Identity("b", Role.NODE, "e1")]
)
async def test_only_known_nodes_report(who: Identity) -> None:
    with pytest.raises(NotPermittedError):
        await ingest(Store()).submit(who, [signed(1)])


async def test_a_long_call_lets_others_pass_and_a_hopeless_one_ends_early() -> None:
    store = Store()
    taking = ingest(store)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    await taking.submit(CALLER, [signed(number) for number in range(1, 5 * SLICE + 1)])
    # While reports are looked at, and while receipts are signed.
    assert turns >= 8
    beside.cancel()
    with pytest.raises(InvalidRequestError) as refused:
        await taking.submit(CALLER, [signed(1, sequence=1 << 63)] * MAX_REPORTS)
    assert len(refused.value.violations) == MAX_VIOLATIONS


async def test_who_finds_no_room_is_turned_away_unread_and_room_is_given_back() -> None:
    room = Room(Capacity(reports=1))
    store = Store()
    with room.hold(("b", "e1"), 1, 10), pytest.raises(BusyError):
        await ingest(store, room).submit(CALLER, [pb.SignedReport(report=b"no report")])
    with pytest.raises(InvalidRequestError):
        await ingest(store, room).submit(CALLER, [pb.SignedReport(report=b"no report")])
    await ingest(store, room).submit(CALLER, [signed(1), signed(2)])
    assert (room.reports, room.size, store.calls) == (0, 0, [("a", "e1", 2)])
