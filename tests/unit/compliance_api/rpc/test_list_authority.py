from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
import pytest

from compliance_api.errors import BusyError
from compliance_api.rpc.list_authority import SampleClient
from lachan.blocklist.v1 import sample_service_pb2 as pb


class Stub:
    """Answers as it is told."""

    def __init__(self, names: list[pb.ListedName], releases: list[pb.Release]) -> None:
        self._names, self._releases = names, releases
        self.orders: list[pb.CitedOrder] = []
        self.approvals: list[pb.CitedApproval] = []
        self.removed: list[pb.RemovedName] = []
        self.away = False
        self.code: grpc.StatusCode | None = None

    def _check(self, timeout: float) -> None:
        assert timeout > 0
        if self.away or self.code:
            nothing = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(self.code or grpc.StatusCode.UNAVAILABLE, nothing, nothing)

    async def SampleNames(self, request: pb.SampleNamesRequest, **how: float) -> pb.SampleNamesResponse:  # noqa: N802
        self._check(how["timeout"])
        assert request.count == 3
        return pb.SampleNamesResponse(serial=9, names=self._names)

    async def ListReleases(self, request: pb.ListReleasesRequest, **how: float) -> pb.ListReleasesResponse:  # noqa: N802
        del request
        self._check(how["timeout"])
        return pb.ListReleasesResponse(releases=self._releases)

    async def ListOrders(  # noqa: N802
        self, request: pb.SampleServiceListOrdersRequest, **how: float
    ) -> pb.SampleServiceListOrdersResponse:
        assert request.page_size > 0
        self._check(how["timeout"])
        return pb.SampleServiceListOrdersResponse(orders=self.orders)

    async def ListRemoved(self, request: pb.ListRemovedRequest, **how: float) -> pb.ListRemovedResponse:  # noqa: N802
        assert (request.after_serial, request.page_token) == (4, "5 a.example")
        self._check(how["timeout"])
        return pb.ListRemovedResponse(serial=9, names=self.removed, next_page_token="6 z.example")

    async def AreListed(self, request: pb.AreListedRequest, **how: float) -> pb.AreListedResponse:  # noqa: N802
        self._check(how["timeout"])
        assert request.names[0] == "a.example"
        statuses = [pb.NameStatus(listed=True, binding=True, added_at=1000), pb.NameStatus(added_at=1 << 50)]
        return pb.AreListedResponse(serial=9, statuses=statuses)

    async def ListApprovals(  # noqa: N802
        self, request: pb.ListApprovalsRequest, **how: float
    ) -> pb.ListApprovalsResponse:
        assert request.page_size > 0
        self._check(how["timeout"])
        return pb.ListApprovalsResponse(approvals=self.approvals)


def client(names: list[pb.ListedName] | None = None, releases: list[pb.Release] | None = None) -> tuple[Any, Stub]:
    made = SampleClient.__new__(SampleClient)
    stub = Stub(names or [], releases or [])
    made._stub = stub  # type: ignore[assignment] # the stub's face is generated, this one answers by hand
    return made, stub


def name(text: str, *, mandated: bool = True, at: int = 1000) -> pb.ListedName:
    return pb.ListedName(name=text, category=3, order="OR-1", added_serial=2, added_at=at, mandated=mandated)


async def test_only_mandated_well_formed_names_are_taken_and_no_more_than_asked() -> None:
    bad = [name("x..example"), name("192.0.2.1"), name("é.example"), name("a.example", at=1 << 50)]
    for one in bad:
        assert (await client([one])[0].names(3, b"s" * 16, 0))[1] == []
    unfit = name("a.example")
    unfit.rpz_unfit = True
    (kept,) = (await client([unfit])[0].names(3, b"s" * 16, 0))[1]
    # Whoever holds the list itself has to block it.
    assert kept.unfit
    taken, _ = client([name("a.example"), name("b.example", mandated=False), name("c.example"), name("d.example")])
    serial, names = await taken.names(3, b"s" * 16, 0)
    assert (serial, [one.qname for one in names]) == (9, ["a.example", "c.example"])


async def test_releases_with_impossible_times_are_left_out() -> None:
    releases = [pb.Release(serial=2, published_at=1000, entries=5, urgent=True), pb.Release(serial=1, published_at=-1)]
    (kept,) = await client(releases=releases)[0].releases(10)
    assert (kept.serial, kept.entries, kept.urgent, int(kept.published_at.timestamp())) == (2, 5, True, 1000)


async def test_a_list_authority_that_is_away_is_to_be_asked_later() -> None:
    made, stub = client()
    stub.away = True
    with pytest.raises(BusyError, match="UNAVAILABLE"):
        await made.names(3, b"s" * 16, 0)
    with pytest.raises(BusyError, match="UNAVAILABLE"):
        await made.releases(3)


async def test_orders_and_approvals_are_cut_to_their_bounds() -> None:
    made, stub = client()
    stub.orders = [pb.CitedOrder(number="1/QĐ", issuer="x" * 2000), pb.CitedOrder(number="x" * 201)]
    stub.approvals = [
        pb.CitedApproval(step=3, proposal_digest=b"d" * 40, order="1/QĐ", signatures=[pb.ApprovalSignature()] * 20)
    ]
    (order,), token = await made.orders("")
    assert (order.subject, len(order.told["issuer"]), token) == ("order/1/QĐ", 1000, "")
    (approval,), last = await made.approvals(2)
    assert (approval.subject, last, len(approval.told["signatures"])) == ("approval/3", 3, 16)
    assert approval.told["proposal_digest"] == (b"d" * 32).hex()
    assert await made.approvals(5) == ([approval], 5)


async def test_a_list_authority_without_a_registry_tells_of_none() -> None:
    made, stub = client()
    stub.code = grpc.StatusCode.FAILED_PRECONDITION
    assert await made.orders("") == ([], "")
    assert await made.approvals(7) == ([], 7)
    stub.code = grpc.StatusCode.UNAVAILABLE
    with pytest.raises(BusyError, match="UNAVAILABLE"):
        await made.orders("")
    with pytest.raises(BusyError, match="UNAVAILABLE"):
        await made.approvals(0)


async def test_removals_are_taken_as_far_as_they_are_well_formed() -> None:
    made, stub = client()
    good = pb.RemovedName(name="a.example", category=3, removed_serial=6, removed_at=1000, listed=True, control=True)
    stub.removed = [good, pb.RemovedName(name="a..example"), pb.RemovedName(name="b.example", removed_at=-1)]
    serial, (one,), token = await made.removed(4, "5 a.example")
    assert (serial, token) == (9, "6 z.example")
    assert (one.qname, one.serial, one.free, one.control) == ("a.example", 6, False, True)
    stub.away = True
    with pytest.raises(BusyError, match="UNAVAILABLE"):
        await made.removed(4, "5 a.example")


async def test_an_answer_for_other_names_than_were_asked_is_none() -> None:
    made, stub = client()
    serial, (one, other) = await made.standing(["a.example", "b.example"])
    assert (serial, one.listed, one.binding, one.since.timestamp(), other.since) == (9, True, True, 1000, None)
    with pytest.raises(BusyError, match="2 of 1"):
        await made.standing(["a.example"])
    stub.away = True
    with pytest.raises(BusyError, match="UNAVAILABLE"):
        await made.standing(["a.example"])
