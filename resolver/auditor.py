"""Holds the ledger to its word: a report leaves the spool only when it is proven in a head that witnesses cosigned.

Holds always: nothing is believed of the authority but receipts signed with a pinned key, and heads that the pinned
policy believes; every head continues the one before; while two contradict each other no report leaves the spool.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import grpc.aio

from lachan import channel, log, tls
from lachan.compliance.v1 import audit_service_pb2 as pb
from lachan.compliance.v1 import audit_service_pb2_grpc as stubs
from lachan.compliance.v1 import report_pb2
from lachan.durable import FileError
from lachan.ledger.checkpoint import Checkpoint
from lachan.ledger.errors import LedgerError
from lachan.spool import Item, Spool, SpoolError
from lachan.tls import TlsError
from resolver.authority import UplinkSettings
from resolver.heads import ContradictionError, Heads, OlderHeadError
from resolver.receipts import check_leaf
from resolver.trust import Trust

FOLDER = "ledger"
LEAVES_MAX = 256
REASON_MAX = 200


class Doubt(enum.StrEnum):
    """Why reports could not be proven; a label of a metric."""

    UNAVAILABLE = "unavailable"
    HEAD = "head"
    """The head is not one that the policy believes."""
    OLDER = "older"
    """A smaller head than one that was shown before: the ledger was rolled back, or an old head is shown again."""
    CONTRADICTION = "contradiction"
    """The ledger was split or rewritten."""
    INCLUSION = "inclusion"
    """A report does not stand where its receipt says."""
    LOCAL = "local"
    """This edge's own disk or certificate."""


@dataclass(frozen=True)
class LedgerStatus:
    """What the ledger has shown."""

    size: int = 0
    """Leaves under the last head that was believed."""
    proven: int = 0
    doubts: Mapping[Doubt, int] = field(default_factory=dict)
    contradicted: bool = False


