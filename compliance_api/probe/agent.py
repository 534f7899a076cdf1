"""The probe at work: takes assignments, asks, signs, spools, hands in.

Holds always: an observation is signed and on disk before its question counts as done, and leaves the disk only after
the service has said that it is stored; the service may be away for long and the process may end at any point without
an observation being lost or made twice; a resolver that misbehaves costs its own questions at most.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from random import Random
from typing import Protocol

from compliance_api.probe.assignment import Assignment, Endpoint, Question, check, parse
from compliance_api.probe.errors import AssignmentError, JournalError, RefusedError, UnavailableError
from compliance_api.probe.journal import Journal
from compliance_api.probe.metrics import Metrics
from compliance_api.probe.schedule import Appointment, plan, time_left
from compliance_api.probe.settings import ProbeSettings
from compliance_api.probe.turns import Turns
from compliance_api.probe.uplink import MAX_BATCH_BYTES, backoff
from lachan import log
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.signing import OBSERVATION, SigningKey
from lachan.spool import Item, Spool, SpoolError

LAST_DONE = "last_done"
"""Written with each observation: the question it answers, in case the journal did not get to hear of it."""
DISK_RETRY_S = 5.0
REFUSED_RETRY_S = 6 * 3600.0
REFUSED_KEPT_S = 30 * 86400.0
REFERENCE_LATEST_S = 600.0
"""A reference asked longer after the resolver says nothing about the name at that time."""

Asker = Callable[[Endpoint, str, int], Awaitable[pb.Exchange]]
"""One question to one resolver, with its tries."""

_log = log.get()


class Service(Protocol):
    """The compliance service as a probe sees it; `Uplink` is one."""

    async def take(self) -> pb.Assignment | None:
        """The next assignment; raises `UnavailableError`."""

    async def submit(self, observations: list[bytes]) -> None:
        """Stores observations; raises `UnavailableError` or `RefusedError`."""


def spool_state(assignment_id: bytes, index: int) -> dict[str, bytes]:
    """What is written in one transaction with an observation."""
    return {LAST_DONE: assignment_id + index.to_bytes(4, "big")}


async def _insist(action: Callable[[], object]) -> None:
    """Does `action`, again and again while the disk refuses it."""
    while True:
        try:
            action()
        except (SpoolError, JournalError) as error:
            _log.error("an observation waits for the disk", reason=str(error))
            await asyncio.sleep(DISK_RETRY_S)
        else:
            return


class Agent:
    """Everything a probe does after its start."""

    def __init__(
        self,
        settings: ProbeSettings,
        key: SigningKey,
        spool: Spool,
        journal: Journal,
        service: Service,
        ask: Asker,
        rng: Random,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._key = key
        self._spool = spool
        self._journal = journal
        self._service = service
        self._ask = ask
        self._rng = rng
        self._metrics = metrics
        metrics.spool.set_function(lambda: spool.stats().items)
        self._turns = Turns(settings.measure.same_name_gap)
        self._in_flight = asyncio.Semaphore(settings.measure.in_flight)
        self._room = asyncio.Semaphore(settings.assignments)
        self._spooled = asyncio.Event()

    async def run(self) -> None:
        """Works until it is cancelled; what it leaves unfinished goes on at the next start."""
        async with asyncio.TaskGroup() as group:
            self._resume(group)
            group.create_task(self._take_on(group))
            group.create_task(self._hand_in())

    # --- assignments --------------------------------------------------------------------------------------------

    def _resume(self, group: asyncio.TaskGroup) -> None:
        if (lost := self._spool.lost) is not None:
            _log.error("observations were lost with a damaged spool", reason=lost)
        if last := self._spool.state(LAST_DONE):
            self._journal.mark(last[:-4], int.from_bytes(last[-4:], "big"))
        self._journal.forget(int(time.time()))
        if self._spool.stats().items:
            self._spooled.set()
        for entry in self._journal.entries():
            try:
                assignment = parse(entry.message)
            except AssignmentError as error:
                _log.error("a remembered assignment is unusable", reason=str(error))
                continue
            open_questions = [question for question in assignment.questions if question.index not in entry.done]
            if open_questions:
                group.create_task(self._when_there_is_room(assignment, open_questions))

    async def _when_there_is_room(self, assignment: Assignment, questions: list[Question]) -> None:
        async with self._room:
            await self._carry_out(assignment, questions)

    async def _take_on(self, group: asyncio.TaskGroup) -> None:
        failures = 0
        uplink = self._settings.uplink
        while True:
            await self._room.acquire()
            taken = False
            wait = uplink.poll * self._rng.uniform(0.5, 1.5)
            try:
                assignment = await self._next()
                failures = 0
                if assignment is not None:
                    taken = True
                    group.create_task(self._carry_out_and_leave(assignment))
                    wait = 0.0
            except (UnavailableError, SpoolError, JournalError) as error:
                failures += 1
                wait = backoff(failures, uplink.backoff_first, uplink.backoff_most, self._rng)
                _log.warning("no assignment could be taken", reason=str(error), failures=failures)
            except AssignmentError as error:
                _log.error("an assignment was not taken on", problems=error.problems)
            finally:
                if not taken:
                    self._room.release()
            await asyncio.sleep(wait)

    async def _next(self) -> Assignment | None:
        self._journal.forget(int(time.time()))
        if self._spool.stats().items >= self._settings.spool_most:
            _log.warning("the spool is full: no further assignment is taken")
            return None
        try:
            message = await self._service.take()
        except UnavailableError:
            self._metrics.calls.labels("take", "unavailable").inc()
            raise
        self._metrics.calls.labels("take", "ok").inc()
        if message is None:
            return None
        assignment = check(message)
        new = self._journal.add(assignment.assignment_id, message.SerializeToString(), assignment.expires_at)
        return assignment if new else None

    async def _carry_out_and_leave(self, assignment: Assignment) -> None:
        try:
            await self._carry_out(assignment, assignment.questions)
        finally:
            self._room.release()

    async def _carry_out(self, assignment: Assignment, questions: Iterable[Question]) -> None:
        measure = self._settings.measure
        margin = 2 * measure.timeout * measure.tries
        spread = time_left(assignment.spread_s, assignment.expires_at, time.time(), margin)
        place = {"assignment": assignment.assignment_id.hex(), "organisation": assignment.organisation}
        if spread < 0:
            _log.warning("too late to begin an assignment", **place)
            return
        appointments = plan(questions, asyncio.get_running_loop().time(), spread, self._rng)
        _log.info("assignment begun", questions=len(appointments), spread_s=round(spread), **place)
        with self._metrics.assignments.track_inprogress():
            async with asyncio.TaskGroup() as group:
                for appointment in appointments:
                    group.create_task(self._keep(assignment, appointment))
        _log.info("assignment done", **place)

    # --- questions ----------------------------------------------------------------------------------------------

    async def _keep(self, assignment: Assignment, appointment: Appointment) -> None:
        question = appointment.question
        asked_at, resolver = await self._exchange(appointment.resolver_at, assignment.resolver, question, "resolver")
        _, reference = await self._exchange(
            appointment.reference_at, assignment.reference, question, "reference", asked_at + REFERENCE_LATEST_S
        )
        observation = pb.Observation(
            assignment_id=assignment.assignment_id,
            index=question.index,
            asked_at_us=int(asked_at * 1_000_000),
            resolver=resolver,
            reference=reference,
        ).SerializeToString()
        signed = pb.SignedObservation(
            observation=observation,
            signature=self._key.sign(OBSERVATION, observation),
            key_id=self._key.public.key_id,
        ).SerializeToString()
        await self._store(assignment.assignment_id, question.index, signed)

    async def _exchange(
        self, at: float, endpoint: Endpoint, question: Question, side: str, latest: float = math.inf
    ) -> tuple[float, pb.Exchange]:
        await asyncio.sleep(at - asyncio.get_running_loop().time())
        async with self._turns.take(question.qname), self._in_flight:
            asked_at = time.time()
            if asked_at > latest:
                # So late it would prove nothing, so it is not asked: no answer, after no try.
                return asked_at, pb.Exchange(outcome=pb.OUTCOME_TIMEOUT)
            exchange = await self._ask(endpoint, question.qname, question.qtype)
        self._metrics.exchanges.labels(side, pb.Outcome.Name(exchange.outcome)[8:].lower()).inc()
        return asked_at, exchange

    async def _store(self, assignment_id: bytes, index: int, signed: bytes) -> None:
        state = spool_state(assignment_id, index)
        # No await between the two unless a disk fails, so that the spool's state never runs ahead by more than one.
        await _insist(lambda: self._spool.append(signed, time.time(), state, tells_loss=True))
        await _insist(lambda: self._journal.mark(assignment_id, index))
        self._metrics.observations.inc()
        self._spooled.set()

    # --- handing in ---------------------------------------------------------------------------------------------

    async def _hand_in(self) -> None:
        failures = 0
        uplink = self._settings.uplink
        while True:
            await self._spooled.wait()
            await asyncio.sleep(uplink.submit_every)
            self._spooled.clear()
            try:
                while items := self._spool.batch(uplink.batch, MAX_BATCH_BYTES):
                    await self._hand_in_batch(items)
                    failures = 0
                await self._second_chance()
            except (UnavailableError, SpoolError) as error:
                failures += 1
                self._spooled.set()
                _log.warning("observations could not be handed in", reason=str(error), failures=failures)
                await asyncio.sleep(backoff(failures, uplink.backoff_first, uplink.backoff_most, self._rng))

    async def _hand_in_batch(self, items: list[Item]) -> None:
        """Hands in all of `items`; where some are refused, halves the batch until those stand alone."""
        try:
            await self._service.submit([item.payload for item in items])
        except UnavailableError:
            self._metrics.calls.labels("submit", "unavailable").inc()
            raise
        except RefusedError as error:
            self._metrics.calls.labels("submit", "refused").inc()
            if len(items) == 1:
                _log.error("an observation was refused and is set aside", reason=str(error))
                self._spool.hold(items[0].position, str(error), time.time())
                self._metrics.refused.inc()
                return
            half = len(items) // 2
            await self._hand_in_batch(items[:half])
            await self._hand_in_batch(items[half:])
        else:
            self._metrics.calls.labels("submit", "ok").inc()
            self._spool.settle({item.position: b"stored" for item in items}, time.time())

    async def _second_chance(self) -> None:
        """Hands in once more what was set aside the longest ago: the refusal may have been the service's fault."""
        now = time.time()
        item = self._spool.held(now - REFUSED_RETRY_S)
        if item is None:
            return
        if item.appended_at < now - REFUSED_KEPT_S:
            _log.error("a refused observation is given up", digest=item.digest.hex())
            self._spool.settle({item.position: b"refused"}, now)
            return
        await self._hand_in_batch([item])
