"""The road from the spool to the authority: gRPC over mutual TLS, oldest first, until a receipt holds.

Holds always: a report leaves the spool only against a receipt over its own digest, signed with a pinned key of the
authority, and the receipt is stored in the same transaction; where a ledger is pinned, only when it is proven there as
well (`resolver.auditor`). Everything else is counted, told in the log, and tried again.
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
from pathlib import Path

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from lachan import channel, log, tls
from lachan.backoff import Backoff
from lachan.compliance.v1 import report_pb2 as pb
from lachan.compliance.v1 import report_service_pb2 as service
from lachan.compliance.v1 import report_service_pb2_grpc as stubs
from lachan.durable import FileError
from lachan.ledger.errors import LedgerError
from lachan.retry import asked_delay
from lachan.spool import Item, Spool, SpoolCorruptError, SpoolError
from lachan.tls import TlsError
from resolver.auditor import Auditor, LedgerStatus
from resolver.authority import UplinkSettings
from resolver.delivery import Delivery, Later
from resolver.receipts import pinned, proofs_of
from resolver.trust import Trust

BATCH_BYTES_MAX = 3_000_000
"""Below the channel's bound on a message, with room for its framing."""
SPREAD = 1 / 30
"""Of a window: all nodes' windows end at one moment, and so much later at most each comes with its report."""
REASON_MAX = 200


class Failure(enum.StrEnum):
    """Why a call did not bring all the receipts it should have; a label of a metric."""

    UNAVAILABLE = "unavailable"
    EXHAUSTED = "exhausted"
    DENIED = "denied"
    REFUSED = "refused"
    FOREIGN = "foreign"
    RECEIPT = "receipt"
    SPOOL = "spool"
    TLS = "tls"


_FAILURES = {
    grpc.StatusCode.INVALID_ARGUMENT: Failure.REFUSED,
    # A node that is unknown: all of its reports are, and their order stays. Another node's reports are sorted out here.
    grpc.StatusCode.PERMISSION_DENIED: Failure.DENIED,
    grpc.StatusCode.UNAUTHENTICATED: Failure.DENIED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Failure.EXHAUSTED,
}
_PASSING = {Failure.UNAVAILABLE, Failure.EXHAUSTED}


@dataclass(frozen=True)
class UplinkStatus:
    """What the uplink did since it started; times in seconds since 1970-01-01 UTC."""

    submitted: int = 0
    failures: Mapping[Failure, int] = field(default_factory=dict)
    last_success_at: float | None = None
    last_failure: str = ""
    ledger: LedgerStatus | None = None


