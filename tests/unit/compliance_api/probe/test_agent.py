from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from compliance_api.probe import agent as module
from compliance_api.probe.agent import Agent, Asker
from compliance_api.probe.assignment import Endpoint
from compliance_api.probe.errors import RefusedError, UnavailableError
from compliance_api.probe.journal import Journal
from compliance_api.probe.metrics import Metrics
from compliance_api.probe.settings import MeasureSettings, ProbeSettings, UplinkSettings
from compliance_api.usecases.probing.stamp import Stamper
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.compliance.v1 import report_pb2
from lachan.line import Line
from lachan.signing import SigningKey
from lachan.spool import Limits, Spool, SpoolUnavailableError
from lachan.tls import TlsFiles


def work(number: int, count: int, expires_in: int = 600, spread: int = 0) -> pb.Assignment:
    endpoint = pb.Endpoint(address="192.0.2.1", port=53, transport=report_pb2.TRANSPORT_UDP)
    return pb.Assignment(
        assignment_id=bytes([number]) * 16,
        organisation="operator-a",
        resolver=endpoint,
        reference=endpoint,
        questions=[pb.Question(index=n, qname=f"n{n}.example", qtype=1, arm=pb.ARM_LISTED) for n in range(count)],
        spread_seconds=spread,
        expires_at=int(time.time()) + expires_in,
    )


class Authority:
    """Gives `work`, takes what comes."""

    def __init__(self, *pieces: pb.Assignment) -> None:
        self.work = list(pieces)
        self.stored: list[pb.Observation] = []
        self.away = False
        self.asked_for_work = 0
        self.refuses: set[int] = set()
        self.stamper: Stamper | None = None
        self.signed: list[pb.SignedObservation] = []

    async def take(self) -> pb.TakeAssignmentResponse:
        self.asked_for_work += 1
        if self.away:
            raise UnavailableError("away")
        return pb.TakeAssignmentResponse(assignment=self.work.pop(0) if self.work else None)

    async def stamps(self, commitments: Sequence[bytes]) -> list[pb.Stamp]:
        if self.away:
            raise UnavailableError("away")
        return self.stamper.take(commitments) if self.stamper else []

    async def submit(self, observations: list[bytes]) -> None:
        if self.away:
            raise UnavailableError("away")
        parsed = [pb.Observation.FromString(pb.SignedObservation.FromString(one).observation) for one in observations]
        if self.refuses & {one.index for one in parsed}:
            raise RefusedError("unwanted")
        self.stored += parsed
        self.signed += [pb.SignedObservation.FromString(one) for one in observations]


async def answer(_endpoint: Endpoint, _qname: str, _qtype: int, _do: bool) -> pb.Exchange:
    return pb.Exchange(outcome=pb.OUTCOME_ANSWERED, query=b"q", response=b"r", tries=1)


class Bench:
    """An agent with its files, without sockets."""

    def __init__(
        self, folder: Path, authority: Authority, ask: Asker = answer, handed: Sequence[str] = (), **changes: Any
    ) -> None:
        self.spool = Spool(folder / "spool", Limits())
        self.journal = Journal(folder / "journal")
        files = TlsFiles(ca=folder, certificate=folder, key=folder)
        settings = ProbeSettings(
            service="127.0.0.1:1",
            tls=files,
            line=Line.CONSUMER,
            signing_key=folder,
            spool=folder,
            journal=folder,
            measure=MeasureSettings(same_name_gap=0, timeout=0.05, tries=1, **changes.pop("measure", {})),
            uplink=UplinkSettings(poll=0.05, submit_every=0.05, backoff_first=0.01, backoff_most=0.02),
            **changes,
        )
        self.metrics = Metrics()
        self.agent = Agent(
            settings,
            SigningKey.generate(),
            self.spool,
            self.journal,
            authority,
            ask,
            Random(7),
            self.metrics,
            lambda: handed,
        )

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.agent.run())
        try:
            yield
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            self.spool.close()
            self.journal.close()


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.005)


