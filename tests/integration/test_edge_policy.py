"""The operator's own word on a real edge: overrides, names, hours, and the shield against rebinding."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

import dns.message
import yaml

from deploy.demo.upstream import upstream
from lachan.message import NOERROR
from tests.support.blocklist import OFFER, built, entry
from tests.support.edge import Edge, running
from tests.support.nameserver import nameserver
from tests.support.packets import reply

ENTRIES = (entry("bad.example"), entry("games.example", order=OFFER), entry("chess.games.example", order=OFFER))
SETTINGS = {
    "blocklist": {"snapshot": "rules.snapshot"},
    "profiles": [
        {
            "name": "campus",
            "networks": ["127.0.0.0/8"],
            "actions": {"gambling": "null_ip"},
            "schedule": {
                "periods": [
                    # The whole day, in two halves: what holds does not depend on when the test runs.
                    {
                        "name": half,
                        "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
                        "start": start,
                        "end": end,
                    }
                    | {"categories": ["gambling"]}
                    for half, start, end in (("am", "00:00", "12:00"), ("pm", "12:00", "24:00"))
                ]
            },
        }
    ],
    "own": {
        "allow": [{"name": "chess.games.example", "reason": "the school's own club"}],
        "block": [{"name": "ads.example", "action": "nodata"}],
    },
}


async def blocked(edge: Edge, name: str) -> bool:
    """Whether the list has the name answered."""
    return [error.code for error in (await edge.ask(name)).errors] == [16]


async def test_the_operators_word_holds_in_every_worker_and_outlives_the_supervisor(tmp_path: Path) -> None:
    (tmp_path / "rules.snapshot").write_bytes(built(*ENTRIES, serial=7))
    async with upstream() as clean, running(tmp_path, [clean], workers=2, **SETTINGS) as edge:
        # Hours, names and actions of the operator's own.
        assert [r.address for r in (await edge.ask("games.example")).answers] == [bytes(4)]
        assert (await edge.ask("chess.games.example")).errors == ()
        own = await edge.ask("x.ads.example")
        assert (own.rcode, own.answers, [error.code for error in own.errors]) == (NOERROR, (), [15])
        # An emergency override: refused without a reason, in force in all workers once the command returns.
        assert (await edge.command("override", "add", "bad.example", "--reason", " ", "--hours", "1")).returncode == 1
        assert await blocked(edge, "bad.example")
        words = (
            "override",
            "add",
            "bad.example",
            "--reason",
            "a hospital's",
            "--hours",
            "1",
            "--code",
            "wrongly_listed",
        )
        made = await edge.command(*words)
        assert made.stdout.startswith("bad.example (exact) passes until "), made.stderr
        for _ in range(20):
            assert not await blocked(edge, "bad.example")
        assert await blocked(edge, "www.bad.example")
        listed = json.loads((await edge.command("override", "list", "--json")).stdout)
        assert [(one["name"], one["reason"]) for one in listed["overrides"]] == [("bad.example", "a hospital's")]
        told = json.loads((await edge.command("explain", "bad.example", "--profile", "campus", "--json")).stdout)
        assert told["profiles"]["campus"]["decided_by"] == "override"
        # It is on the disk, and with the workers, whatever becomes of the supervisor.
        edge.kill()
        assert not await blocked(edge, "bad.example")
        await edge.start()
        assert not await blocked(edge, "bad.example")
        assert (await edge.command("override", "remove", "bad.example")).stdout == "ended\n"
        for _ in range(20):
            assert await blocked(edge, "bad.example")
        assert (await edge.command("override", "remove", "bad.example")).returncode == 1


async def test_validate_refuses_what_the_list_makes_void(tmp_path: Path) -> None:
    (tmp_path / "rules.snapshot").write_bytes(built(*ENTRIES, serial=7))
    allow = [{"name": "www.bad.example", "reason": "because"}, {"name": "games.example", "reason": "because"}]
    async with upstream() as clean:
        edge = Edge(tmp_path, [clean], blocklist={"snapshot": "rules.snapshot"}, own={"allow": allow})
        edge.config.write_text(yaml.safe_dump(edge.settings))
        result = await edge.command("validate")
    assert result.returncode == 1
    assert "www.bad.example: mandated to be blocked" in result.stderr
    assert "games.example: mandated" not in result.stderr


async def test_public_names_lead_nobody_into_his_own_network(tmp_path: Path) -> None:
    (tmp_path / "rules.snapshot").write_bytes(built(*ENTRIES, serial=7))
    addresses = {"inside.example": "10.0.0.1", "intranet.corp.example": "10.0.0.2", "outside.example": "192.0.2.1"}

    def answer(query: bytes) -> list[bytes]:
        name = dns.message.from_wire(query).question[0].name.to_text().lower()
        return [reply(query, f"{name} 60 IN A {addresses[name.removesuffix('.')]}")]

    async with nameserver(answer) as server:
        rebinding = {"profiles": ["default"], "allow": ["corp.example"]}
        async with running(
            tmp_path, [server.port], blocklist={"snapshot": "rules.snapshot"}, rebinding=rebinding
        ) as edge:
            for _ in range(2):
                # From the upstream first, out of the cache then.
                inside = await edge.ask("inside.example")
                assert (inside.rcode, inside.answers, [error.code for error in inside.errors]) == (NOERROR, (), [15])
                for name in ("intranet.corp.example", "outside.example"):
                    told = await edge.ask(name)
                    assert [record.rdata for record in told.answers] == [ipaddress.ip_address(addresses[name]).packed]