class Uplink:
    """Runs beside the reporter, on the supervisor's loop; `wake` it when there is something new."""

    def __init__(
        self,
        settings: UplinkSettings,
        spool: Spool,
        rng: random.Random | None = None,
        wall: Callable[[], float] = time.time,
        window: float = 0.0,
        signed: Path | None = None,
    ) -> None:
        """Reads the authority's keys.

        Args:
            settings: Where to, and how patiently.
            spool: What is to be delivered.
            rng: Spreads what would otherwise come together.
            wall: The time, in seconds since 1970.
            window: How long a report's window is, in seconds; a new report waits for a part of it.
            signed: Where the list's sync keeps whom its repository pins to believe about the ledger.

        Raises:
            SigningError: One cannot be read.
            LedgerError, FileError: The pinned policy, or the head kept, is not what it must be.
        """
        self._settings = settings
        self._spool = spool
        self._wall = wall
        self._keys = pinned((settings.authority_key, *settings.further_authority_keys))
        self._delivery = Delivery(settings.batch)
        self._rng = rng or random.SystemRandom()
        self._spread = window * SPREAD
        self._backoff = Backoff(settings.backoff_first, settings.backoff_max, self._rng)
        self._auditor = Auditor(settings, Trust(settings.ledger.policy, signed), spool, self._rng, wall)
        self._something_new = asyncio.Event()
        self._line: channel.Renewing | None = None
        self._log = log.get()
        self._submitted = 0
        self._failures: Counter[Failure] = Counter()
        self._last_success_at: float | None = None
        self._last_failure = ""

    @property
    def status(self) -> UplinkStatus:
        """What it did so far."""
        told = self._submitted, dict(self._failures), self._last_success_at, self._last_failure
        return UplinkStatus(*told, self._auditor.status)

    def wake(self) -> None:
        """Says that there is a new report; from the loop's own thread."""
        self._something_new.set()

    async def run(self) -> None:
        """Delivers, and has what was delivered proven, until cancelled; no failure ends it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._deliver())
            group.create_task(self._auditor.run())

    async def _deliver(self) -> None:
        try:
            while True:
                self._something_new.clear()
                delay = await self._attempt()
                if delay is None:
                    with contextlib.suppress(TimeoutError):
                        # Not `wait_for`, which may take being cancelled for the time that is over (Python 3.11).
                        async with asyncio.timeout(self._settings.retry_held):
                            await self._something_new.wait()
                        await asyncio.sleep(self._rng.uniform(0, self._spread))
                elif delay > 0:
                    await asyncio.sleep(delay)
        finally:
            await self._disconnect()

    async def _attempt(self) -> float | None:
        """Makes one call; seconds to wait before the next, None when there is nothing to send."""
        try:
            stub, identity = self._connect()
            items, again = await asyncio.to_thread(self._select)
            if not items:
                return None
            own = await self._own(items, identity)
            return await self._submit(stub, own, again=again) if own else 0.0
        except TlsError as error:
            return self._failed(Failure.TLS, str(error))
        except SpoolCorruptError as error:
            # Positions begin anew, so that nothing learnt about them holds.
            self._delivery = Delivery(self._settings.batch)
            return self._failed(Failure.SPOOL, str(error))
        except SpoolError as error:
            return self._failed(Failure.SPOOL, str(error))

    def _connect(self) -> tuple[stubs.ReportServiceAsyncStub, tls.Identity]:
        """The service, by a certificate that is read anew when it changes, and after every failure to connect."""
        if self._line is None:
            self._line = channel.Renewing(self._settings.target, self._settings.tls)
        stub = stubs.ReportServiceStub(self._line.channel())
        return stub, self._line.identity

    async def _disconnect(self) -> None:
        if self._line is not None:
            closing, self._line = self._line, None
            await closing.close()

    def _select(self) -> tuple[list[Item], bool]:
        """What to send now, and whether that is another chance for what was set apart."""
        step = self._delivery.next()
        if isinstance(step, Later):
            return self._spool.later(step.offset), False
        items = self._spool.batch(step.count, BATCH_BYTES_MAX)
        if items:
            return items, False
        held = self._spool.held(self._wall() - self._settings.retry_held)
        return ([] if held is None else [held]), True

    async def _own(self, items: list[Item], identity: tls.Identity) -> list[Item]:
        """The reports of the node that the certificate names; others would be refused with all around them."""
        own = []
        for item in items:
            node = _node_of(item.payload)
            if node == (identity.organisation, identity.name):
                own.append(item)
                continue
            await self._set_apart(item.position, Failure.FOREIGN, f"of {node}, the certificate is {identity}'s")
        return own

    async def _submit(self, stub: stubs.ReportServiceAsyncStub, items: list[Item], *, again: bool) -> float:
        request = service.SubmitReportsRequest(reports=[pb.SignedReport.FromString(item.payload) for item in items])
        try:
            response = await stub.SubmitReports(request, timeout=self._settings.deadline)
        except grpc.aio.AioRpcError as error:
            return await self._rejected(error, items, again=again)
        proofs, wrong = proofs_of([item.position for item in items], request.reports, response.receipts, self._keys)
        if proofs:
            await self._keep(proofs)
            self._delivery.taken(list(proofs))
            self._submitted += len(proofs)
            self._last_success_at = self._wall()
        if wrong:
            return self._failed(Failure.RECEIPT, wrong)
        self._backoff.succeeded()
        return 0.0

    async def _keep(self, proofs: dict[int, bytes]) -> None:
        """Stores receipts; where a ledger is pinned, or may be, reports stay until they are proven in it."""
        if await asyncio.to_thread(self._enough):
            await asyncio.to_thread(self._spool.settle, proofs, self._wall())
        else:
            await asyncio.to_thread(self._spool.acknowledge, proofs, self._wall())
            self._auditor.wake()

    def _enough(self) -> bool:
        """Whether a receipt alone lets a report go."""
        with contextlib.suppress(LedgerError, FileError):
            return self._auditor.lets_go()
        return False

    async def _rejected(self, error: grpc.aio.AioRpcError, items: Sequence[Item], *, again: bool) -> float:
        """Learns from a call that failed as a whole."""
        failure = _FAILURES.get(error.code(), Failure.UNAVAILABLE)
        reason = f"{error.code().name}: {error.details()}"[:REASON_MAX]
        asked = asked_delay(error)
        if failure in {Failure.UNAVAILABLE, Failure.DENIED} and not asked:
            # The next call reads the certificates anew: they may have been renewed. Who says when to come again has
            # taken this one, and is spared the handshakes of all its nodes at once.
            await self._disconnect()
        if again:
            # Back to the end of those set apart, so that one of them never keeps the others waiting.
            await asyncio.to_thread(self._spool.hold, items[0].position, reason, self._wall())
        elif failure is Failure.REFUSED:
            settled = self._delivery.refused([item.position for item in items])
            if settled is not None:
                await self._set_apart(settled, failure, reason)
                return 0.0
            if self._delivery.searching:
                return 0.0
        return self._failed(failure, reason, asked)

    async def _set_apart(self, position: int, failure: Failure, reason: str) -> None:
        self._failures[failure] += 1
        self._last_failure = reason
        self._log.error("a report is set apart, and stays in the spool", failure=failure.value, reason=reason)
        await asyncio.to_thread(self._spool.hold, position, reason, self._wall())

    def _failed(self, failure: Failure, reason: str, at_least: float = 0.0) -> float:
        """Counts and tells a failure; seconds to wait."""
        self._failures[failure] += 1
        self._last_failure = reason
        wait = self._backoff.failed(at_least)
        tell = self._log.warning if failure in _PASSING else self._log.error
        tell("reports could not be delivered", failure=failure.value, reason=reason, retry_in=round(wait, 1))
        return wait


def _node_of(payload: bytes) -> tuple[str, str] | None:
    """Whose report this is, None where it is no report."""
    try:
        report = pb.Report.FromString(pb.SignedReport.FromString(payload).report)
    except DecodeError:
        return None
    return report.organisation, report.node
