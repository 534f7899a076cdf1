"""The whole road on real processes: two service processes, PostgreSQL, witnesses, and a node that checks its proof."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import grpc.aio
import pytest

from compliance_api.ledger import evidence, verify
from lachan import channel
from lachan.compliance.v1 import audit_service_pb2 as pb
from lachan.compliance.v1 import report_pb2
from lachan.compliance.v1.audit_service_pb2_grpc import AuditServiceStub
from lachan.ledger import note, policy, tree
from lachan.ledger.checkpoint import Checkpoint
from lachan.ledger.leaf import Kind
from resolver.receipts import check_leaf
from tests.support.compliance import COMMAND, DEADLINE, Authority, NodeClient, Service, eventually, list_authority
from tests.support.ledger import Parties
from tests.support.witnesses import WitnessProcess


def house(folder: Path, parties: Parties, witnesses: list[WitnessProcess]) -> Authority:
    """An authority with a ledger: its key, and a policy that says where witnesses are."""
    parties.log.save(folder / "ledger.pem")
    text = parties.policy_text
    for one in witnesses:
        text = text.replace(str(one.key), f"{one.key} http://{one.address}")
    (folder / "policy.txt").write_text(text)
    ledger = {"key": "ledger.pem", "policy": "policy.txt", "interval": "0.1s", "witness_timeout": "2s"}
    return Authority(folder, settings={"ledger": ledger})


async def ran(*words: str) -> str:
    """What a verb of the command says; nothing if it fails."""
    process = await asyncio.create_subprocess_exec(*COMMAND, *words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    out, _ = await process.communicate()
    return "" if process.returncode else out.decode()


async def test_a_report_is_proven_under_a_head_of_two_witnesses_by_either_process(tmp_path: Path) -> None:
    parties = Parties()
    with ExitStack() as stack:
        witnesses = [WitnessProcess(tmp_path, name, parties) for name in ("w1", "w2")]
        for one in witnesses:
            one.start()
            stack.callback(one.stop)
        authority = house(tmp_path, parties, witnesses)
        believed = policy.parse((tmp_path / "policy.txt").read_bytes())
        async with list_authority(authority) as lists:
            services = [Service(authority.configure(lists), tmp_path / f"{name}.log") for name in ("one", "two")]
            for service in services:
                service.start()
                stack.callback(service.close)
            node = NodeClient(authority, "a", services[0].addresses["grpc"])
            report = node.sign(node.report(int(time.time()) // 5 * 5 - 20))
            (receipt,) = await node.submit(report)
            index = report_pb2.Receipt.FromString(receipt.receipt).index
            seen: list[tuple[int, Checkpoint]] = []
            for service in services:
                calls = channel.connect(service.addresses["grpc"], authority.material("a/node/edge-1"), 500)
                stub = AuditServiceStub(calls)

                async def head(stub: AuditServiceStub = stub) -> Checkpoint | None:
                    answer = await stub.GetCheckpoint(pb.GetCheckpointRequest(), timeout=DEADLINE)
                    if not answer.checkpoint:
                        return None
                    found = believed.check(note.parse(answer.checkpoint), int(time.time()))
                    assert found.times.keys() == {"w1", "w2"}
                    return found.checkpoint if found.checkpoint.size > index else None

                shown = await eventually(head, "a head with the report in it")
                seen.append((index, shown))
                request = pb.ProveInclusionRequest(indexes=[index], size=shown.size)
                (leaf,) = (await stub.ProveInclusion(request, timeout=DEADLINE)).leaves
                check_leaf(leaf, report, index, shown)
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await stub.ProveInclusion(pb.ProveInclusionRequest(size=shown.size), timeout=DEADLINE)
                assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
                # Somebody else sees that there is a leaf, and not what it says.
                other = channel.connect(service.addresses["grpc"], authority.material("b/node/edge-1"), 500)
                (closed,) = (await AuditServiceStub(other).ProveInclusion(request, timeout=DEADLINE)).leaves
                assert not closed.HasField("opening")
                await other.close()
                if seen[0][1] != shown:
                    asked = pb.ProveConsistencyRequest(old_size=seen[0][1].size, new_size=shown.size)
                    proof = (await stub.ProveConsistency(asked, timeout=DEADLINE)).proof
                    old = seen[0][1]
                    tree.verify_consistency(old.size, shown.size, old.root, shown.root, proof)
                await calls.close()
            # A second report under the number of the first: found, and everything about it can be proven.
            rival = report_pb2.Report.FromString(report.report)
            rival.blocked[0].count += 1
            await node.submit(node.sign(rival))
            await node.close()
            config = services[0].config

            async def found() -> str | None:
                told = json.loads(await ran("finding", "list", "--operator", "a", "--json", "--config", str(config)))
                return next((one["finding"] for one in told["findings"] if one["kind"] == "equivocation"), None)

            finding = await eventually(found, "a finding of equivocation")

            async def packed() -> bool:
                folder = tmp_path / "pack"
                return bool(await ran("evidence", finding, "--config", str(config), "--out", str(folder)))

            await eventually(packed, "a head over all of the evidence")
    outcome = verify.verify_files(tmp_path / "pack", tmp_path / "policy.txt", None, int(time.time()))
    assert outcome.problems == []
    told = evidence.parse((tmp_path / "pack" / evidence.EVIDENCE).read_bytes())
    assert [one.kind for one in told.pieces].count(Kind.REPORT) == 2
    assert {Kind.LAW, Kind.FINDING} <= {one.kind for one in told.pieces}
