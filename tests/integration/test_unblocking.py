"""From the registry's revocation to `slow_unblock`: registry, list authority, service and PostgreSQL as they run."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.observations.observation import Arm
from compliance_api.storage.tables import observations, period_verdicts, removals, tallies, verdicts
from lachan import postgres
from tests.support.compliance import LAW, Authority, ProbeClient, Service, eventually
from tests.support.list_authority import Keys, ListAuthority
from tests.support.registry import ORDER
from tests.support.registry_office import Office, order_arguments

KEPT = [f"kept{number}.host.example" for number in range(8)]
TAKEN = [*(f"taken{number}.host.example" for number in range(5)), "own.timing.example"]
ALL = ("kept", "taken", "own")
ACCUSING = {"under_blocking", "over_blocking", "slow_unblock", "slow_block", "stale_list", "counter_mismatch"}


class Lists:
    """The list authority with its registry, on a database of its own."""

    def __init__(self, folder: Path, ca: Path) -> None:
        self.office = Office(folder)
        # The service is known to the list authority, and the other way round.
        shutil.rmtree(folder / "pki" / "ca")
        shutil.copytree(ca, folder / "pki" / "ca")
        self.authority = ListAuthority(folder / "authority")
        approvers = [self.office.colleagues[name].signer for name in ("first", "second", "third")]
        self.authority.keys = Keys({**self.authority.keys.of_role, "list": approvers})
        self.authority.documents = self.authority.founding()
        metadata = self.authority.repository / "metadata"
        metadata.mkdir(parents=True)
        assert self.authority.documents.targets is not None
        (metadata / "1.targets.json").write_bytes(self.authority.documents.targets.to_bytes())
        self.office.configure(release="authority/release", repository="authority/repository")
        configured = folder / "list.yaml"
        settings = json.loads(configured.read_text())
        # The service is of another organisation than the list's people.
        settings["grpc"]["compliance"] = "lachan://so/service/compliance"
        configured.write_text(json.dumps({**settings, "controls": ["timing.example"]}))

    def propose(self, *what: str, approver: str) -> None:
        """Has something proposed and approved, and publishes what comes of it."""
        proposed = self.office.told(*what, "--order", ORDER.number, "--reason", "x", person="editor")["id"]
        self.office.run("approve", proposed, "--yes", person=approver)
        fetching = ("log", "--out", self.authority.log.folder, "--repository", self.authority.repository)
        self.office.told(*fetching, person="first")
        self.authority.build(now=int(time.time()) + 1)
        self.authority.publish()

    def begin(self) -> None:
        self.office.start()
        self.office.found()
        self.office.run(*order_arguments(ORDER), person="editor")
        self.propose("propose", *KEPT, *TAKEN, "--category", "gambling", approver="second")


class World:
    """The service, its database, and two probes that ask both operators."""

    def __init__(self, engine: AsyncEngine, probes: list[ProbeClient]) -> None:
        self._engine = engine
        self._probes = probes
        # By operator, how the names begin that it blocks.
        self.blocks = {"a": ALL, "b": ALL}

    async def ask(self) -> None:
        for probe in self._probes:
            while (given := await probe.take()) is not None:
                await probe.submit(probe.observe(given, self.blocks[given.organisation]))

    async def rows(self, wanted: Any) -> list[Any]:
        async with self._engine.connect() as connection:
            return list(await connection.execute(wanted))

    async def findings(self) -> dict[str, set[str]]:
        return {row.operator_id: set(row.findings) for row in await self.rows(select(verdicts))}

    async def asked(self, arm: Arm) -> set[str]:
        return {row.qname for row in await self.rows(select(observations.c.qname).where(observations.c.arm == arm))}


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Lists, World]]:
    day = {"length": "3s", "closes_after": "2s", "recounted_within": "60s"}
    law = {**LAW, "day": day, "list": {**LAW["list"], "unblock_deadline": "1s"}}
    with postgres.embedded(folder / "lists" / "db") as server:
        url = server.database("compliance")
        settings = {"database": {"url": url.render_as_string(hide_password=False)}}
        (folder / "so").mkdir()
        authority = Authority(folder / "so", law, settings)
        lists = Lists(folder / "lists", authority.folder / "ca")
        async with AsyncExitStack() as stack:
            stack.callback(lists.office.stop)
            await asyncio.to_thread(lists.begin)
            service = Service(authority.configure(lists.office.port), folder / "service.log")
            stack.callback(service.close)
            service.start()
            engine = postgres.engine(url, 4, "test")
            stack.push_async_callback(engine.dispose)
            probes = [ProbeClient(authority, name, service.addresses["grpc"]) for name in ("p1", "p2")]
            for probe in probes:
                stack.push_async_callback(probe.close)
            yield lists, World(engine, probes)
            assert service.stop() == 0, service.log_path.read_text()


async def test_who_unblocks_earns_nothing_and_who_never_does_is_found(tmp_path: Path) -> None:
    async with running(tmp_path) as (lists, world):

        async def everything_was_asked() -> bool:
            await world.ask()
            return await world.asked(Arm.LISTED) >= {*KEPT, *TAKEN}

        await eventually(everything_was_asked, "every name is asked as listed")
        await asyncio.to_thread(lists.propose, "revoke", *TAKEN, approver="first")
        world.blocks["a"] = ("kept",)

        async def found() -> dict[str, set[str]] | None:
            await world.ask()
            # Rounds that were drawn before ask what was taken out as listed.
            told = await world.findings()
            assert not told.get("a", set()) & ACCUSING
            return told if "slow_unblock" in told.get("b", set()) else None

        told = await eventually(found, "slow_unblock")
        assert told["b"] & ACCUSING == {"slow_unblock"}

        gone = await world.rows(select(removals).order_by(removals.c.qname))
        assert [(row.qname, row.serial, row.free) for row in gone] == [(name, 2, True) for name in sorted(TAKEN)]
        assert {row.qname for row in gone if row.control} == {"own.timing.example"}
        assert await world.asked(Arm.RELEASED) == set(TAKEN)
        # Beside them stands what they belong to.
        assert await world.asked(Arm.NEIGHBOUR) & {"host.example", "www.host.example"}

        kept = select(tallies.c.operator_id, tallies.c.timings)
        seen = [
            row.operator_id
            for row in await world.rows(kept)
            for one in row.timings
            if one["removed"] and one["serial"] == 2 and one["new"]
        ]
        assert set(seen) == {"a"}
        documents = select(period_verdicts.c.document).where(period_verdicts.c.operator_id == "a")
        read = [json.loads(row.document) for row in await world.rows(documents)]
        unblocked = [one for each in read for one in each.get("seen_unblocking", ()) if one["answered"]]
        assert {one["serial"] for one in unblocked} == {2}
        # Before the deadline, so nothing is late, and it is told all the same.
        assert all(one["first_answered"]["at_least"] <= one["first_answered"]["at_most"] for one in unblocked)
