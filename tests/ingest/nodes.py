"""Many signing nodes in one process: told on standard input what to do, they tell on standard output what came of it.

Each node has its own key, certificate, TLS connection and chain. It hands in what it signed, oldest first, again and
again until a receipt for it is there, as an edge does; what was acknowledged, and how, is written to a file at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import random
import sys
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import uvloop

from lachan import channel, tls
from lachan.compliance.v1 import report_pb2 as pb
from lachan.compliance.v1 import report_service_pb2 as service
from lachan.compliance.v1.report_service_pb2_grpc import ReportServiceStub
from lachan.retry import asked_delay
from lachan.signing import RECEIPT, REPORT, SigningKey, VerifyKey

CALL_SECONDS = 10.0
BACKOFF_SECONDS = 0.2
WINDOW_SECONDS = 60
DAYS_BACK = 7
PROFILES = ("default", "school")
CATEGORIES = 8


@dataclass(frozen=True)
class Signed:
    """A report as it travels, with what is asserted of it later."""

    sequence: int
    digest: bytes
    message: pb.SignedReport


class Node:
    """One node and its chain."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.organisation, self.name = told["organisation"], told["node"]
        self._key = SigningKey.load(Path(told["key"]))
        folder = Path(told["tls"])
        files = {"ca": folder / "ca.pem", "certificate": folder / "certificate.pem", "key": folder / "key.pem"}
        self._material = tls.load(tls.TlsFiles.model_validate(files))
        self._targets: list[str] = told["targets"]
        self._channel: grpc.aio.Channel | None = None
        self.epoch = os.urandom(16)
        self._sequence, self._previous = 0, b""
        self._begin = (int(time.time()) // WINDOW_SECONDS - DAYS_BACK * 86400 // WINDOW_SECONDS) * WINDOW_SECONDS
        self.waiting: list[Signed] = []
        self.acknowledged: list[tuple[Signed, pb.SignedReceipt]] = []
        self.failures = 0

    def sign(self, count: int) -> None:
        """Signs the next reports of the chain."""
        for _ in range(count):
            self._sequence += 1
            data = self._report().SerializeToString()
            message = pb.SignedReport(
                report=data, signature=self._key.sign(REPORT, data), key_id=self._key.public.key_id
            )
            self._previous = hashlib.sha256(data).digest()
            self.waiting.append(Signed(self._sequence, self._previous, message))

    def _report(self) -> pb.Report:
        """What an edge with two profiles tells of a window; about 450 bytes."""
        start = self._begin + self._sequence * WINDOW_SECONDS
        return pb.Report(
            organisation=self.organisation,
            node=self.name,
            boot_epoch=self.epoch,
            sequence=self._sequence,
            previous_digest=self._previous,
            window_start=start,
            window_seconds=WINDOW_SECONDS,
            list=pb.ListState(serial=7, records_digest=b"r" * 32, activated_at=start - 900, checked_at=start),
            queries=[
                pb.QueryCount(transport=transport, profile=profile, rcode=rcode, count=1000 + self._sequence)
                for profile in PROFILES
                for transport, rcode in ((1, 0), (1, 3), (2, 0), (3, 0))
            ],
            blocked=[
                pb.BlockCount(category=category, action=1, count=category * self._sequence)
                for category in range(1, CATEGORIES + 1)
            ],
            drops=[pb.DropCount(reason=1, count=3)],
            clock=pb.ClockState(synchronised=True, max_error_us=900),
            enforcing=True,
            rule_commitment=pb.RuleCommitment(hour=start // 3600 * 3600, root=b"m" * 32),
        )

    async def connect(self) -> ReportServiceStub:
        """The service that this node talks to now."""
        if self._channel is None:
            self._channel = channel.connect(self._targets[0], self._material, 500)
        return ReportServiceStub(self._channel)

    async def turn_to_another(self) -> None:
        """Lets go of a service that does not answer."""
        await self.close()
        self._targets.append(self._targets.pop(0))

    async def close(self) -> None:
        if self._channel is not None:
            closing, self._channel = self._channel, None
            await closing.close()

    async def hand_in(self, count: int) -> float:
        """Hands in the oldest reports once; seconds it took, or an error."""
        batch = self.waiting[:count]
        stub = await self.connect()
        began = time.monotonic()
        answer = await stub.SubmitReports(
            service.SubmitReportsRequest(reports=[one.message for one in batch]), timeout=CALL_SECONDS
        )
        took = time.monotonic() - began
        if len(answer.receipts) != len(batch):
            raise SystemExit(f"{len(answer.receipts)} receipts for {len(batch)} reports")
        self.acknowledged += zip(batch, answer.receipts, strict=True)
        del self.waiting[:count]
        return took

    async def insist(self, count: int) -> float:
        """Hands in the oldest reports until they are acknowledged; seconds that the last try took."""
        while True:
            try:
                return await self.hand_in(count)
            except grpc.aio.AioRpcError as error:
                if error.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED}:
                    raise SystemExit(f"{self.organisation}/{self.name}: {error.code()}: {error.details()}") from error
                self.failures += 1
                await self.turn_to_another()
                wait = asked_delay(error) or BACKOFF_SECONDS
                await asyncio.sleep(wait * random.uniform(0.1, 1.0))

    async def repeat(self, count: int) -> int:
        """Hands in once more what was acknowledged last; how many receipts differ from the first ones."""
        again = self.acknowledged[-count:]
        request = service.SubmitReportsRequest(reports=[signed.message for signed, _ in again])
        answer = await (await self.connect()).SubmitReports(request, timeout=6 * CALL_SECONDS, wait_for_ready=True)
        pairs = zip(again, answer.receipts, strict=True)
        return sum(first.SerializeToString() != second.SerializeToString() for (_, first), second in pairs)


class Nodes:
    """All nodes of this process."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._nodes = [Node(one) for one in told["nodes"]]
        self._receipts = VerifyKey.load(Path(told["receipt_key"]))
        self._log = Path(told["log"])

    async def do(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carries out one order."""
        orders = {"sign": self.sign, "run": self.run, "repeat": self.repeat, "tell": self.tell}
        return await orders[order.pop("do")](**order)

    async def sign(self, count: int) -> dict[str, Any]:
        """Signs before it is measured how fast that is taken."""
        for node in self._nodes:
            node.sign(max(0, count - len(node.waiting)))
        return {}

    async def run(self, seconds: float, batch: int, most: int | None = None, *, spread: bool = False) -> dict[str, Any]:
        """Every node hands in one call after the other.

        Args:
            seconds: For so long; a call under way is waited for.
            batch: Reports in one call.
            most: Nodes that do so at a time, the others rest.
            spread: Every other node hands in one report a call.
        """
        end = time.monotonic() + seconds
        took: list[float] = []
        taken = 0

        async def work(node: Node, size: int) -> None:
            nonlocal taken
            while time.monotonic() < end:
                if len(node.waiting) < size:
                    node.sign(size)
                took.append(await node.insist(size))
                taken += size

        chosen = self._nodes[:most]
        await _all([work(node, 1 if spread and index % 2 else batch) for index, node in enumerate(chosen)])
        return {"taken": taken, "took": took, "failures": sum(node.failures for node in self._nodes)}

    async def repeat(self, count: int) -> dict[str, Any]:
        """Hands in again what was acknowledged, and compares."""
        return {"differing": sum([await node.repeat(count) for node in self._nodes if node.acknowledged])}

    async def tell(self) -> dict[str, Any]:
        """Checks every receipt and writes down what was promised."""
        wrong = count = 0
        with self._log.open("w") as log:
            for node in self._nodes:
                for signed, proof in node.acknowledged:
                    self._receipts.verify(RECEIPT, proof.receipt, proof.signature)
                    receipt = pb.Receipt.FromString(proof.receipt)
                    wrong += receipt.report_digest != signed.digest
                    place = [node.organisation, node.name, node.epoch.hex(), signed.sequence, signed.digest.hex()]
                    log.write(json.dumps([*place, receipt.index]) + "\n")
                    count += 1
                await node.close()
        return {"acknowledged": count, "wrong": wrong}


async def _all(work: list[Awaitable[None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for one in work:
            group.create_task(one)  # type: ignore[arg-type]


async def main() -> None:
    """Takes orders, one a line, until there are no more."""
    loop = asyncio.get_running_loop()
    nodes = Nodes(json.loads(await loop.run_in_executor(None, sys.stdin.readline)))
    _answer({})
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        _answer(await nodes.do(json.loads(line)))


def _answer(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(main())
