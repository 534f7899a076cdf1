"""The zone follows what is published, by itself, and resolvers follow the zone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.list_authority import ListAuthority
from tests.support.nameserver import nameserver
from tests.support.rpz_desk import list_by_knot, world
from tests.support.rpz_network import ADDRESS, ORIGIN, bind, free_port, stopped
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


@pytest.mark.debian("knotd", "knotc", "named")
async def test_a_publication_alone_reaches_a_resolver(tmp_path: Path) -> None:
    port = free_port()
    async with nameserver(world) as upstream, list_by_knot(tmp_path, port) as (desk, knot):
        named = bind(tmp_path, port, desk.key_file, f'{ADDRESS} port {knot.port} key "isp-a-1"', upstream.port)
        reload = f"knotc -c {knot.folder / 'knot.conf'} zone-reload {ORIGIN}"
        options = ("--follow", "--release", desk.lists.release.folder, "--out", desk.zones / "lachan.zone")
        command = [*PROGRAM, "rpz", *map(str, options), "--origin", ORIGIN, "--reload", reload]
        following = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
        try:
            with stopped(named):
                named.start("named", "-f", "-n", "1", "-c", str(named.folder / "named.conf"))
                await named.until_says({"gone.example": "NXDOMAIN", "new.example": "answered"})
                # Nobody but the one who follows tells Knot, and nobody but Knot tells BIND.
                await asyncio.to_thread(desk.lists.publish, "||bad.example^", "||new.example^")
                await named.until_says({"www.new.example": "NXDOMAIN", "gone.example": "answered"})
        finally:
            following.terminate()
            await asyncio.wait_for(following.wait(), 30)
