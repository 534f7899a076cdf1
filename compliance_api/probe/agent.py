"""The probe at work: takes assignments, asks, signs, spools, hands in.

Holds always: an observation is signed and on disk before its question counts as done, and leaves the disk only after
the service has said that it is stored; the service may be away for long and the process may end at any point without
an observation being lost or made twice; a resolver that misbehaves costs its own questions at most; no call to the
service follows a question at a distance that an onlooker could learn.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from random import Random
from typing import Protocol

from compliance_api.probe.assignment import TRANSPORTS, Assignment, Endpoint, Question, check, parse
from compliance_api.probe.errors import AssignmentError, JournalError, RefusedError, UnavailableError
from compliance_api.probe.journal import Journal
from compliance_api.probe.metrics import Metrics
from compliance_api.probe.schedule import Appointment, plan, time_left
from compliance_api.probe.settings import ProbeSettings
from compliance_api.probe.timekeeper import Timekeeper
from compliance_api.probe.turns import Turns
from compliance_api.probe.uplink import MAX_BATCH_BYTES
from lachan import log
from lachan.backoff import Backoff
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

STAMPS_KEPT = 4096
"""Stamps over observations that are not handed in yet."""
MAX_AFTER_US = (1 << 32) - 1

Asker = Callable[[Endpoint, str, int, bool], Awaitable[pb.Exchange]]
"""One question to one resolver, with its tries; the flag is EDNS's DO."""
Handed = Callable[[], Sequence[str]]
"""The addresses of the resolvers that the line was handed out."""

_log = log.get()


class Service(Protocol):
    """The compliance service as a probe sees it; `Uplink` is one."""

    async def take(self) -> pb.TakeAssignmentResponse:
        """The next assignment, if any, and the time; raises `UnavailableError`."""

    async def stamps(self, commitments: Sequence[bytes]) -> list[pb.Stamp]:
        """The time, signed over each of these, or bare; raises `UnavailableError`."""

    async def submit(self, observations: list[bytes]) -> None:
        """Stores observations; raises `UnavailableError` or `RefusedError`."""


def _asked(error: Exception) -> float:
    """How long the service asked to wait."""
    return error.after if isinstance(error, UnavailableError) else 0.0


