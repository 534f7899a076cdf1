"""What an edge survives: bad upstreams, workers stopped and killed, a list that keeps changing, a full disk.

Clients are asked whether they noticed: none is answered wrongly, and none waits for an answer that was lost, but where
a process was killed with the query in its hands.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.demo import upstream as demo
from lachan.message import NOERROR, NXDOMAIN, SERVFAIL
from resolver.counters import Ring
from tests.support.blocklist import built, entry
from tests.support.edge import Edge, free_port, running, until
from tests.support.list_authority import ListAuthority
from tests.support.load import Load, Tally, ask_all, rcode
from tests.support.nameserver import NameServer, nameserver

UNLIMITED = {"enabled": False, "misses_per_client": 4096, "misses_per_domain": 4096}
LISTED = "bad.example"


@pytest.fixture
def common(tmp_path: Path) -> dict[str, object]:
    (tmp_path / "rules.snapshot").write_bytes(built(entry(LISTED)))
    return {"blocklist": {"snapshot": "rules.snapshot"}, "rate_limit": UNLIMITED}


@pytest.fixture
async def clean() -> AsyncIterator[NameServer]:
    """An upstream that answers well."""
    async with nameserver(_honest, _whole) as server:
        yield server


def _honest(query: bytes) -> list[bytes]:
    answer = demo.answer(query, datagram=True)
    return [answer] if answer else []


def _whole(query: bytes) -> list[bytes]:
    answer = demo.answer(query, datagram=False)
    return [len(answer).to_bytes(2, "big") + answer] if answer else []


def _truncated(query: bytes) -> list[bytes]:
    end = 12
    while query[end]:
        end += query[end] + 1
    return [query[:2] + b"\x83\x80\0\1\0\0\0\0\0\0" + query[12 : end + 5]]


def _garbage(query: bytes) -> list[bytes]:
    answer = _honest(query)[0]
    return [answer[: len(answer) // 2], os.urandom(64), query[:2] + b"\x81\x80" + os.urandom(40)]


def judge(name: str, answer: bytes) -> str:
    """Listed names do not exist, all others do."""
    wanted = NXDOMAIN if name == LISTED or name.endswith("." + LISTED) else NOERROR
    return "" if rcode(answer) == wanted else f"response code {rcode(answer)}, not {wanted}"


def mixed(label: str) -> Iterator[str]:
    """Names without end: half of them listed, the others each asked for the first time or the second."""
    for number in itertools.count():
        yield f"n{number}.{LISTED}"
        yield f"{label}{number // 2}.example"


def numbered(label: str) -> Iterator[str]:
    """Names without end that no cache knows."""
    return (f"{label}{number}.example" for number in itertools.count())


async def load(edge: Edge, names: list[str], window: int = 16) -> Tally:
    """Each name once; the loop that upstreams run in goes on meanwhile."""
    return await asyncio.to_thread(ask_all, edge.port, names, judge, window)


async def test_a_silent_upstream_costs_its_first_tries_alone(
    tmp_path: Path, clean: NameServer, common: dict[str, object]
) -> None:
    forwarding = {"sockets": 16, "first_try": "500ms"}
    async with (
        nameserver() as silent,
        running(tmp_path, [silent.port, clean.port], forwarding=forwarding, **common) as edge,
    ):
        first = await load(edge, [f"first{number}.example" for number in range(100)])
        asked = len(silent.queries)
        later = await load(edge, [f"later{number}.example" for number in range(300)])
        assert (first.lost, first.wrong, later.lost, later.wrong) == ([], [], [], [])
        # Passed over once it is known, and asked again now and then: how often depends on how long this takes.
        assert asked >= 8
        assert len(silent.queries) < 200
        # It speaks again: it is used again.
        silent.udp = _honest
        count = len(silent.queries)
        numbers = itertools.count()

        def used_again() -> bool:
            tally = ask_all(edge.port, [f"again{next(numbers)}.example" for _ in range(20)], judge)
            assert (tally.lost, tally.wrong) == ([], [])
            return len(silent.queries) > count + 100

        await until(used_again, "the upstream is used again")


async def test_with_every_upstream_silent_the_list_answers_at_once(tmp_path: Path, common: dict[str, object]) -> None:
    forwarding = {"sockets": 16, "first_try": "200ms"}
    async with nameserver() as silent, running(tmp_path, [silent.port], forwarding=forwarding, **common) as edge:
        with Load(edge.port, numbered("waits"), lambda *_: "", 64) as waiting:
            await until(lambda: silent.queries, "some wait")
            listed = await load(edge, [f"n{number}.{LISTED}" for number in range(2000)])
            tally = await asyncio.to_thread(waiting.stop)
        assert (listed.lost, listed.wrong) == ([], [])
        # Everybody who waited was told, in the time that three tries take; nobody else waited that long.
        assert tally.lost == []
        assert tally.answered
        assert listed.percentile(0.99) < tally.percentile(0.5)
        assert (await edge.ask("after.example", tries=1)).rcode == SERVFAIL


async def test_an_upstream_that_talks_nonsense_is_as_good_as_silent(
    tmp_path: Path, clean: NameServer, common: dict[str, object]
) -> None:
    forwarding = {"sockets": 16, "first_try": "500ms"}
    async with (
        nameserver(_garbage, _whole) as mad,
        running(tmp_path, [mad.port, clean.port], forwarding=forwarding, **common) as edge,
    ):
        tally = await load(edge, [f"n{number}.example" for number in range(200)])
    assert (tally.lost, tally.wrong, tally.answered) == ([], [], 200)


async def test_a_slow_upstream_slows_nobody_who_does_not_need_it(tmp_path: Path, common: dict[str, object]) -> None:
    loop = asyncio.get_running_loop()
    late: list[asyncio.TimerHandle] = []
    async with nameserver() as slow:

        def answer_later(query: bytes) -> list[bytes]:
            _, _, source = slow.queries[-1]
            late.append(loop.call_later(0.3, slow.send, _honest(query)[0], source))
            return []

        slow.udp = answer_later
        forwarding = {"sockets": 16, "first_try": "1s"}
        async with running(tmp_path, [slow.port], forwarding=forwarding, **common) as edge:
            with Load(edge.port, numbered("slow"), judge, 64) as load_of_misses:
                await until(lambda: len(slow.queries) > 64, "misses wait")
                listed = await load(edge, [f"n{number}.{LISTED}" for number in range(2000)])
                misses = await asyncio.to_thread(load_of_misses.stop)
        assert (listed.lost, listed.wrong, misses.lost, misses.wrong) == ([], [], [], [])
        assert listed.percentile(0.9) < 0.25
        assert misses.percentile(0.5) >= 0.3
        # Nothing was asked twice for being slow, unless this machine was slower than the first try: who waited knows.
        waited = sum(seconds >= 1 for seconds in misses.seconds)
        assert misses.answered <= len(slow.queries) <= misses.answered + 2 * waited


async def test_an_upstream_that_truncates_everything_is_asked_over_tcp(
    tmp_path: Path, common: dict[str, object]
) -> None:
    async with nameserver(_truncated, _whole) as server, running(tmp_path, [server.port], **common) as edge:
        tally = await load(edge, [f"n{number}.example" for number in range(200)])
        assert (tally.lost, tally.wrong) == ([], [])
        assert {kind for kind, _, _ in server.queries} == {"udp", "tcp"}
        # And where TCP says nothing either, that is told in its time.
        server.tcp = lambda _: []
        answer = await edge.ask("silent.example", tries=1)
        assert answer.rcode == SERVFAIL


@pytest.mark.parametrize("workers", [1, 2])
async def test_what_is_asked_while_a_worker_stands_still_is_answered_when_it_goes_on(
    tmp_path: Path, clean: NameServer, common: dict[str, object], workers: int
) -> None:
    # Long enough to be told from one that is replaced.
    patient = {"stalled": "60s"}
    async with running(tmp_path, [clean.port], workers=workers, processes=patient, **common) as edge:
        pids = edge.workers()
        assert len(pids) == workers
        os.kill(pids[0], signal.SIGSTOP)
        try:
            asked = asyncio.create_task(load(edge, list(itertools.islice(mixed("stopped"), 200)), 200))
            # All of it stands in sockets by now: a client that only sends needs no answer.
            await until(lambda: _queued(edge.port) or workers == 2, "queries wait")
        finally:
            os.kill(pids[0], signal.SIGCONT)
        tally = await asked
        assert (tally.lost, tally.wrong, tally.answered) == ([], [], 200)
        assert edge.workers() == pids


def _queued(port: int) -> int:
    """Octets that wait in UDP sockets of this port."""
    table = Path("/proc/net/udp").read_text().splitlines()[1:]
    return sum(int(line.split()[4].split(":")[1], 16) for line in table if line.split()[1].endswith(f":{port:04X}"))


async def test_a_worker_killed_under_load_costs_what_it_had_in_hand(
    tmp_path: Path, clean: NameServer, common: dict[str, object]
) -> None:
    window = 16
    async with running(tmp_path, [clean.port], workers=2, **common) as edge:
        kills = 2
        with Load(edge.port, mixed("killed"), judge, window, 5.0) as under:
            for number in range(kills):
                before = edge.workers()
                count = under.tally.answered
                await until(lambda count=count: under.tally.answered > count + 200, "the load runs")
                os.kill(before[number % 2], signal.SIGKILL)
                await until(lambda gone=before[number % 2]: _replaced(edge, gone), "a replacement")
            tally = await asyncio.to_thread(under.stop)
        sys.stdout.write(f"{kills} workers killed: {tally.answered} answered, {len(tally.lost)} lost\n")
        assert tally.wrong == []
        # A batch, and what it waited for from upstreams: never more than was on its way.
        assert len(tally.lost) <= kills * window
        after = await load(edge, list(itertools.islice(mixed("after"), 400)))
        assert (after.lost, after.wrong) == ([], [])


def _replaced(edge: Edge, gone: int) -> bool:
    pids = edge.workers()
    return len(pids) == 2 and gone not in pids


def _serial(edge: Edge) -> int:
    status = edge.status()
    return int(status["list"]["serial"]) if status else 0


def _waiting(edge: Edge) -> int:
    """Reports in the spool."""
    status = edge.status()
    return int(status["reports"]["waiting"]) if status else 0


async def test_a_list_that_changes_under_load_loses_no_query(tmp_path: Path, clean: NameServer) -> None:
    releases = 6
    authority = await asyncio.to_thread(ListAuthority, tmp_path / "authority")
    await asyncio.to_thread(authority.publish, LISTED, "first.example")
    with authority.serve() as server:
        sync = authority.settings(server, poll_interval=0.2).model_dump(mode="json")
        async with running(tmp_path, [clean.port], workers=2, blocklist={"sync": sync}, rate_limit=UNLIMITED) as edge:
            await until(lambda: _serial(edge) == 1, "the first list is in force")
            with Load(edge.port, mixed("swapped"), judge, 16) as under:
                for number in range(2, releases + 2):
                    await asyncio.to_thread(authority.publish, LISTED, f"only-in-{number}.example")
                    await until(lambda number=number: _serial(edge) == number, "it is in force")
                    # Every worker has it when the supervisor tells so: not one still answers by the list before.
                    names = [f"www.only-in-{number}.example", f"www.only-in-{number - 1}.example"] * 20
                    seen: set[tuple[str, int]] = set()

                    def note(name: str, answer: bytes, seen: set[tuple[str, int]] = seen) -> str:
                        seen.add((name, rcode(answer)))
                        return ""

                    await asyncio.to_thread(ask_all, edge.port, names, note)
                    assert seen == {(names[0], NXDOMAIN), (names[1], NOERROR)}
                tally = await asyncio.to_thread(under.stop)
    sys.stdout.write(
        f"{releases} lists under load: {tally.answered} answered, {len(tally.lost)} lost, {len(tally.wrong)} wrong, "
        f"p50 {tally.percentile(0.5) * 1000:.2f} ms, p99 {tally.percentile(0.99) * 1000:.2f} ms\n"
    )
    assert (tally.lost, tally.wrong) == ([], [])
    assert tally.answered > 100


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of a megabyte, mounted on the folder."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Leaves no octet free."""
    with contextlib.suppress(OSError), (folder / "ballast").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def _alarms(edge: Edge) -> set[str]:
    status = edge.status()
    return {one["alarm"] for one in status["alarms"]} if status else set()


