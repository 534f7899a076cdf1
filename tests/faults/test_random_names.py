"""Random names under one domain, whose servers say nothing: what they take is theirs, and others go on as before.

Run with `-s` to see what other clients waited.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from deploy.demo import upstream as demo
from lachan.message import NOERROR, NXDOMAIN, parse
from tests.support.blocklist import built, entry
from tests.support.edge import running, until
from tests.support.load import Tally, ask_all, rcode
from tests.support.nameserver import nameserver

ROOT = Path(__file__).resolve().parents[2]
ATTACKED = "attacked.example"
ATTACKER = "127.0.0.11"
OTHER = "127.0.0.2"
SHARE = 64
CLIENTS = 8
FIRST_TRY = 1.0
LISTED = "bad.example"


def _silent_where_attacked(query: bytes) -> list[bytes]:
    asked = parse(query).question
    assert asked is not None
    if asked.qname.lower().endswith(ATTACKED):
        return []
    answer = demo.answer(query, datagram=True)
    return [answer] if answer else []


def _judge(name: str, answer: bytes) -> str:
    wanted = NXDOMAIN if name.endswith(LISTED) else NOERROR
    return "" if rcode(answer) == wanted else f"response code {rcode(answer)}, not {wanted}"


@contextlib.contextmanager
def _attack(port: int) -> Iterator[subprocess.Popen[str]]:
    """Names without end; it ends with its input."""
    command = [sys.executable, "-m", "tests.support.flood", str(port), ATTACKER, ATTACKED, str(3 * SHARE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def _usual(label: str) -> list[str]:
    """A third listed, a third asked for the first time, a third again."""
    return [
        name
        for number in range(400)
        for name in (
            f"n{number}.{LISTED}",
            f"{label}{number}.of-{number}.example",
            f"{label}{number}.of-{number}.example",
        )
    ]


async def test_random_names_under_one_domain_cost_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "rules.snapshot").write_bytes(built(entry(LISTED)))
    settings = {
        "blocklist": {"snapshot": "rules.snapshot"},
        "forwarding": {"sockets": 16, "first_try": f"{FIRST_TRY}s"},
        # Nobody is stopped by the rate of his queries: that would end the attack before it began.
        "rate_limit": {"enabled": False, "misses_per_client": 4096, "misses_per_domain": SHARE},
    }
    async with nameserver(_silent_where_attacked) as server, running(tmp_path, [server.port], **settings) as edge:

        def outstanding() -> int:
            return sum(worker["outstanding"] for worker in (edge.status() or {"workers": []})["workers"])

        def attacked() -> int:
            return len({query[12:].lower() for _, query, _ in server.queries if b"attacked" in query.lower()})

        async def others(label: str) -> Tally:
            return await asyncio.to_thread(ask_all, edge.port, _usual(label), _judge, CLIENTS, 15.0, OTHER)

        before = await others("before")
        began = time.monotonic()
        with _attack(edge.port) as attacker:
            await until(lambda: attacked() >= SHARE, "the attack takes all it gets")
            # Again as soon as something of it was given up.
            await until(lambda: outstanding() >= SHARE, "it keeps all it gets")
            asking = asyncio.create_task(others("during"))
            waited = [outstanding()]
            while not asking.done():
                waited.append(await asyncio.to_thread(outstanding))
            during = await asking
            later = await others("later")
            sent = int((await asyncio.to_thread(attacker.communicate))[0])
            asked, seconds = attacked(), time.monotonic() - began
    sys.stdout.write(
        f"{sent} random names in {seconds:.1f} s, {asked} of them forwarded; other clients: p50 "
        f"{before.percentile(0.5) * 1000:.2f} and p99 {before.percentile(0.99) * 1000:.2f} ms before, p50 "
        f"{during.percentile(0.5) * 1000:.2f} and p99 {during.percentile(0.99) * 1000:.2f} ms during the attack\n"
    )
    for tally in (before, during, later):
        assert (tally.lost, tally.wrong, tally.answered) == ([], [], 1200)
    # Never more of it waits than its domain's share, beside what the others have on their way.
    assert max(waited) <= SHARE + CLIENTS
    # A name that is given up makes room for another, and takes the first try's time at least.
    assert asked <= SHARE * (1 + seconds / FIRST_TRY)