async def test_work_goes_on_while_the_service_is_away(tmp_path: Path) -> None:
    authority = Authority(work(1, 5))
    bench = Bench(tmp_path, authority)
    async with bench.working():
        await until(lambda: not authority.work)
        authority.away = True
        await until(lambda: bench.spool.stats().items == 5 or authority.stored)
        authority.away = False
        await until(lambda: len(authority.stored) == 5)
        await until(lambda: bench.spool.stats().items == 0)
    assert sorted(one.index for one in authority.stored) == list(range(5))


async def test_a_failing_disk_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DISK_RETRY_S", 0.01)
    authority = Authority(work(1, 3))
    bench = Bench(tmp_path, authority)
    append, failures = bench.spool.append, iter(range(4))

    def fail_at_first(*args: Any, **keys: Any) -> Any:
        if next(failures, None) is not None:
            raise SpoolUnavailableError("the disk is full")
        return append(*args, **keys)

    monkeypatch.setattr(bench.spool, "append", fail_at_first)
    async with bench.working():
        await until(lambda: len(authority.stored) == 3)


async def test_a_full_spool_takes_no_more_work(tmp_path: Path) -> None:
    authority = Authority(work(1, 5))
    bench = Bench(tmp_path, authority, spool_most=100)
    for number in range(100):
        # Held items never travel, so the spool stays full.
        item = bench.spool.append(number.to_bytes(4, "big"), time.time())
        bench.spool.hold(item.position, "for the test", time.time())
    async with bench.working():
        await asyncio.sleep(0.2)
    assert authority.asked_for_work == 0


async def test_expired_work_is_not_begun(tmp_path: Path) -> None:
    asked: list[str] = []

    async def note(endpoint: Endpoint, qname: str, qtype: int, do: bool) -> pb.Exchange:
        asked.append(qname)
        return await answer(endpoint, qname, qtype, do)

    authority = Authority(work(1, 3, expires_in=-5), work(2, 1))
    bench = Bench(tmp_path, authority, note)
    async with bench.working():
        await until(lambda: len(authority.stored) == 1)
    assert set(asked) == {"n0.example"}


async def test_a_reference_too_late_to_prove_anything_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REFERENCE_LATEST_S", -1.0)
    authority = Authority(work(1, 1))
    async with Bench(tmp_path, authority).working():
        await until(lambda: authority.stored)
    (observation,) = authority.stored
    assert observation.resolver.tries == 1
    assert (observation.reference.outcome, observation.reference.tries) == (pb.OUTCOME_TIMEOUT, 0)


async def test_what_is_refused_is_kept_aside(tmp_path: Path) -> None:
    authority = Authority(work(1, 8))
    authority.refuses = {2, 6}
    bench = Bench(tmp_path, authority)
    async with bench.working():
        await until(lambda: len(authority.stored) == 6)
        await until(lambda: bench.spool.stats().held == 2)
        assert bench.spool.stats().items == 2
    assert bench.metrics.registry.get_sample_value("lachan_probe_refused_observations_total") == 2


async def test_a_question_spooled_but_not_marked_is_not_asked_again(tmp_path: Path) -> None:
    message = work(1, 2)
    authority = Authority()
    bench = Bench(tmp_path, authority)
    bench.journal.add(message.assignment_id, message.SerializeToString(), message.expires_at)
    # As a crash between the two files leaves it.
    done = pb.SignedObservation(
        observation=pb.Observation(assignment_id=message.assignment_id, index=0).SerializeToString()
    )
    bench.spool.append(done.SerializeToString(), 0, module.spool_state(message.assignment_id, 0))
    async with bench.working():
        await until(lambda: len(authority.stored) == 2)
        await asyncio.sleep(0.2)
    assert sorted(one.index for one in authority.stored) == [0, 1]


async def test_what_was_refused_gets_a_second_chance_and_is_given_up_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REFUSED_RETRY_S", 0.0)
    authority = Authority(work(1, 2))
    authority.refuses = {1}
    bench = Bench(tmp_path, authority)
    ancient = bench.spool.append(b"", time.time() - 31 * 86400)
    bench.spool.hold(ancient.position, "for the test", time.time() - 86400)
    async with bench.working():
        await until(lambda: len(authority.stored) == 1 and bench.spool.stats().items == 1)
        authority.refuses = set()
        authority.work.append(work(2, 1))
        await until(lambda: len(authority.stored) == 3)
        await until(lambda: bench.spool.stats().items == 0)