def _ended(edge: Edge) -> bool:
    return edge.process is not None and edge.process.poll() is not None


async def test_an_hour_that_cannot_be_committed_to_costs_reports_alone(
    tmp_path: Path, clean: NameServer, common: dict[str, object]
) -> None:
    edge = Edge(tmp_path, [clean.port], report={"window": "1s"}, **common)
    # It has counted for two hours: the last full one is due with the next window. Its place is taken.
    edge.runtime.mkdir()
    Ring.create(
        edge.runtime / "counters.ring",
        window_seconds=1,
        # One worker, and a seat for who takes its place.
        workers=2,
        profiles=["default"],
        epoch=bytes(16),
        previous=b"",
        now=int(time.time()) - 7200,
    )
    (tmp_path / "state").mkdir()
    place = tmp_path / "state" / "openings"
    place.write_bytes(b"")
    try:
        await edge.start()
        await until(lambda: "could not be told" in edge.log or _ended(edge), "an hour finds no place")
        assert not _ended(edge), f"the supervisor ended:\n{edge.log[-2000:]}"
        tally = await load(edge, list(itertools.islice(mixed("hour"), 200)))
        assert (tally.lost, tally.wrong, _waiting(edge)) == ([], [], 0)
        place.unlink()
        await until(lambda: _waiting(edge) > 0, "reports go on")
    finally:
        await edge.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system to fill")
