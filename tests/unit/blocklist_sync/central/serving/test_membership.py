from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.serving import membership
from blocklist_sync.central.serving.membership import Followed, Membership, Shown, collected
from lachan.compliance.v1 import membership_service_pb2 as pb
from lachan.compliance.v1.membership_service_pb2_grpc import (
    MembershipServiceServicer,
    add_MembershipServiceServicer_to_server,
)
from lachan.tls import Identity, Role, TlsError
from tests.support import foreign

ROOT = foreign.root("ours")
N1, N2 = (Identity("a", Role.NODE, name) for name in ("n1", "n2"))
KNOWN = Membership(7, {str(N1): 0, str(N2): 1000}, frozenset([b"c" * 32]))


async def told(*parts: pb.ListRevocationsResponse) -> AsyncIterator[pb.ListRevocationsResponse]:
    for part in parts:
        yield part


def test_what_a_certificate_says() -> None:
    leaf = ROOT.leaf(str(N1))
    shown = Shown.of(leaf.pem)
    assert (shown.identity, len(shown.fingerprint)) == (N1, 32)
    assert shown.begins == int(leaf.certificate.not_valid_before_utc.timestamp())
    with pytest.raises(TlsError):
        Shown.of(b"")


@pytest.mark.parametrize(
    ("shown", "ended"),
    [
        (Shown(N1, b"x", 5000), True),
        (Shown(N2, b"x", 1000), True),
        (Shown(N2, b"x", 1001), False),
        (Shown(N2, b"c" * 32, 5000), True),
        (Shown(Identity("b", Role.NODE, "n1"), b"x", 0), False),
    ],
)
def test_who_was_ended(shown: Shown, *, ended: bool) -> None:
    assert KNOWN.ended(shown) is ended
    assert not Membership().ended(shown)


def test_who_is_let_in() -> None:
    # Where that is not told, every node; where it is, nobody else.
    assert KNOWN.admits(N1)
    told = replace(KNOWN, nodes=frozenset([str(N2)]))
    assert (told.admits(N1), told.admits(N2)) == (False, True)
    assert not replace(KNOWN, nodes=frozenset()).admits(N1)


def test_what_is_kept_is_read_again() -> None:
    for known in (KNOWN, replace(KNOWN, nodes=frozenset()), replace(KNOWN, nodes=frozenset([str(N1), str(N2)]))):
        assert Membership.read(known.dump()) == known
    # As a release before nodes were told has kept it.
    before = json.loads(KNOWN.dump())
    del before["nodes"]
    assert Membership.read(json.dumps(before).encode()) == KNOWN


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"format": 2}', KNOWN.dump().replace(b"lachan", b"lychan"), KNOWN.dump()[:-3]]
)
def test_what_is_spoilt_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "kept").write_bytes(data)
    with pytest.raises(CentralError, match="kept: "):
        Followed(tmp_path / "kept")


async def test_a_whole_is_put_together_from_its_parts() -> None:
    first = pb.ListRevocationsResponse(revision=7, parties=[pb.EndedParty(party=str(N1))], certificates=[b"c" * 32])
    second = pb.ListRevocationsResponse(revision=7, parties=[pb.EndedParty(party=str(N2), until=1000)])
    assert await collected(told(first, second)) == KNOWN
    parts = [first, second, pb.ListRevocationsResponse(revision=7, nodes=[str(N1)])]
    for part in parts:
        part.tells_nodes = True
    assert await collected(told(*parts)) == replace(KNOWN, nodes=frozenset([str(N1)]))


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [pb.ListRevocationsResponse(revision=1), pb.ListRevocationsResponse(revision=2)],
        [pb.ListRevocationsResponse(tells_nodes=True), pb.ListRevocationsResponse()],
        [pb.ListRevocationsResponse(certificates=[b"short"])],
        [pb.ListRevocationsResponse(parties=[pb.EndedParty(party=str(N1), until=-1)])],
    ],
)
async def test_what_the_contract_does_not_say_is_refused(parts: list[pb.ListRevocationsResponse]) -> None:
    with pytest.raises(CentralError):
        await collected(told(*parts))


