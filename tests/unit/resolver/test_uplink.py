"""The uplink against a real service on loopback; time passes only where a test lets it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from lachan import signing
from lachan.compliance.v1 import report_pb2 as pb
from lachan.config import ConfigError, parse
from lachan.signing import SigningError, SigningKey
from lachan.spool import Spool
from lachan.tls import Role
from resolver.authority import UplinkSettings
from resolver.counters import WindowCounts
from resolver.report import ClockState, ListState, Reporter
from resolver.uplink import Failure, Uplink
from tests.support.authority import Authority
from tests.support.wait import until

NOON = 1_750_000_200
KEY = SigningKey.generate()
EPOCH = b"\x01" * 16


@contextlib.asynccontextmanager
async def edge(tmp_path: Path, *, up: bool = True) -> AsyncIterator[tuple[Authority, Spool]]:
    authority = Authority(tmp_path)
    await authority.start()
    if not up:
        await authority.stop()
    spool = Spool(tmp_path / "spool.db")
    try:
        yield authority, spool
    finally:
        await authority.stop()
        spool.close()


def settings(authority: Authority, **changes: object) -> UplinkSettings:
    values = {
        "target": authority.target,
        "tls": authority.papers.issue("isp-a", Role.NODE, "edge-1"),
        "authority_key": authority.key_file,
        "backoff_first": 0.01,
        "backoff_max": 0.05,
        "deadline": 5.0,
    }
    return UplinkSettings.model_validate({**values, **changes})


def fill(spool: Spool, count: int, organisation: str = "isp-a", node: str = "edge-1", first: int = 0) -> None:
    reporter = Reporter(spool, KEY, organisation, node)
    for number in range(first, first + count):
        start = NOON + 300 * number
        counts = WindowCounts(start, 300, {(1, "default", 0): number + 1}, {}, {}, 0, 0)
        reporter.write(counts, EPOCH, ListState(), ClockState(True, 1, 0), start + 302, enforcing=True)


@contextlib.asynccontextmanager
async def running(uplink: Uplink) -> AsyncIterator[None]:
    task = asyncio.create_task(uplink.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def windows(authority: Authority) -> list[int]:
    return [(report.window_start - NOON) // 300 for report in authority.parsed()]


async def test_reports_arrive_in_order_and_leave_against_receipts(tmp_path: Path) -> None:
    async with edge(tmp_path) as (authority, spool):
        fill(spool, 5)
        uplink = Uplink(settings(authority, batch=2), spool)
        async with running(uplink):
            await until(lambda: spool.stats().items == 0 and uplink.status.submitted == 5)
        assert windows(authority) == [0, 1, 2, 3, 4]
        assert authority.calls == [2, 2, 1]
        assert authority.callers == {"lachan://isp-a/node/edge-1"}
        proofs = spool.proofs(10)
        assert len(proofs) == 5
        receipt = pb.SignedReceipt.FromString(proofs[0].proof)
        authority.key.public.verify(signing.RECEIPT, receipt.receipt, receipt.signature)
        assert uplink.status.submitted == 5
        assert uplink.status.failures == {}
        assert uplink.status.last_success_at is not None


async def test_a_new_report_wakes_it(tmp_path: Path) -> None:
    async with edge(tmp_path) as (authority, spool):
        uplink = Uplink(settings(authority), spool)
        async with running(uplink):
            fill(spool, 1)
            uplink.wake()
            await authority.until(lambda: len(authority.reports) == 1)
            fill(spool, 1, first=1)
            uplink.wake()
            await authority.until(lambda: len(authority.reports) == 2)


async def test_it_waits_for_a_service_that_is_down(tmp_path: Path) -> None:
    async with edge(tmp_path, up=False) as (authority, spool):
        fill(spool, 3)
        uplink = Uplink(settings(authority), spool)
        async with running(uplink):
            await until(lambda: uplink.status.failures.get(Failure.UNAVAILABLE, 0) >= 2)
            await authority.start()
            await until(lambda: spool.stats().items == 0)
        assert windows(authority) == [0, 1, 2]


async def test_a_call_has_a_deadline_and_its_repetition_doubles_nothing(tmp_path: Path) -> None:
    async with edge(tmp_path) as (authority, spool):
        fill(spool, 2)
        authority.gate.clear()
        uplink = Uplink(settings(authority, deadline=0.2), spool)
        async with running(uplink):
            await until(lambda: uplink.status.failures.get(Failure.UNAVAILABLE, 0) >= 1)
            assert spool.stats().items == 2
            authority.gate.set()
            await until(lambda: spool.stats().items == 0)
        assert windows(authority) == [0, 1]


def other_digest(_: pb.SignedReceipt, key: SigningKey) -> pb.SignedReceipt:
    data = pb.Receipt(report_digest=b"\0" * 32).SerializeToString()
    return pb.SignedReceipt(receipt=data, signature=key.sign(signing.RECEIPT, data), key_id=key.public.key_id)


def other_key(receipt: pb.SignedReceipt, _: SigningKey) -> pb.SignedReceipt:
    key = SigningKey.generate()
    return pb.SignedReceipt(
        receipt=receipt.receipt, signature=key.sign(signing.RECEIPT, receipt.receipt), key_id=key.public.key_id
    )


def broken_signature(receipt: pb.SignedReceipt, _: SigningKey) -> pb.SignedReceipt:
    return pb.SignedReceipt(receipt=receipt.receipt, signature=b"\0" * 64, key_id=receipt.key_id)


@pytest.mark.parametrize("spoil", [other_digest, other_key, broken_signature, lambda _, __: None])
async def test_a_wrong_receipt_is_counted_and_the_report_stays(tmp_path: Path, spoil: object) -> None:
    async with edge(tmp_path) as (authority, spool):
        fill(spool, 2)
        assert callable(spoil)
        authority.spoil = spoil
        uplink = Uplink(settings(authority), spool)
        async with running(uplink):
            await until(lambda: uplink.status.failures.get(Failure.RECEIPT, 0) >= 2)
            assert spool.stats().items == 2
            assert spool.proofs(10) == []
            authority.spoil = None
            await until(lambda: spool.stats().items == 0)
        assert windows(authority) == [0, 1]


async def test_a_further_key_counts_while_the_authority_changes_its_own(tmp_path: Path) -> None:
    async with edge(tmp_path) as (authority, spool):
        fill(spool, 1)
        old = tmp_path / "old.pem"
        old.write_bytes(SigningKey.generate().public.pem())
        changed = settings(authority, authority_key=old, further_authority_keys=(authority.key_file,))
        async with running(Uplink(changed, spool)):
            await until(lambda: spool.stats().items == 0)


async def test_an_unknown_node_keeps_its_order(tmp_path: Path) -> None:
    async with edge(tmp_path) as (authority, spool):
        fill(spool, 4)
        authority.verdict = lambda _: grpc.StatusCode.PERMISSION_DENIED
        uplink = Uplink(settings(authority, batch=2), spool)
        async with running(uplink):
            await until(lambda: uplink.status.failures.get(Failure.DENIED, 0) >= 3)
            assert spool.stats().held == 0
            authority.verdict = lambda _: None
            await until(lambda: spool.stats().items == 0)
        assert windows(authority) == [0, 1, 2, 3]


async def test_one_bad_report_does_not_stop_the_others_and_is_offered_again(tmp_path: Path) -> None:
    async with edge(tmp_path) as (authority, spool):
        fill(spool, 9)
        bad = NOON + 300 * 2
        authority.verdict = lambda report: grpc.StatusCode.INVALID_ARGUMENT if report.window_start == bad else None
        now = [1000.0]
        uplink = Uplink(settings(authority, batch=4), spool, random.Random(1), wall=lambda: now[0])
        async with running(uplink):
            await until(lambda: spool.stats().items == spool.stats().held == 1)
            assert sorted(windows(authority)) == [0, 1, 3, 4, 5, 6, 7, 8]
            assert uplink.status.failures[Failure.REFUSED] >= 1
            assert "INVALID_ARGUMENT" in uplink.status.last_failure
            # Offered again an hour later, still refused; then an hour after that, the authority has been mended.
            now[0] += 3601
            calls = len(authority.calls)
            uplink.wake()
            await authority.until(lambda: len(authority.calls) > calls)
            await until(lambda: spool.held(now[0]) is None)
            authority.verdict = lambda _: None
            now[0] += 3601
            uplink.wake()
            await until(lambda: spool.stats().items == 0)
        assert sorted(windows(authority)) == list(range(9))


async def test_a_fault_of_the_authority_sets_nothing_apart(tmp_path: Path) -> None:
    async with edge(tmp_path) as (authority, spool):
        fill(spool, 6)
        authority.verdict = lambda _: grpc.StatusCode.INVALID_ARGUMENT
        uplink = Uplink(settings(authority, batch=4), spool)
        async with running(uplink):
            await until(lambda: len(authority.calls) >= 8)
            assert spool.stats().held == 0
            authority.verdict = lambda _: None
            await until(lambda: spool.stats().items == 0)
        assert sorted(windows(authority)) == list(range(6))


async def test_reports_of_an_earlier_identity_are_kept_apart(tmp_path: Path) -> None:
    async with edge(tmp_path) as (authority, spool):
        fill(spool, 2, node="edge-old")
        spool.append(b"\xff\xff", NOON)
        fill(spool, 2, first=2)
        uplink = Uplink(settings(authority), spool)
        async with running(uplink):
            await until(lambda: spool.stats().items == 3)
        assert windows(authority) == [2, 3]
        assert spool.stats().held == 3
        assert uplink.status.failures[Failure.FOREIGN] == 3


async def test_the_wait_that_the_authority_asks_for_is_kept(tmp_path: Path) -> None:
    async with edge(tmp_path) as (authority, spool):
        fill(spool, 1)
        authority.verdict = lambda _: grpc.StatusCode.RESOURCE_EXHAUSTED
        authority.retry_seconds = 0.6
        uplink = Uplink(settings(authority), spool)
        loop = asyncio.get_running_loop()
        async with running(uplink):
            await authority.until(lambda: len(authority.calls) == 1)
            refused_at = loop.time()
            authority.verdict = lambda _: None
            await authority.until(lambda: len(authority.calls) == 2)
            assert loop.time() - refused_at >= 0.5
            await until(lambda: spool.stats().items == 0)
        assert uplink.status.failures[Failure.EXHAUSTED] == 1


class LongestWait(random.Random):
    """Draws the upper end, and tells it."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[float] = []

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - as random.Random has it
        self.drawn.append(b)
        return b


