"""The zone follows what is published, by itself."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.list_authority import ListAuthority
from tests.support.wait import until

PROGRAM = (sys.executable, "-c", "from blocklist_sync.central.cli import main; main()")


def holds(zone: Path, name: str) -> Callable[[], bool]:
    return lambda: zone.exists() and name in zone.read_text()


async def test_the_zone_is_written_again_after_each_publication(tmp_path: Path) -> None:
    authority = ListAuthority(tmp_path / "authority")
    (tmp_path / "zones").mkdir()
    zone, told = tmp_path / "zones" / "a.zone", tmp_path / "told"
    options = ("--follow", "--release", authority.release.folder, "--out", zone, "--origin", "rpz.so.example")
    # It is started before anything was published, and tells whoever serves the zone each time.
    command = [*PROGRAM, "rpz", *map(str, options), "--reload", f"touch {told}"]
    following = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
    try:
        authority.publish("one.example")
        await until(holds(zone, "one.example"), 60)
        await until(told.exists, 60)
        authority.build("two.example", extend=True)
        assert "two.example" not in zone.read_text()
        authority.publish()
        await until(holds(zone, "two.example"), 60)
    finally:
        following.terminate()
        await asyncio.wait_for(following.wait(), 30)