async def test_a_flood_is_left_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "MAX_CERTIFICATES", 2)

    async def endless() -> AsyncIterator[pb.ListRevocationsResponse]:
        for number in range(1 << 32):
            yield pb.ListRevocationsResponse(certificates=[number.to_bytes(32)])
            await asyncio.sleep(0)

    with pytest.raises(CentralError, match="more than"):
        await collected(endless())


class Telling(MembershipServiceServicer):
    """A compliance service."""

    def __init__(self) -> None:
        self.parts: list[pb.ListRevocationsResponse] = []

    async def ListRevocations(  # noqa: N802  named by the contract
        self, request: pb.ListRevocationsRequest, context: Any
    ) -> AsyncIterator[pb.ListRevocationsResponse]:
        del request, context
        for part in self.parts:
            yield part


async def test_what_was_known_stays_until_something_newer_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service, server = Telling(), grpc.aio.server()
    add_MembershipServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    kept, heard, now = tmp_path / "kept", list[int](), [1000.0]
    followed = Followed(kept, lambda: now[0])
    assert followed.told_at == 0
    followed.tell(lambda: heard.append(followed.known.revision))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        service.parts = [pb.ListRevocationsResponse(revision=7, parties=[pb.EndedParty(party=str(N1))])]
        assert await followed.follow(channel)
        now[0] = 2000.0
        assert await followed.follow(channel)
        now[0] = 3000.0
        held = Followed(kept).known
        assert (held, heard) == (Membership(7, {str(N1): 0}), [7])
        for worse in (
            [],
            [pb.ListRevocationsResponse(revision=6)],
            [pb.ListRevocationsResponse(revision=8, parties=[pb.EndedParty(party="nobody")])],
            [pb.ListRevocationsResponse(revision=8, nodes=["lachan://a/probe/p1"], tells_nodes=True)],
        ):
            service.parts = worse
            assert not await followed.follow(channel)
        await server.stop(0)
        capsys.readouterr()
        for _ in range(3):
            assert not await followed.follow(channel)
        # The same trouble is told once.
        assert capsys.readouterr().out.count("tells no membership") == 1
    assert followed.known == Followed(kept).known == held
    # How old that is, is known over a restart: it was told again, the same, and then no more.
    assert followed.told_at == Followed(kept).told_at == 2000.0


def test_what_cannot_be_kept_holds_all_the_same_and_is_kept_later(tmp_path: Path) -> None:
    kept, heard = tmp_path / "full" / "kept", list[int]()
    followed = Followed(kept)
    followed.tell(lambda: heard.append(followed.known.revision))
    followed._take(KNOWN)
    assert (followed.known, heard) == (KNOWN, [7])
    kept.parent.mkdir()
    followed._take(KNOWN)
    assert (Followed(kept).known, heard) == (KNOWN, [7])


async def test_who_is_not_known_brings_about_a_question_and_no_flood_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "KNOCK_SECONDS", 0.05)
    followed = Followed(tmp_path / "kept")
    pausing = asyncio.create_task(followed.pause(3600))
    for _ in range(3):
        followed.knocked()
    await asyncio.wait_for(pausing, 60)
    # One question for all who came before it.
    waiting = asyncio.create_task(followed.pause(3600))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.2)
    waiting.cancel()


def test_a_silence_is_told_once_and_when_it_is_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = 1000.0
    followed = Followed(tmp_path / "kept", lambda: now)
    for followed.told_at in (0.0, 0.0, 950.0, 100.0):
        followed.look(900)
    said = [line for line in capsys.readouterr().out.splitlines() if "membership" in line]
    assert ["not told" in line for line in said] == [True, False, True]
    assert "ever" in said[0]
    assert "900 s" in said[2]
