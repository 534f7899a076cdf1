"""Concurrent calls share a transaction: whatever came while one was written makes up the next.

Holds always: a call is written whole or not at all; one whose content the store will not take fails alone; one whose
node's chain is held by somebody else waits alone; groups are bounded, and a node with many reports gives way to those
that have not had their turn. Nobody waits for company: a call that comes alone is written at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from compliance_api.errors import BusyError, UnavailableError
from compliance_api.usecases.reports.claim import Claim
from compliance_api.usecases.reports.standing import Logged
from lachan import log

GROUP_REPORTS = 1024
GROUP_BYTES = 8 << 20
GATHER_SECONDS = 0.05
GATHER_REPORTS = 128
"""How long, and in groups below which size, calls are waited for after some that came together."""
PAUSE_FIRST = 0.005
PAUSE_MOST = 0.25
"""Seconds before a chain that is held elsewhere is tried again: doubled from the first to the longest."""

_log = log.get()


@dataclass(frozen=True)
class Call:
    """What one node hands in at once."""

    operator: str
    node: str
    claims: Sequence[Claim]

    @property
    def size(self) -> int:
        """Bytes of its reports."""
        return sum(len(claim.report) for claim in self.claims)


class GroupStore(Protocol):
    """Keeps claims."""

    async def write(self, calls: Sequence[Call], now: datetime) -> list[list[Logged] | None]:
        """Stores every claim that is not there yet, all in one transaction, and says where each stands.

        None stands for a call of a node whose chain is being added to by somebody else: nothing of it was stored.

        Raises:
            UnavailableError: The database does not answer; whether it stored anything is not known.
            BusyError: Nothing can be stored now, whatever it is.
        """


@dataclass(frozen=True)
class Written:
    """A group, for whoever counts."""

    calls: int
    reports: int
    seconds: float


@dataclass
class _Waiting:
    call: Call
    done: asyncio.Future[list[Logged]]
    pause: float = PAUSE_FIRST


@dataclass
class _Line:
    """The calls of one node, in their order."""

    calls: deque[_Waiting] = field(default_factory=deque)
    not_before: float = 0.0


class Line:
    """Who waits, and who is next. No I/O.

    Nodes take turns: one that was served stands behind all that were not.
    """

    def __init__(self) -> None:
        self._nodes: dict[tuple[str, str], _Line] = {}

    def __bool__(self) -> bool:
        return bool(self._nodes)

    def join(self, waiting: _Waiting) -> None:
        """Stands at the end of its node's calls."""
        self._nodes.setdefault((waiting.call.operator, waiting.call.node), _Line()).calls.append(waiting)

    def put_back(self, waiting: _Waiting, now: float) -> None:
        """Stands at the front again, for a while."""
        line = self._nodes.setdefault((waiting.call.operator, waiting.call.node), _Line())
        line.calls.appendleft(waiting)
        line.not_before = now + waiting.pause
        waiting.pause = min(PAUSE_MOST, waiting.pause * 2)

    def next_group(self, now: float) -> list[_Waiting]:
        """Those to be written now: each node's oldest call, as many as fit; at least one, if one may go."""
        group: list[_Waiting] = []
        reports = size = 0
        for node, line in list(self._nodes.items()):
            while line.calls and line.calls[0].done.done():
                # Whoever waited for it has gone.
                line.calls.popleft()
            if not line.calls:
                del self._nodes[node]
                continue
            if line.not_before > now:
                continue
            call = line.calls[0].call
            if group and (reports + len(call.claims) > GROUP_REPORTS or size + call.size > GROUP_BYTES):
                continue
            group.append(line.calls.popleft())
            reports, size = reports + len(call.claims), size + call.size
            del self._nodes[node]
            if line.calls:
                self._nodes[node] = line
        return group

    def wait(self, now: float) -> float:
        """Seconds until somebody may go."""
        return max(0.0, min((line.not_before for line in self._nodes.values()), default=now) - now)


class Groups:
    """Writes what calls bring, one group at a time, as long as there is something to write."""

    def __init__(
        self,
        store: GroupStore,
        clock: Callable[[], datetime],
        written: Callable[[Written], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
        gather: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._gather = gather
        self._clock = clock
        self._written = written
        self._monotonic = monotonic
        self._line = Line()
        self._come = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    async def add(self, call: Call) -> list[Logged]:
        """Where each claim of the call stands, once that is durable.

        Raises:
            UnavailableError: The database does not answer.
            ComplianceError: The store will not take this call's content.
        """
        waiting = _Waiting(call, asyncio.get_running_loop().create_future())
        self._line.join(waiting)
        self._come.set()
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        return await waiting.done

    async def _write_all(self) -> None:
        try:
            while self._line:
                self._come.clear()
                group = self._line.next_group(self._monotonic())
                if group:
                    await self._write(group)
                    if len(group) > 1 and sum(len(one.call.claims) for one in group) < GATHER_REPORTS:
                        await self._gather(GATHER_SECONDS)
                elif self._line:
                    await self._pause(self._line.wait(self._monotonic()))
        finally:
            self._writing = None

    async def _pause(self, seconds: float) -> None:
        """Until a chain that is held elsewhere is worth another try, or somebody else comes."""
        try:
            async with asyncio.timeout(seconds):
                await self._come.wait()
        except TimeoutError:
            return

    async def _write(self, group: list[_Waiting]) -> None:
        began = self._monotonic()
        try:
            answers = await self._store.write([one.call for one in group], self._clock())
        except (UnavailableError, BusyError) as error:
            # Nothing about any of them: the next group fares better, or does not.
            _log.error("a group of reports could not be stored", calls=len(group), reason=str(error)[:500])
            _fail(group, error)
        except Exception as error:  # noqa: BLE001 - it goes to whoever called; this loop serves the others
            if len(group) == 1:
                _fail(group, error)
                return
            # One of them cannot be stored, and the others shall not suffer for it.
            middle = len(group) // 2
            await self._write(group[:middle])
            await self._write(group[middle:])
        else:
            stored = 0
            for waiting, answer in zip(group, answers, strict=True):
                if answer is None:
                    self._line.put_back(waiting, self._monotonic())
                elif not waiting.done.done():
                    waiting.done.set_result(answer)
                stored += len(answer or ())
            self._written(Written(len(group), stored, self._monotonic() - began))


def _fail(group: Sequence[_Waiting], error: Exception) -> None:
    for waiting in group:
        if not waiting.done.done():
            waiting.done.set_exception(error)