async def test_a_full_disk_costs_reports_and_new_lists_and_no_answer(tmp_path: Path, clean: NameServer) -> None:
    authority = await asyncio.to_thread(ListAuthority, tmp_path / "authority")
    await asyncio.to_thread(authority.publish, LISTED)
    state = tmp_path / "state"
    with small_disk(state), authority.serve() as server:
        sync = authority.settings(server, poll_interval=0.2, backoff_max=0.5).model_dump(mode="json")
        async with running(
            tmp_path, [clean.port], blocklist={"sync": sync}, rate_limit=UNLIMITED, report={"window": "1s"}
        ) as edge:
            await until(lambda: _serial(edge) == 1, "the list is in force")
            await until(lambda: _waiting(edge) > 0, "a window was told")
            fill(state)
            names = [f"of-a-large-release-{number}.example" for number in range(20_000)]
            await asyncio.to_thread(authority.publish, LISTED, *names)
            with Load(edge.port, mixed("full"), judge, 4) as under:
                await until(lambda: "round failed" in edge.log, "the new list finds no room")
                await until(lambda: _alarms(edge) == {"storage"}, "somebody is told")
                await until(lambda: "could not be told" in edge.log or _ended(edge), "a window finds no room")
                assert not _ended(edge), f"the supervisor ended:\n{edge.log[-2000:]}"
                count = under.tally.answered
                await until(lambda: under.tally.answered > count + 500, "clients are answered")
                (state / "ballast").unlink()
                before = _waiting(edge)
                await until(lambda: _waiting(edge) > before, "reports go on")
                await until(lambda: _serial(edge) == 2, "the new list is in force")
                await until(lambda: not _alarms(edge), "nothing is to be told any more")
                tally = await asyncio.to_thread(under.stop)
    assert (tally.lost, tally.wrong) == ([], [])


async def test_the_supervisor_dead_and_back_under_load_loses_no_query(
    tmp_path: Path, clean: NameServer, common: dict[str, object]
) -> None:
    async with running(tmp_path, [clean.port], workers=2, **common) as edge:
        pids = edge.workers()
        with Load(edge.port, mixed("orphaned"), judge, 16) as under:
            for _ in range(2):
                edge.kill()
                count = under.tally.answered
                await until(lambda count=count: under.tally.answered > count + 500, "workers answer alone")
                await edge.start()
            tally = await asyncio.to_thread(under.stop)
        assert edge.workers() == pids
    assert (tally.lost, tally.wrong) == ([], [])


async def test_an_address_that_nobody_listens_on_is_no_upstream(
    tmp_path: Path, clean: NameServer, common: dict[str, object]
) -> None:
    forwarding = {"sockets": 8, "first_try": "500ms"}
    async with running(tmp_path, [free_port(), clean.port], forwarding=forwarding, **common) as edge:
        tally = await load(edge, [f"n{number}.example" for number in range(200)])
    assert (tally.lost, tally.wrong) == ([], [])