async def test_what_is_seen_is_dated_by_two_stamps_of_the_service(tmp_path: Path) -> None:
    message = work(1, 3)
    message.second_reference.CopyFrom(message.reference)
    authority = Authority(message)
    clock = datetime(2030, 1, 1, tzinfo=UTC)
    authority.stamper = Stamper(SigningKey.generate(), lambda: clock, os.urandom)
    message.expires_at = int(clock.timestamp()) + 600
    bench = Bench(tmp_path, authority)
    # By this machine's own clock, the assignment was given years ahead of its time.
    bench.agent._timekeeper.hold(authority.stamper.take([])[0])
    async with bench.working():
        await until(lambda: len(authority.stored) == 3)
    for observation, signed in zip(authority.stored, authority.signed, strict=True):
        assert authority.stamper.time(observation.begun) == clock
        assert observation.since_begun_us < 20_000_000
        assert authority.stamper.time(signed.ended, hashlib.sha256(signed.observation).digest()) == clock
        assert observation.reference.tries == observation.second_reference.tries == 1
        assert observation.resolver.asked_after_us == 0 < observation.second_reference.asked_after_us


async def test_a_service_that_knows_no_stamps_gets_what_was_seen_without(tmp_path: Path) -> None:
    authority = Authority(work(1, 2))
    async with Bench(tmp_path, authority).working():
        await until(lambda: len(authority.stored) == 2)
    assert not any(one.HasField("begun") for one in authority.stored)
    assert not any(one.HasField("ended") for one in authority.signed)
    assert all(abs(one.asked_at_us / 1e6 - time.time()) < 60 for one in authority.stored)


async def test_a_line_asks_whom_it_was_handed_out_and_nonces_nobody_else(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    async def note(endpoint: Endpoint, qname: str, qtype: int, do: bool) -> pb.Exchange:
        asked.append((endpoint.address, qname))
        return await answer(endpoint, qname, qtype, do)

    message = work(1, 1)
    message.resolver.address = ""
    message.questions.add(index=1, qname="n1.whoami.example", qtype=16, arm=pb.ARM_WHOAMI)
    message.questions.add(index=2, qname="n2.line.example", qtype=1, arm=pb.ARM_EGRESS)
    authority = Authority(message)
    async with Bench(tmp_path, authority, note, handed=["198.51.100.53"]).working():
        await until(lambda: len(authority.stored) == 3)
    # The reference of these tests is another resolver; one is all that this assignment names.
    assert sorted(asked) == [
        ("192.0.2.1", "n0.example"),
        ("198.51.100.53", "n0.example"),
        ("198.51.100.53", "n1.whoami.example"),
        ("198.51.100.53", "n2.line.example"),
    ]
    assert {one.asked.address for one in authority.stored} == {"198.51.100.53"}
    assert [one.HasField("reference") for one in sorted(authority.stored, key=lambda one: one.index)] == [
        True,
        False,
        False,
    ]


async def test_ordinary_names_in_between_are_not_told(tmp_path: Path) -> None:
    asked: list[str] = []

    async def note(endpoint: Endpoint, qname: str, qtype: int, do: bool) -> pb.Exchange:
        asked.append(qname)
        if qname == "n0.example":
            # As long as this takes, other names are asked.
            await until(lambda: asked.count("news.example") >= 3)
        return await answer(endpoint, qname, qtype, do)

    authority = Authority(work(1, 1))
    bench = Bench(tmp_path, authority, note, measure={"cover": ("news.example",), "cover_every": 0.05})
    async with bench.working():
        await until(lambda: authority.stored)
        bench_count = len(asked)
        await asyncio.sleep(0.3)
        assert len(asked) <= bench_count + 1, "without work, nothing is asked"
    assert [one.index for one in authority.stored] == [0]
