"""An operator's proofs, made by the auditor against a ledger that witnesses cosign, and held against it alone."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from lachan.compliance.v1 import report_pb2
from lachan.compliance.v1.audit_service_pb2 import ProvenReceipt
from lachan.spool import Spool
from resolver import proofs
from resolver.cli import app
from resolver.control import Server
from resolver.proofs import ProofError, Shown
from resolver.receipts import pinned
from resolver.trust import Trust
from resolver.uplink import Uplink
from tests.support.ledger import NOON, Parties
from tests.support.wait import until
from tests.unit.resolver.test_auditor import Ledger
from tests.unit.resolver.test_uplink import fill, running, settings

LATER = NOON + 3600


@pytest.fixture
async def proven(tmp_path: Path) -> Path:
    """A file with two proven reports; the policy and the key of receipts beside it."""
    authority = Ledger(tmp_path)
    await authority.start()
    (tmp_path / "policy").write_text(authority.parties.policy_text)
    spool = Spool(tmp_path / "spool.db")
    made = settings(authority, ledger={"policy": tmp_path / "policy", "poll": 0.01, "check": 0.1})
    uplink = Uplink(made, spool, random.Random(1), wall=lambda: float(LATER))
    out = tmp_path / "proofs"
    try:
        fill(spool, 2)
        authority.size = 2
        async with running(uplink):
            await until(lambda: spool.stats().items == 0)
        with out.open("wb") as file:
            assert proofs.handler(spool, {"last": 10}, [file.fileno()]) == ({"proofs": 2}, ())
    finally:
        await authority.stop()
        spool.close()
    (tmp_path / "key").write_bytes(made.authority_key.read_bytes())
    return out


def shown(file: Path, policy: str | None = None) -> list[Shown]:
    folder = file.parent
    if policy is not None:
        (folder / "policy").write_text(policy)
    data: Iterator[bytes] = iter(file.read_bytes().splitlines(keepends=True))
    return list(proofs.verify(data, pinned([folder / "key"]), Trust(folder / "policy", None), LATER))


def test_what_was_reported_is_proven_without_the_authority(proven: Path) -> None:
    found = shown(proven)
    assert [(one.node, one.index, one.wrong) for one in found] == [("isp-a/edge-1", 0, ""), ("isp-a/edge-1", 1, "")]
    assert [one.sequence for one in found] == [1, 2]
    words = ["receipts", "verify", str(proven), "--policy", str(proven.parent / "policy")]
    told = CliRunner().invoke(app, [*words, "--receipt-key", str(proven.parent / "key"), "--json"])
    assert (told.exit_code, json.loads(told.stdout)["proven"]) == (0, 2)


def test_with_other_witnesses_nothing_is(proven: Path) -> None:
    assert all("log.example/ledger" in one.wrong for one in shown(proven, Parties().policy_text))


def _another(proof: ProvenReceipt) -> None:
    own = report_pb2.Report.FromString(proof.report.report)
    own.sequence += 1
    proof.report.report = own.SerializeToString()


@pytest.mark.parametrize(
    "bend",
    [
        _another,
        lambda proof: proof.ClearField("report"),
        lambda proof: proof.ClearField("checkpoint"),
        lambda proof: setattr(proof.leaf, "index", 7) or proof.leaf.proof.append(bytes(32)),
        lambda proof: setattr(proof.report, "signature", bytes(64)),
        lambda proof: setattr(proof.receipt, "signature", bytes(64)),
    ],
)
def test_what_is_bent_is_named(proven: Path, bend: Callable[[ProvenReceipt], object]) -> None:
    first, second = proven.read_bytes().splitlines()
    told = json.loads(first)
    proof = ProvenReceipt.FromString(base64.b64decode(told["proof"]))
    bend(proof)
    told["proof"] = base64.b64encode(proof.SerializeToString()).decode()
    proven.write_bytes(json.dumps(told).encode() + b"\n" + second + b"\n")
    wrong, right = shown(proven)
    assert wrong.wrong
    assert not right.wrong


@pytest.mark.parametrize("line", [b"x", b"{}", b'{"proof":"*"}', b"[]", b"[" * 100_000])
def test_what_is_no_line_is_named(proven: Path, line: bytes) -> None:
    proven.write_bytes(proven.read_bytes() + line + b"\n")
    with pytest.raises(ProofError, match="line 3: "):
        shown(proven)


def test_a_receipt_without_a_ledger_is_no_proof(proven: Path) -> None:
    told = json.loads(proven.read_bytes().splitlines()[0])
    receipt = ProvenReceipt.FromString(base64.b64decode(told["proof"])).receipt
    told["proof"] = base64.b64encode(receipt.SerializeToString()).decode()
    proven.write_bytes(json.dumps(told).encode())
    (one,) = shown(proven)
    assert "receipt alone" in one.wrong


async def test_a_running_edge_and_one_that_is_not_write_the_same(proven: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = proven.parent
    (folder / "spool.db").rename(folder / "reports.spool")
    edge = SimpleNamespace(control_socket=folder / "control", file=SimpleNamespace(state_dir=folder))
    monkeypatch.setattr("resolver.settings.read", lambda _: edge)
    words = ["receipts", "export", "--config", str(folder / "edge.yaml"), "--json", "--out"]
    stopped = await asyncio.to_thread(CliRunner().invoke, app, [*words, str(folder / "stopped")])
    assert (stopped.exit_code, json.loads(stopped.stdout)["proofs"]) == (0, 2)
    spool = Spool(folder / "reports.spool")
    server = Server(edge.control_socket, {"receipts": partial(proofs.handler, spool)})
    try:
        await asyncio.to_thread(CliRunner().invoke, app, [*words, str(folder / "running")])
        again = await asyncio.to_thread(CliRunner().invoke, app, [*words, str(folder / "running")])
    finally:
        server.close()
        spool.close()
    assert "File exists" in str(again.exception)
    assert shown(folder / "running") == shown(folder / "stopped") == shown(proven)


def test_nothing_is_written_where_it_could_wait(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    reading, writing = os.pipe()
    try:
        for fds in ([], [writing], [writing, writing]):
            with pytest.raises(ProofError, match="one open file"):
                proofs.handler(spool, {"last": 1}, fds)
    finally:
        os.close(reading)
        os.close(writing)
        spool.close()
