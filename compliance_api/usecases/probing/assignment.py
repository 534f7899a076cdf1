"""Gives probes their work: rounds of questions for every resolver, and one assignment a probe and round.

Holds always: a round and an assignment are recorded, the assignment in the ledger too, before anybody asks; all probes
of a round are given the same names, so that what one sees another can confirm; listed names come first and controls
later, each group shuffled for each probe; abuse of children is never asked about from a school's or a volunteer's line.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Protocol, TypeVar

from compliance_api.domain.drawing.draws import derived
from compliance_api.domain.drawing.sampling import (
    SENSITIVE_CATEGORIES,
    Inputs,
    Pool,
    Unsettled,
)
from compliance_api.domain.law.law import Confirmation, Law, LawBook, LawError
from compliance_api.domain.observations.observation import Arm
from compliance_api.domain.parties.organisation import Endpoint, Node, Organisation, Probe, Registry
from compliance_api.errors import NotPermittedError
from compliance_api.usecases.probing.plan import Plan, questions
from compliance_api.usecases.probing.question import Question
from compliance_api.usecases.probing.sample import NameSource, SeedStore
from lachan import log
from lachan.tls import Identity, Role

ID_BYTES = 16
SEED_BYTES = 32
MAX_AGAIN = 500
PURPOSE = "rounds"
# A name that was asked within so many days is not fresh.
FRESH_DAYS = 30
# What looks like any other name that somebody might be kept from is asked first.
_FIRST = frozenset({Arm.LISTED, Arm.RELEASED})

_log = log.get()


T = TypeVar("T")


@dataclass(frozen=True)
class Round:
    """The questions that all probes ask one resolver in one interval."""

    operator: str
    round_id: bytes
    node: str
    endpoint: Endpoint
    # How many intervals had passed since 1970.
    number: int
    seed: bytes
    sample_serial: int
    drawn_at: datetime
    # When probes can no longer begin with it.
    expires_at: datetime
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Assignment:
    """One probe's share of a round: the question at index i is the round's at `positions[i]`, then come the extras."""

    operator: str
    assignment_id: bytes
    round_id: bytes
    probe_organisation: str
    probe: str
    issued_at: datetime
    expires_at: datetime
    positions: tuple[int, ...]
    extras: tuple[Question, ...] = ()
    # Who keeps the probe; None where an earlier release gave it out.
    custodian: str | None = None


@dataclass(frozen=True)
class Work:
    """An assignment as the probe gets it."""

    assignment: Assignment
    endpoint: Endpoint
    reference: Endpoint
    second_reference: Endpoint
    questions: tuple[Question, ...]
    spread: float


@dataclass(frozen=True)
class Wanted:
    """Which of the names that spoke against a node are asked again."""

    # Seen from then on, and until then for the first time: those that can be confirmed by now, in days not closed yet.
    since: datetime
    until: datetime
    # What confirms them. Asked by as many eyes so long after the first time, they are confirmed or cleared.
    rule: Confirmation
    # So many of a kind.
    limit: int = MAX_AGAIN

    @classmethod
    def of(cls, law: Law, spread: float, now: datetime) -> Wanted:
        """What can still be confirmed, and by a round that begins now and is spread over so many seconds."""
        closed = law.day.of(now - timedelta(seconds=law.day.closes_after)).start
        apart = timedelta(seconds=max(0.0, law.confirmation.sessions_apart - spread))
        return cls(min(closed, now - timedelta(seconds=law.period)), now - apart, law.confirmation)


class AssignmentStore(Protocol):
    """Keeps rounds and assignments."""

    async def has_round(self, operator: str, node: str, endpoint: Endpoint, number: int) -> bool:
        """Whether that round was drawn already."""

    async def add_round(self, one: Round) -> None:
        """Stores a round, unless another process has drawn it."""

    async def inputs(self, operator: str, number: int) -> bytes | None:
        """What the rounds of that interval are drawn from, where it was kept already."""

    async def keep_inputs(self, operator: str, number: int, day: date, content: bytes) -> bytes:
        """Keeps what they are drawn from, enters its digest into the ledger, and returns what is kept."""

    async def asked(self, operator: str, since: datetime, names: Sequence[str]) -> frozenset[str]:
        """Those of the names that rounds drawn since then hold."""

    async def measuring(self, operator: str, nodes: Sequence[str]) -> frozenset[str]:
        """Those of the nodes whose last report tells of queries: resolvers of ours, which hold the list itself."""

    async def unsettled(self, operator: str, node: str, wanted: Wanted) -> Unsettled:
        """Names that spoke against a node, and that nobody asked again long enough afterwards."""

    async def open_round(
        self, probe: Identity, operators: Sequence[str], handed: Sequence[str], now: datetime
    ) -> Round | None:
        """The oldest round that has not expired and that the probe was not given yet.

        Args:
            probe: Who asks for work.
            operators: Whose resolvers it can ask.
            handed: Of whom its line hands out resolvers.
            now: The present.
        """

    async def add_assignment(self, assignment: Assignment) -> bool:
        """Stores an assignment and enters it into the ledger; False where the probe was given that round already."""


class Beside(Protocol):
    """What a probe is asked beside its round."""

    async def questions(
        self, operator: str, node: str, probe: Probe, now: datetime, spread: float
    ) -> tuple[Question, ...]:
        """The questions."""


class Timing(Protocol):
    """Knows how names come and go on the list."""

    async def refresh(self, now: datetime) -> int:
        """Hears of it, and tells the current serial."""

    async def complete(self, inputs: Inputs, plan: Plan, operator: str, seed: bytes, now: datetime) -> Inputs:
        """What to draw from, with what times releases, and without what must not be asked any more."""


class Assigner:
    """The task of giving out work."""

    def __init__(
        self,
        registry: Registry,
        laws: LawBook,
        store: AssignmentStore,
        names: NameSource,
        seeds: SeedStore,
        plan: Plan,
        entropy: Callable[[int], bytes],
        beside: Beside | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._beside = beside
        self._timing = timing
        self._seeds = seeds
        self._registry = registry
        self._laws = laws
        self._store = store
        self._names = names
        self._plan = plan
        self._entropy = entropy

    async def draw_rounds(self, now: datetime) -> int:
        """Draws the current round of every resolver that has none yet, and says how many were drawn.

        Raises:
            BusyError: There are no names to draw from.
        """
        drawn = 0
        number = int(now.timestamp() // self._plan.interval)
        for operator in self._registry.operators():
            seed, inputs = b"", None
            for node in operator.nodes:
                for endpoint in node.endpoints:
                    if await self._store.has_round(operator.identifier, node.name, endpoint, number):
                        continue
                    law = self._law(operator, node, now)
                    if law is None:
                        continue
                    if inputs is None:
                        seed, inputs = await self._inputs(operator, law, number, now)
                    drawn += await self._draw(operator, node, endpoint, number, seed, inputs, now)
        return drawn

    def _law(self, operator: Organisation, node: Node, now: datetime) -> Law | None:
        try:
            return self._laws.in_force(min(node.jurisdictions), now)
        except LawError as error:
            _log.warning("no round is drawn", operator=operator.identifier, node=node.name, reason=str(error))
            return None

    async def _inputs(self, operator: Organisation, law: Law, number: int, now: datetime) -> tuple[bytes, Inputs]:
        """The seed of an operator's round, committed to before, and what it draws from: one for all its resolvers."""
        name = operator.identifier
        day = datetime.fromtimestamp(number * self._plan.interval, UTC).date()
        seed = await self._seeds.seed(name, PURPOSE, day)
        await self._seeds.seed(name, PURPOSE, day + timedelta(days=1))
        kept = await self._store.inputs(name, number)
        if kept is None:
            if self._timing is not None:
                self._names.published(await self._timing.refresh(now))
            pool = await self._names.pool(law, now)
            made = await self._made(operator, pool, Wanted.of(law, self._plan.spread, now), now)
            if self._timing is not None:
                made = await self._timing.complete(made, self._plan, name, derived(seed, "day"), now)
            made = await self._apart(operator, made)
            kept = await self._store.keep_inputs(name, number, day, made.encode())
        return derived(seed, str(number)), Inputs.decode(kept)

    async def _made(self, operator: Organisation, pool: Pool, wanted: Wanted, now: datetime) -> Inputs:
        """What an operator's rounds of an interval are drawn from."""
        name = operator.identifier
        seen = [await self._store.unsettled(name, node.name, wanted) for node in operator.nodes]
        firm = {one.qname: one for each in seen for one in each.firm}
        loose = {one.qname: one for each in seen for one in each.loose if one.qname not in firm}
        blocked = {one.qname: one for each in seen for one in each.blocked}
        candidates = {one.qname for group in (pool.names, pool.recent, pool.aged) for one in group}
        asked = await self._store.asked(name, now - timedelta(days=FRESH_DAYS), sorted(candidates))
        groups = (pool.names, pool.recent, pool.aged, pool.young)
        unfit = tuple(sorted({one.qname for group in groups for one in group if one.unfit}))
        return Inputs(pool, _by_name(firm), _by_name(loose), _by_name(blocked), asked, unfit=unfit)

    async def _apart(self, operator: Organisation, inputs: Inputs) -> Inputs:
        """The same, with the nodes told apart that go by a zone; those of which nothing is known may do so."""
        if not inputs.unfit:
            return inputs
        nodes = [node.name for node in operator.nodes]
        ours = await self._store.measuring(operator.identifier, nodes)
        return replace(inputs, zoned=tuple(sorted(set(nodes) - ours)))

    async def _draw(
        self,
        operator: Organisation,
        node: Node,
        endpoint: Endpoint,
        number: int,
        seed: bytes,
        inputs: Inputs,
        now: datetime,
    ) -> bool:
        end = datetime.fromtimestamp((number + 1) * self._plan.interval, UTC)
        await self._store.add_round(
            Round(
                operator.identifier,
                self._entropy(ID_BYTES),
                node.name,
                endpoint,
                number,
                seed,
                inputs.pool.serial,
                now,
                end,
                tuple(questions(self._plan, inputs, seed, f"{node.name}/{endpoint}", inputs.spared(node.name))),
            )
        )
        return True

    async def take(self, caller: Identity, now: datetime) -> Work | None:
        """The next assignment for a probe; None where there is none.

        Raises:
            NotPermittedError: The caller is no probe, or is not known.
        """
        probe = self._registry.probe(caller.organisation, caller.name) if caller.role is Role.PROBE else None
        if probe is None:
            raise NotPermittedError(f"{caller} is not a probe in the registry")
        reachable = [one.identifier for one in self._registry.operators() if probe.reaches(one.identifier)]
        handed = [one for one in reachable if probe.is_handed(one)]
        current = await self._store.open_round(caller, reachable, handed, now)
        if current is None:
            return None
        positions = self._order(current, probe)
        extras: tuple[Question, ...] = ()
        if self._beside is not None:
            extras = await self._beside.questions(current.operator, current.node, probe, now, self._plan.spread)
        assignment = Assignment(
            current.operator,
            self._entropy(ID_BYTES),
            current.round_id,
            caller.organisation,
            caller.name,
            now,
            now + timedelta(seconds=self._plan.expires),
            tuple(positions),
            extras,
            probe.custodian,
        )
        if not await self._store.add_assignment(assignment):
            return None
        questions = (*(current.questions[position] for position in positions), *extras)
        plan = self._plan
        return Work(assignment, current.endpoint, plan.reference, plan.second_reference, questions, plan.spread)

    def _order(self, current: Round, probe: Probe) -> list[int]:
        """Listed names first, controls and neighbours later, both shuffled: no two probes ask alike."""
        # A probe must not be recognised by its order, so this seed is fresh and nowhere recorded.
        rng = random.Random(self._entropy(SEED_BYTES))  # noqa: S311
        first: list[int] = []
        later: list[int] = []
        for position, question in enumerate(current.questions):
            if question.category in SENSITIVE_CATEGORIES and not probe.line.may_ask_anything:
                continue
            (first if question.arm in _FIRST else later).append(position)
        rng.shuffle(first)
        rng.shuffle(later)
        return first + later


def _by_name(found: Mapping[str, T]) -> tuple[T, ...]:
    return tuple(one for _, one in sorted(found.items()))
