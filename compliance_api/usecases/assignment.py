"""Gives probes their work: rounds of questions for every resolver, and one assignment a probe and round.

Holds always: a round and an assignment are recorded, the assignment in the ledger too, before anybody asks; all probes
of a round are given the same names, so that what one sees another can confirm; listed names come first and controls
later, each group shuffled for each probe; abuse of children is never asked about from a school's or a volunteer's line.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from compliance_api.domain.law import LawBook, LawError
from compliance_api.domain.observation import Arm
from compliance_api.domain.organisation import Endpoint, Node, Organisation, Probe, Registry
from compliance_api.domain.sampling import SENSITIVE_CATEGORIES, ListedName, Pool, draw
from compliance_api.errors import NotPermittedError
from compliance_api.usecases.question import Question
from compliance_api.usecases.sample import NameSource
from lachan import log
from lachan.tls import Identity, Role

ID_BYTES = 16
SEED_BYTES = 32
MAX_AGAIN = 500

_log = log.get()


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


@dataclass(frozen=True)
class Work:
    """An assignment as the probe gets it."""

    assignment: Assignment
    endpoint: Endpoint
    reference: Endpoint
    second_reference: Endpoint
    questions: tuple[Question, ...]
    spread: float


class AssignmentStore(Protocol):
    """Keeps rounds and assignments."""

    async def has_round(self, operator: str, node: str, endpoint: Endpoint, number: int) -> bool:
        """Whether that round was drawn already."""

    async def add_round(self, one: Round) -> None:
        """Stores a round, unless another process has drawn it."""

    async def to_ask_again(self, operator: str, node: str, since: datetime, limit: int) -> list[ListedName]:
        """Listed names that a node was seen not to block since then."""

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


@dataclass(frozen=True)
class Plan:
    """How rounds are made up; times in seconds."""

    interval: float
    listed: int
    spread: float
    expires: float
    # Two resolvers that do not filter, of two different people.
    reference: Endpoint
    second_reference: Endpoint
    qtypes: tuple[int, ...]
    controls: tuple[str, ...]
    neighbours: tuple[str, ...]
    # Part of the questions that have DO set.
    dnssec_share: float = 0.0


class Assigner:
    """The task of giving out work."""

    def __init__(
        self,
        registry: Registry,
        laws: LawBook,
        store: AssignmentStore,
        names: NameSource,
        plan: Plan,
        entropy: Callable[[int], bytes],
        beside: Beside | None = None,
    ) -> None:
        self._beside = beside
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
            for node in operator.nodes:
                for endpoint in node.endpoints:
                    if not await self._store.has_round(operator.identifier, node.name, endpoint, number):
                        drawn += await self._draw(operator, node, endpoint, number, now)
        return drawn

    async def _draw(self, operator: Organisation, node: Node, endpoint: Endpoint, number: int, now: datetime) -> bool:
        try:
            law = self._laws.in_force(min(node.jurisdictions), now)
        except LawError as error:
            _log.warning("no round is drawn", operator=operator.identifier, node=node.name, reason=str(error))
            return False
        pool = await self._names.pool(law, now)
        since = now - timedelta(seconds=law.period)
        again = await self._store.to_ask_again(operator.identifier, node.name, since, MAX_AGAIN)
        seed = self._entropy(SEED_BYTES)
        end = datetime.fromtimestamp((number + 1) * self._plan.interval, UTC)
        await self._store.add_round(
            Round(
                operator.identifier,
                self._entropy(ID_BYTES),
                node.name,
                endpoint,
                number,
                seed,
                pool.serial,
                now,
                end,
                tuple(self._questions(pool, again, seed)),
            )
        )
        return True

    def _questions(self, pool: Pool, again: Sequence[ListedName], seed: bytes) -> list[Question]:
        # Repeatable from the recorded seed, as the draw itself is.
        rng = random.Random(seed)  # noqa: S311
        types = self._plan.qtypes
        asked = [
            *(
                Question(
                    one.qname,
                    rng.choice(types),
                    Arm.LISTED,
                    one.category,
                    one.order,
                    one.added_serial,
                    one.added_at,
                )
                for one in draw(pool, again, self._plan.listed, seed)
            ),
            *(Question(name, rng.choice(types), Arm.CONTROL) for name in self._plan.controls),
            *(Question(name, rng.choice(types), Arm.NEIGHBOUR) for name in self._plan.neighbours),
        ]
        return [replace(one, dnssec_ok=rng.random() < self._plan.dnssec_share) for one in asked]

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
            (first if question.arm is Arm.LISTED else later).append(position)
        rng.shuffle(first)
        rng.shuffle(later)
        return first + later