async def test_a_new_report_waits_for_its_part_of_the_window_and_a_full_spool_for_nothing(tmp_path: Path) -> None:
    async with edge(tmp_path) as (authority, spool):
        fill(spool, 3)
        rng = LongestWait()
        uplink = Uplink(settings(authority, batch=1), spool, rng, window=9.0)
        async with running(uplink):
            await until(lambda: spool.stats().items == 0)
            assert rng.drawn == [], "what waited long enough goes at once"
            number = 3
            # One that comes while the last is settled goes with it; the first that finds nothing to do waits.
            while not rng.drawn:
                fill(spool, 1, first=number)
                uplink.wake()
                await until(lambda: spool.stats().items == 0)
                number += 1
        assert rng.drawn == [pytest.approx(0.3)] * len(rng.drawn)


async def test_who_says_when_to_come_again_is_not_connected_to_anew(tmp_path: Path) -> None:
    async with edge(tmp_path) as (authority, spool):
        fill(spool, 1)
        authority.verdict = lambda _: grpc.StatusCode.UNAVAILABLE
        authority.retry_seconds = 0.01
        uplink = Uplink(settings(authority), spool)
        async with running(uplink):
            await until(lambda: uplink.status.failures.get(Failure.UNAVAILABLE, 0) >= 2)
            kept = uplink._line
            await until(lambda: uplink.status.failures.get(Failure.UNAVAILABLE, 0) >= 4)
            assert uplink._line is kept is not None
            authority.retry_seconds = 0.0
            await until(lambda: uplink._line is not kept)
            authority.verdict = lambda _: None
            await until(lambda: spool.stats().items == 0)


