"""How long it takes to break the glass: `suspend-release` on a whole resolver, and its end a minute later, by itself.

From the start of the command's process until it ended, after which no worker blocks what the release alone listed; the
suspension is the shortest there is, and nobody ends it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from deploy.demo.upstream import upstream
from lachan.message import NXDOMAIN
from tests.support.edge import Edge, running, until
from tests.support.list_authority import ListAuthority
from tests.support.load import ask_all, rcode
from tests.support.registry import GAMBLING

WORKERS = 2
ASKED = 40
"""Questions, each from a port of its own, so that every worker is asked."""
HOURS = 1 / 60
UNLIMITED = {"enabled": False}
NAME = "suspended.example"


def blocked(edge: Edge) -> set[bool]:
    """Whether the name is, by every answer."""
    found: set[bool] = set()

    def judge(_: str, answer: bytes) -> str:
        found.add(rcode(answer) == NXDOMAIN)
        return ""

    for number in range(ASKED):
        ask_all(edge.port, [f"n{number}.{NAME}"], judge, 1)
    return found


async def measure(folder: Path) -> dict[str, float]:
    """Seconds to suspend the newest release of the authority in `folder`, and from its end until that was in force."""
    authority = ListAuthority(folder / "authority")
    await asyncio.to_thread(_publish, authority, "before.example")
    with authority.serve() as server:
        sync = authority.settings(server, poll_interval=0.2).model_dump(mode="json")
        async with (
            upstream() as clean,
            running(folder, [clean], workers=WORKERS, blocklist={"sync": sync}, rate_limit=UNLIMITED) as edge,
        ):
            await until(lambda: _serial(edge) == _newest(authority), "the list is in force")
            await asyncio.to_thread(_publish, authority, NAME)
            await until(lambda: _serial(edge) == _newest(authority), "the next list is in force")
            assert await asyncio.to_thread(blocked, edge) == {True}
            began = time.monotonic()
            done = await edge.command("suspend-release", "--reason", "measured", "--hours", str(HOURS))
            took = time.monotonic() - began
            assert done.returncode == 0, done.stderr
            assert await asyncio.to_thread(blocked, edge) == {False}
            status = edge.status()
            assert status is not None
            [live] = status["suspended"]["live"]
            while await asyncio.to_thread(blocked, edge) != {True}:
                assert time.time() < live["ends_at"] + 60
            late = time.time() - live["ends_at"]
    sys.stdout.write(
        f"a release of a million names suspended in {took:.2f} s, by a command and in {WORKERS} workers; "
        f"in force again {late:.2f} s after its minute\n"
    )
    return {"suspend_s": round(took, 2), "suspension_late_s": round(late, 2)}


def _publish(authority: ListAuthority, name: str) -> None:
    authority.decide((name, GAMBLING, True))
    authority.build()
    authority.publish()


def _newest(authority: ListAuthority) -> int:
    return authority.release.history()[-1].serial


def _serial(edge: Edge) -> int:
    status = edge.status()
    return int(status["list"]["serial"]) if status else 0