class Auditor:
    """Runs beside the uplink; `wake` it when there are receipts."""

    def __init__(
        self,
        settings: UplinkSettings,
        trust: Trust,
        spool: Spool,
        rng: random.Random,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Reads the head kept from before.

        Raises:
            LedgerError: It is not what it must be.
            FileError: It cannot be read.
        """
        self._settings = settings
        self._pin = settings.ledger
        self._trust = trust
        self._spool = spool
        self._rng = rng
        self._wall = wall
        self._heads = Heads(spool.path.parent / FOLDER, trust)
        self._woken = asyncio.Event()
        self._doubts: Counter[Doubt] = Counter()
        self._proven = 0

    @property
    def status(self) -> LedgerStatus:
        """What the ledger has shown so far."""
        size = self._heads.kept.size if self._heads.kept else 0
        return LedgerStatus(size, self._proven, dict(self._doubts), self._heads.contradicted)

    def lets_go(self) -> bool:
        """Whether a receipt is enough, as nobody pinned a policy. Blocks.

        Raises:
            LedgerError, FileError: That cannot be said.
        """
        return self._trust.policies() == ()

    def wake(self) -> None:
        """Says that there are receipts; from the loop's own thread."""
        self._woken.set()

    async def run(self) -> None:
        """Asks until cancelled; no failure ends it."""
        while True:
            waiting = await self._attempt()
            if not waiting:
                with contextlib.suppress(TimeoutError):
                    # Not `wait_for`, which may take being cancelled for the time that is over (Python 3.11).
                    async with asyncio.timeout(self._pin.check):
                        await self._woken.wait()
                self._woken.clear()
            # A head takes its time, and all nodes of an operator hear of theirs at once.
            await asyncio.sleep(self._pin.poll * self._rng.uniform(0.5, 1.5))

    async def _attempt(self) -> bool:
        """Takes a turn; whether there is something to prove still."""
        try:
            return await self.turn()
        except grpc.aio.AioRpcError as error:
            self._doubt(Doubt.UNAVAILABLE, f"{error.code().name}: {error.details()}")
        except ContradictionError as error:
            self._doubt(Doubt.CONTRADICTION, str(error))
        except OlderHeadError as error:
            self._doubt(Doubt.OLDER, str(error))
        except LedgerError as error:
            self._doubt(Doubt.HEAD, str(error))
        except (SpoolError, FileError, TlsError) as error:
            self._doubt(Doubt.LOCAL, str(error))
        return True

    def _doubt(self, doubt: Doubt, reason: str) -> None:
        self._doubts[doubt] += 1
        tell = log.get().warning if doubt in {Doubt.UNAVAILABLE, Doubt.LOCAL} else log.get().error
        tell("reports cannot be proven", doubt=doubt.value, reason=reason[:REASON_MAX])

    async def turn(self) -> bool:
        """Asks once for the head, and for proofs of what waits; whether something waits still.

        Raises:
            AioRpcError: The authority did not answer, or refused.
            LedgerError: The ledger does not hold.
            SpoolError, FileError, TlsError: This edge's own.
        """
        policies = await asyncio.to_thread(self._trust.policies)
        if not policies:
            kept = await asyncio.to_thread(self._spool.acknowledged, LEAVES_MAX)
            if policies is None:
                # The list's repository has not said yet whether what waits has to be proven.
                return bool(kept)
            await asyncio.to_thread(self._spool.settle, {item.position: proof for item, proof in kept}, self._wall())
            return len(kept) == LEAVES_MAX
        if self._heads.contradicted:
            raise ContradictionError("two heads are kept that contradict each other")
        # Rare calls: a connection of their own each time, by the certificates of that moment.
        async with channel.connect(self._settings.target, tls.load(self._settings.tls)) as connection:
            stub = stubs.AuditServiceStub(connection)
            answer = await stub.GetCheckpoint(pb.GetCheckpointRequest(), timeout=self._settings.deadline)
            waiting = await asyncio.to_thread(self._spool.acknowledged, LEAVES_MAX)
            if not answer.checkpoint:
                return bool(waiting)
            head = await self._continued(stub, answer.checkpoint)
            proven = await self._proofs(stub, answer.checkpoint, head, waiting)
        if proven:
            await asyncio.to_thread(self._spool.settle, proven, self._wall())
            self._proven += len(proven)
        return len(proven) < len(waiting) or len(waiting) == LEAVES_MAX

    async def _continued(self, stub: stubs.AuditServiceAsyncStub, data: bytes) -> Checkpoint:
        head = await asyncio.to_thread(self._heads.look, data, int(self._wall()))
        kept = self._heads.kept
        if head == kept:
            return head
        proof: Sequence[bytes] = ()
        if kept is not None:
            request = pb.ProveConsistencyRequest(old_size=kept.size, new_size=head.size)
            proof = (await stub.ProveConsistency(request, timeout=self._settings.deadline)).proof
        await asyncio.to_thread(self._heads.take, data, head, proof)
        return head

    async def _proofs(
        self, stub: stubs.AuditServiceAsyncStub, data: bytes, head: Checkpoint, waiting: Sequence[tuple[Item, bytes]]
    ) -> dict[int, bytes]:
        """What of the waiting reports is proven, by their positions."""
        entered: dict[int, tuple[Item, report_pb2.SignedReceipt]] = {}
        for item, kept in waiting:
            receipt = report_pb2.SignedReceipt.FromString(kept)
            index = report_pb2.Receipt.FromString(receipt.receipt).index
            if index < head.size:
                entered[index] = item, receipt
        if not entered:
            return {}
        request = pb.ProveInclusionRequest(indexes=sorted(entered), size=head.size)
        answer = await stub.ProveInclusion(request, timeout=self._settings.deadline)
        leaves = {leaf.index: leaf for leaf in answer.leaves}
        proven: dict[int, bytes] = {}
        for index, (item, receipt) in entered.items():
            report = report_pb2.SignedReport.FromString(item.payload)
            try:
                check_leaf(leaves.get(index), report, index, head)
            except LedgerError as error:
                self._doubt(Doubt.INCLUSION, f"report {item.digest.hex()[:16]}: {error}")
                continue
            kept_proof = pb.ProvenReceipt(receipt=receipt, leaf=leaves[index], checkpoint=data, report=report)
            proven[item.position] = kept_proof.SerializeToString(deterministic=True)
        return proven