async def test_certificates_are_read_anew_after_a_failure(tmp_path: Path) -> None:
    async with edge(tmp_path) as (authority, spool):
        fill(spool, 1)
        files = authority.papers.issue("isp-a", Role.NODE, "edge-1")
        missing = files.model_copy(update={"certificate": tmp_path / "later.pem"})
        uplink = Uplink(settings(authority, tls=missing), spool)
        async with running(uplink):
            await until(lambda: uplink.status.failures.get(Failure.TLS, 0) >= 2)
            (tmp_path / "later.pem").write_bytes(files.certificate.read_bytes())
            await until(lambda: spool.stats().items == 0)


async def test_a_service_of_another_authority_gets_nothing(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other")
    async with edge(tmp_path) as (authority, spool):
        fill(spool, 1)
        await stranger.start()
        uplink = Uplink(settings(authority, target=stranger.target), spool)
        async with running(uplink):
            await until(lambda: uplink.status.failures.get(Failure.UNAVAILABLE, 0) >= 2)
        assert stranger.calls == []
        assert spool.stats().items == 1
        await stranger.stop()


async def test_a_spool_that_fails_is_counted_and_tried_again(tmp_path: Path) -> None:
    async with edge(tmp_path) as (authority, spool):
        spool.close()
        uplink = Uplink(settings(authority), spool)
        async with running(uplink):
            await until(lambda: uplink.status.failures.get(Failure.SPOOL, 0) >= 2)


async def test_a_key_that_cannot_be_read_is_told_at_the_start(tmp_path: Path) -> None:
    async with edge(tmp_path) as (authority, spool):
        with pytest.raises(SigningError):
            Uplink(settings(authority, authority_key=tmp_path / "none.pem"), spool)


@pytest.mark.parametrize("target", ["compliance.example", "compliance.example:", "http://compliance.example:1", ":443"])
def test_a_target_is_host_and_port(target: str) -> None:
    text = f'target: "{target}"\ntls: {{ca: ca.pem, certificate: c.pem, key: k.pem}}\nauthority_key: a.pem\n'
    with pytest.raises(ConfigError, match="target"):
        parse(text, UplinkSettings)