def _endpoint(endpoint: Endpoint) -> pb.Endpoint:
    return pb.Endpoint(
        # Whose interface a link-local address belongs to is this machine's own matter.
        address=endpoint.address.partition("%")[0],
        port=endpoint.port,
        transport=TRANSPORTS[endpoint.transport],
        server_name=endpoint.server_name,
        path=endpoint.path,
    )


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
        handed: Handed = tuple,
    ) -> None:
        self._settings = settings
        self._key = key
        self._spool = spool
        self._journal = journal
        self._service = service
        self._ask = ask
        self._rng = rng
        self._metrics = metrics
        self._handed = handed
        self._timekeeper = Timekeeper()
        self._ended: OrderedDict[bytes, pb.Stamp] = OrderedDict()
        self._busy = 0
        metrics.spool.set_function(lambda: spool.stats().items)
        metrics.clock_offset.set_function(self._timekeeper.offset)
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
            group.create_task(self._keep_time())

    # --- assignments --------------------------------------------------------------------------------------------

    def _resume(self, group: asyncio.TaskGroup) -> None:
        if (lost := self._spool.lost) is not None:
            _log.error("observations were lost with a damaged spool", reason=lost)
        if last := self._spool.state(LAST_DONE):
            self._journal.mark(last[:-4], int.from_bytes(last[-4:], "big"))
        self._journal.forget(int(self._timekeeper.now()))
        if self._spool.stats().items:
            self._spooled.set()
        for entry in self._journal.entries():
            try:
                assignment = parse(entry.message, self._settings.line)
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
        uplink = self._settings.uplink
        backoff = Backoff(uplink.backoff_first, uplink.backoff_most, self._rng)
        while True:
            await self._room.acquire()
            taken = False
            wait = uplink.poll * self._rng.uniform(0.5, 1.5)
            try:
                assignment = await self._next()
                backoff.succeeded()
                if assignment is not None:
                    taken = True
                    group.create_task(self._carry_out_and_leave(assignment))
                    wait = 0.0
            except (UnavailableError, SpoolError, JournalError) as error:
                wait = backoff.failed(_asked(error))
                _log.warning("no assignment could be taken", reason=str(error), retry_in=round(wait, 1))
            except AssignmentError as error:
                _log.error("an assignment was not taken on", problems=error.problems)
            finally:
                if not taken:
                    self._room.release()
            await asyncio.sleep(wait)

    async def _next(self) -> Assignment | None:
        self._journal.forget(int(self._timekeeper.now()))
        if self._spool.stats().items >= self._settings.spool_most:
            _log.warning("the spool is full: no further assignment is taken")
            return None
        try:
            answer = await self._service.take()
        except UnavailableError:
            self._metrics.calls.labels("take", "unavailable").inc()
            raise
        self._metrics.calls.labels("take", "ok").inc()
        if answer.HasField("stamp"):
            self._timekeeper.hold(answer.stamp)
        if not answer.HasField("assignment"):
            return None
        message = answer.assignment
        assignment = check(message, self._settings.line)
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
        spread = time_left(assignment.spread_s, assignment.expires_at, self._timekeeper.now(), margin)
        place = {"assignment": assignment.assignment_id.hex(), "organisation": assignment.organisation}
        if spread < 0:
            _log.warning("too late to begin an assignment", **place)
            return
        if not assignment.resolver.address:
            assignment = self._on_this_line(assignment)
        now = asyncio.get_running_loop().time()
        appointments = plan(questions, now, spread, self._rng, len(assignment.references))
        _log.info("assignment begun", questions=len(appointments), spread_s=round(spread), **place)
        cover = asyncio.create_task(self._cover(assignment.resolver)) if measure.cover else None
        self._busy += 1
        try:
            with self._metrics.assignments.track_inprogress():
                async with asyncio.TaskGroup() as group:
                    for appointment in appointments:
                        group.create_task(self._keep(assignment, appointment))
        finally:
            self._busy -= 1
            if cover is not None:
                cover.cancel()
        _log.info("assignment done", **place)

    def _on_this_line(self, assignment: Assignment) -> Assignment:
        """With a resolver of those that the line was handed out; without any, every question ends unasked."""
        if not (addresses := self._handed()):
            _log.error("the line was handed out no resolver", assignment=assignment.assignment_id.hex())
            return assignment
        return replace(assignment, resolver=replace(assignment.resolver, address=self._rng.choice(addresses)))

    async def _cover(self, resolver: Endpoint) -> None:
        """Ordinary questions in between, of which nothing is kept."""
        measure = self._settings.measure
        while True:
            await asyncio.sleep(self._rng.expovariate(1.0 / measure.cover_every))
            qname = self._rng.choice(measure.cover)
            async with self._turns.take(qname), self._in_flight:
                await self._ask(resolver, qname, self._rng.choice((1, 1, 28)), False)

    # --- questions ----------------------------------------------------------------------------------------------

    async def _keep(self, assignment: Assignment, appointment: Appointment) -> None:
        question = appointment.question
        loop = asyncio.get_running_loop()
        await asyncio.sleep(appointment.resolver_at - loop.time())
        async with self._turns.take(question.qname), self._in_flight:
            # Both readings before the first packet leaves: what is seen was asked at this moment or later.
            asked_at, moment = loop.time(), self._timekeeper.moment()
            resolver = await self._exchange(assignment.resolver, question, "resolver")
        references = await asyncio.gather(
            *(
                self._refer(at, endpoint, question, asked_at)
                for at, endpoint in zip(appointment.references_at, assignment.references, strict=False)
            )
        )
        observation = pb.Observation(
            assignment_id=assignment.assignment_id,
            index=question.index,
            asked_at_us=moment.wall_us,
            resolver=resolver,
            reference=references[0] if references else None,
            second_reference=references[1] if references[1:] else None,
            begun=moment.stamp,
            since_begun_us=moment.since_us,
            asked=_endpoint(assignment.resolver),
        ).SerializeToString()
        signed = pb.SignedObservation(
            observation=observation,
            signature=self._key.sign(OBSERVATION, observation),
            key_id=self._key.public.key_id,
        ).SerializeToString()
        await self._store(assignment.assignment_id, question.index, signed)

    async def _refer(self, at: float, endpoint: Endpoint, question: Question, asked_at: float) -> pb.Exchange:
        """Asks a reference resolver at its time."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(at - loop.time())
        async with self._turns.take(question.qname), self._in_flight:
            after = loop.time() - asked_at
            if after > REFERENCE_LATEST_S:
                # So late it would prove nothing, so it is not asked: no answer, after no try.
                return pb.Exchange(outcome=pb.OUTCOME_TIMEOUT)
            exchange = await self._exchange(endpoint, question, "reference")
        exchange.asked_after_us = min(MAX_AFTER_US, int(after * 1_000_000))
        return exchange

    async def _exchange(self, endpoint: Endpoint, question: Question, side: str) -> pb.Exchange:
        exchange = await self._ask(endpoint, question.qname, question.qtype, question.dnssec_ok)
        self._metrics.exchanges.labels(side, pb.Outcome.Name(exchange.outcome)[8:].lower()).inc()
        return exchange

    async def _store(self, assignment_id: bytes, index: int, signed: bytes) -> None:
        state = spool_state(assignment_id, index)
        # No await between the two unless a disk fails, so that the spool's state never runs ahead by more than one.
        await _insist(lambda: self._spool.append(signed, time.time(), state, tells_loss=True))
        await _insist(lambda: self._journal.mark(assignment_id, index))
        self._metrics.observations.inc()
        self._spooled.set()

    # --- handing in ---------------------------------------------------------------------------------------------

    async def _hand_in(self) -> None:
        uplink = self._settings.uplink
        backoff = Backoff(uplink.backoff_first, uplink.backoff_most, self._rng)
        while True:
            await self._spooled.wait()
            await asyncio.sleep(uplink.submit_every * self._rng.uniform(0.5, 1.5))
            self._spooled.clear()
            try:
                while items := self._spool.batch(uplink.batch, MAX_BATCH_BYTES):
                    await self._hand_in_batch(items)
                    backoff.succeeded()
                await self._second_chance()
            except (UnavailableError, SpoolError) as error:
                wait = backoff.failed(_asked(error))
                self._spooled.set()
                _log.warning("observations could not be handed in", reason=str(error), retry_in=round(wait, 1))
                await asyncio.sleep(wait)

    async def _hand_in_batch(self, items: list[Item]) -> None:
        """Hands in all of `items`; where some are refused, halves the batch until those stand alone."""
        try:
            await self._service.submit(await self._ending([item.payload for item in items]))
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

    async def _ending(self, payloads: list[bytes]) -> list[bytes]:
        """Each with the service's stamp over it, which is taken once and, while this process lives, used again."""
        signed = [pb.SignedObservation.FromString(payload) for payload in payloads]
        digests = [hashlib.sha256(one.observation).digest() for one in signed]
        if wanted := [digest for digest in digests if digest not in self._ended]:
            stamps = await self._service.stamps(wanted)
            self._ended.update(zip(wanted, stamps, strict=False))
            if stamps:
                self._timekeeper.hold(stamps[-1])
        for one, digest in zip(signed, digests, strict=True):
            if stamp := self._ended.get(digest):
                one.ended.CopyFrom(stamp)
        while len(self._ended) > STAMPS_KEPT:
            self._ended.popitem(last=False)
        return [one.SerializeToString() for one in signed]

    async def _keep_time(self) -> None:
        """Asks for the time now and then while questions are asked, so that each is dated closely."""
        every = self._settings.uplink.stamp_every
        while True:
            await asyncio.sleep(every * self._rng.uniform(0.25, 0.75))
            age = self._timekeeper.age()
            if not self._busy or (age is not None and age < every / 2):
                continue
            try:
                for stamp in await self._service.stamps([]):
                    self._timekeeper.hold(stamp)
            except UnavailableError as error:
                _log.warning("the service does not tell the time", reason=str(error))

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
