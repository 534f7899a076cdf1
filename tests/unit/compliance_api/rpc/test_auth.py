"""The guard before real services, over real TLS, with the authorities of two organisations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2

from compliance_api.domain.parties.bucket import Allowance
from compliance_api.domain.parties.credential import Membership, Objection
from compliance_api.domain.parties.organisation import Label, Node, Organisation, OrganisationKind, Registry
from compliance_api.rpc.auth import Guard, weight
from compliance_api.usecases.membership.membership import Directory
from compliance_api.usecases.membership.share import Share, Shares
from lachan import channel
from lachan.compliance.v1 import report_pb2
from lachan.compliance.v1 import report_service_pb2 as pb
from lachan.tls import Identity, Role, TlsMaterial
from tests.support import foreign
from tests.support.shares import MemoryShares

OURS, THEIRS, OTHERS = foreign.root("ours"), foreign.root("theirs"), foreign.root("others")
SERVICE = OURS.leaf("lachan://so/service/compliance")
DEADLINE = 20.0
NAME = Label("x", "x")
E1 = Node("e1", b"k", (), frozenset())


def owner(name: str, roots: bytes = b"") -> Organisation:
    return Organisation(name, OrganisationKind.OPERATOR, NAME, frozenset(), (E1,), (), roots)


# `a` has its certificates from us, `b` and `c` have authorities of their own.
REGISTRY = Registry((), (owner("a"), owner("b", THEIRS.pem), owner("c", OTHERS.pem)))


@dataclass
class Store:
    now: Membership = field(default_factory=lambda: Membership(1, REGISTRY))

    async def revision(self) -> int:
        return self.now.revision

    async def load(self) -> Membership:
        return self.now

    def change(self, **fields: Any) -> None:
        self.now = replace(self.now, revision=self.now.revision + 1, **fields)


async def echo(request: bytes, context: Any) -> bytes:
    return str(channel.caller(context)).encode() + request


async def counting(request: bytes, context: Any) -> AsyncIterator[bytes]:
    del context
    for number in range(int(request)):
        yield str(number).encode()
    await asyncio.Event().wait()


async def taking(requests: Any, context: Any) -> bytes:
    del requests, context
    return b""


class Handlers(grpc.GenericRpcHandler):
    def service(self, details: grpc.HandlerCallDetails) -> Any:
        return {
            "/test/Echo": grpc.unary_unary_rpc_method_handler(echo),
            "/test/Count": grpc.unary_stream_rpc_method_handler(counting),
            "/test/Take": grpc.stream_unary_rpc_method_handler(taking),
            "/grpc.health.v1.Health/Check": grpc.unary_unary_rpc_method_handler(echo),
        }.get(details.method)


class World:
    """A guarded server, and callers."""

    def __init__(self) -> None:
        self.store = Store()
        self.refused: list[Objection] = []
        self.at = datetime.now(UTC)
        self.directory = Directory(self.store, Registry())
        share = Share(Allowance(0.001, 20), Allowance(1, 1000))
        shares = Shares(share, share, MemoryShares(), lambda: 0.0)
        self.guard = Guard(self.directory, lambda: OURS.pem, shares, lambda: self.at, self.refused.append)
        self._open: list[grpc.aio.Channel] = []
        self._trusted = OURS.pem + THEIRS.pem
        self.server = channel.server([self.guard], aged=True)
        self.server.add_generic_rpc_handlers((Handlers(),))
        self.port = channel.bind_renewing(self.server, "127.0.0.1:0", self._material)

    def _material(self) -> TlsMaterial:
        return replace(SERVICE.material(self._trusted))

    def trust(self, *roots: foreign.Party) -> None:
        self._trusted += b"".join(one.pem for one in roots)

    async def call(self, who: foreign.Party, *between: foreign.Party, method: str = "/test/Echo") -> bytes:
        opened = channel.connect(f"127.0.0.1:{self.port}", who.material(OURS.pem, *between))
        self._open.append(opened)
        answer: bytes = await opened.unary_unary(method)(b"!", timeout=DEADLINE)
        return answer

    def stream(self, who: foreign.Party, count: int) -> Any:
        opened = channel.connect(f"127.0.0.1:{self.port}", who.material(OURS.pem))
        self._open.append(opened)
        return opened.unary_stream("/test/Count")(str(count).encode(), timeout=DEADLINE)

    async def refusal(self, who: foreign.Party, *between: foreign.Party, **how: Any) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self.call(who, *between, **how)
        return refused.value

    async def close(self) -> None:
        for one in self._open:
            await one.close()
        await self.server.stop(None)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.server.start()
    yield made
    await made.close()


NODE_A, NODE_B = OURS.leaf("lachan://a/node/e1"), THEIRS.leaf("lachan://b/node/e1")


async def test_each_organisation_comes_in_by_its_own_authority(world: World) -> None:
    assert await world.call(NODE_A) == b"lachan://a/node/e1!"
    assert await world.call(NODE_B) == b"lachan://b/node/e1!"
    between = THEIRS.authority("between")
    assert await world.call(between.leaf("lachan://b/node/e1"), between) == b"lachan://b/node/e1!"


@pytest.mark.parametrize(
    "uri",
    # Another operator's node, one of ours, our own service: TLS lets all of them in.
    ["lachan://c/node/e1", "lachan://a/node/e1", "lachan://a/person/an"],
)
async def test_an_authority_speaks_for_its_own_organisation_alone(world: World, uri: str) -> None:
    refused = await world.refusal(THEIRS.leaf(uri))
    assert refused.code() is grpc.StatusCode.UNAUTHENTICATED
    assert world.refused == [Objection.UNTRUSTED]


async def test_we_do_not_speak_for_who_has_an_authority_of_its_own(world: World) -> None:
    refused = await world.refusal(OURS.leaf("lachan://b/node/e1"))
    assert refused.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "vouches" in str(refused.details())


async def test_an_authority_that_comes_later_is_let_in_without_a_restart(world: World) -> None:
    late = OTHERS.leaf("lachan://c/node/e1")
    assert (await world.refusal(late)).code() is grpc.StatusCode.UNAVAILABLE
    world.trust(OTHERS)
    assert await world.call(late) == b"lachan://c/node/e1!"


async def test_strangers_and_the_nameless_are_turned_away(world: World) -> None:
    stranger = await world.refusal(OURS.leaf("lachan://a/node/e2"))
    unknown = await world.refusal(OURS.leaf("lachan://nobody/service/x"))
    assert {stranger.code(), unknown.code()} == {grpc.StatusCode.PERMISSION_DENIED}
    nameless = replace(OURS.leaf("https://a.example/"))
    opened = channel.connect(
        f"127.0.0.1:{world.port}", TlsMaterial(OURS.pem, nameless.pem, nameless.key_pem, Identity("a", Role.NODE, "e1"))
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await opened.unary_unary("/test/Echo")(b"", timeout=DEADLINE)
    await opened.close()
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert world.refused == [Objection.UNKNOWN, Objection.UNKNOWN, Objection.NAMELESS]


async def test_a_revocation_holds_for_the_next_call_on_a_living_connection(world: World) -> None:
    assert await world.call(NODE_A)
    world.store.change(revoked=frozenset({Identity("a", Role.NODE, "e1")}))
    stub = world._open[0].unary_unary("/test/Echo")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub(b"", timeout=DEADLINE)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert refused.value.details() == "lachan://a/node/e1 was revoked"
    assert await world.call(NODE_B)


async def test_a_certificate_that_ends_on_a_living_connection_is_not_believed_any_more(world: World) -> None:
    assert await world.call(NODE_A)
    world.at += timedelta(days=2)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await world._open[0].unary_unary("/test/Echo")(b"", timeout=DEADLINE)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_stream_is_cut_off_by_a_revocation_and_others_go_on(world: World) -> None:
    mine, other = world.stream(NODE_A, 2), world.stream(NODE_B, 1)
    assert [await mine.read(), await mine.read(), await other.read()] == [b"0", b"1", b"0"]
    world.store.change(revoked=frozenset({Identity("a", Role.NODE, "e1")}))
    await world.directory.refresh()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await mine.read()
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert world.refused == [Objection.REVOKED]
    assert not other.done()
    other.cancel()


async def test_who_asks_for_more_than_its_share_is_told_when_to_come_again(world: World) -> None:
    for _ in range(20):
        await world.call(NODE_B)
    refused = await world.refusal(NODE_B)
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    raw = next(value for key, value in refused.trailing_metadata() or () if key == "grpc-status-details-bin")
    assert isinstance(raw, bytes)
    detail = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration())
    assert status_pb2.Status.FromString(raw).details[0].Unpack(detail)
    assert detail.retry_delay.seconds > 900
    assert await world.call(NODE_A)
    assert world.refused == [Objection.LIMIT]


async def test_health_is_told_to_whoever_tls_lets_in_and_streams_from_callers_are_not_served(world: World) -> None:
    assert await world.call(OURS.leaf("lachan://a/node/e2"), method="/grpc.health.v1.Health/Check")
    assert (await world.refusal(NODE_A, method="/test/Take")).code() is grpc.StatusCode.UNIMPLEMENTED
    assert (await world.refusal(NODE_A, method="/test/Nothing")).code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_request_weighs_what_it_brings() -> None:
    assert weight(pb.SubmitReportsRequest(reports=[report_pb2.SignedReport()] * 3)) == 3
    assert weight(pb.SubmitReportsResponse()) == weight(b"") == 0
