"""A line checked by the probe's own verb, handed in over mutual TLS, kept in the ledger and shown to the authority."""

from __future__ import annotations

import asyncio
from pathlib import Path

import yaml
from sqlalchemy import select
from typer.testing import CliRunner

from compliance_api.probe.cli import app
from compliance_api.probe.walk import EXIT_UNDECIDED
from compliance_api.storage.probing.linechecks import StoredLineChecks
from compliance_api.storage.tables import ledger_leaves, line_checks
from lachan import postgres
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.compliance.v1.probe_service_pb2_grpc import ProbeServiceStub
from lachan.ledger.batch import signed
from lachan.tls import Role
from tests.support.challenging import honest, scene


async def test_a_check_is_handed_in_once_ledgered_and_shown(databases: postgres.Server, tmp_path: Path) -> None:
    async with scene(databases, tmp_path, {"honest": honest}) as made:
        files = made.papers.issue("so", Role.PROBE, "p1")
        made.keys["p1"].save(tmp_path / "signing.pem")
        config = tmp_path / "probe.yaml"
        config.write_text(
            yaml.safe_dump(
                {
                    "service": f"127.0.0.1:{made.port}",
                    "tls": {name: str(getattr(files, name)) for name in ("ca", "certificate", "key")},
                    "line": "school",
                    "signing_key": "signing.pem",
                    "spool": "s",
                    "journal": "j",
                    "measure": {"tries": 1, "timeout": 0.2},
                    "handed": [{"kind": "resolv.conf", "path": "resolv.conf"}],
                    "check_line": {"zone": "line.example", "resolvers": ["127.9.9.8"], "silent": ["127.9.9.9"]},
                }
            )
        )
        (tmp_path / "resolv.conf").write_text("nameserver 127.9.9.7\n")
        done = await asyncio.to_thread(CliRunner().invoke, app, ["check-line", "-c", str(config), "--submit"])
        assert done.exit_code == EXIT_UNDECIDED, done.output
        (known,) = await StoredLineChecks(made.engine).newest()
        assert (known.organisation, known.probe, known.vantage_point, known.open) == ("so", "p1", "p1", False)
        assert known.states["own_resolver"] == known.states["other_udp_53"] == "unknown"
        async with made.engine.connect() as connection:
            (row,) = (await connection.execute(select(line_checks))).all()
            (leaf,) = await connection.execute(select(ledger_leaves).where(ledger_leaves.c.kind == "line_check"))
        assert (leaf.log_index, leaf.subject) == (row.log_index, "line_check/so/p1")
        # The same again changes nothing.
        again = pb.SignedLineCheck.FromString(leaf.content)
        assert leaf.content == signed(again.check, again.signature, again.key_id)
        async with made.channel("so", Role.PROBE, "p1") as line:
            stub = ProbeServiceStub(line)
            await asyncio.gather(
                *(stub.SubmitLineCheck(pb.SubmitLineCheckRequest(check=again), timeout=60) for _ in range(3))
            )
        async with made.engine.connect() as connection:
            assert len((await connection.execute(select(line_checks))).all()) == 1
