from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from compliance_api.probe.errors import UnavailableError
from compliance_api.probe.uplink import MAX_BATCH, MAX_BATCH_BYTES, Uplink, batch_of
from lachan import channel, tls
from lachan.compliance.v1.probe_service_pb2_grpc import ProbeServiceServicer, add_ProbeServiceServicer_to_server
from lachan.status import Refusal, end
from lachan.tls import Role
from tests.support.authority import Papers


class Busy(ProbeServiceServicer):
    """Has no time for anybody."""

    async def _later(self, request: Any, context: Any) -> Any:
        del request
        await end(context, Refusal(code_pb2.RESOURCE_EXHAUSTED, "come again", retry=True, after=40.0))

    TakeAssignment = TakeStamps = SubmitObservations = _later


@given(st.lists(st.integers(0, 20_000), max_size=400))
def test_a_batch_fits_into_a_call(sizes: list[int]) -> None:
    items = [bytes(size) for size in sizes]
    count = batch_of(items)
    assert count <= MAX_BATCH
    assert sum(sizes[:count]) <= MAX_BATCH_BYTES
    assert bool(count) == bool(items)


def test_one_item_too_large_still_travels_alone() -> None:
    assert batch_of([bytes(MAX_BATCH_BYTES + 1), b""]) == 1


def test_a_batch_may_be_asked_to_be_smaller() -> None:
    assert batch_of([b"x"] * 10, most=3) == 3


async def test_what_the_service_asks_for_reaches_whoever_waits(tmp_path: Path) -> None:
    papers = Papers(tmp_path)
    server = channel.server()
    add_ProbeServiceServicer_to_server(Busy(), server)
    port = channel.bind(server, "127.0.0.1:0", tls.load(papers.issue("so", Role.SERVICE, "compliance")))
    await server.start()
    uplink = Uplink(f"127.0.0.1:{port}", papers.issue("so", Role.PROBE, "p1"), 20.0, 1.0)
    try:
        for call in (uplink.take(), uplink.stamps([]), uplink.submit([])):
            with pytest.raises(UnavailableError, match="RESOURCE_EXHAUSTED: come again") as refused:
                await call
            assert 41 <= refused.value.after <= 43
    finally:
        await uplink.close()
        await server.stop(None)
