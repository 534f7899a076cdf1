"""Challenges, nonces and the ways of sessions, wired for the service: what `app` runs beside the calls."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.challenges.challenge import State, hour_of
from compliance_api.domain.law.law import LawBook
from compliance_api.domain.observations.observation import Path
from compliance_api.domain.parties.organisation import Registry
from compliance_api.nonces.settings import NonceSettings
from compliance_api.rpc.challenge import ChallengeService
from compliance_api.storage.challenges.challenges import Challenges
from compliance_api.storage.challenges.counters import Counters
from compliance_api.storage.challenges.outcomes import Outcomes
from compliance_api.storage.judging.laws import Laws
from compliance_api.storage.probing.assignments import Assignments
from compliance_api.storage.probing.paths import Paths
from compliance_api.storage.probing.seeds import Seeds
from compliance_api.usecases.challenges.challenge import Challenger
from compliance_api.usecases.challenges.copies import CopyFinder
from compliance_api.usecases.challenges.outcome import Summary
from compliance_api.usecases.probing.extras import Extras, NonceZone
from compliance_api.usecases.probing.paths import PathFinder
from compliance_api.usecases.probing.sample import NameSource

EVALUATE_SECONDS = 600.0
PATHS_SECONDS = 15.0
# Word of a nonce comes by the name server's next write, which may be a minute later.
SETTLE_SECONDS = 60.0
ENDED = tuple(state for state in State if state is not State.DRAWN)
UNREPORTED_DAYS = timedelta(days=7)

Task = tuple[str, float, Callable[[], Awaitable[None]]]


class ChallengeMetrics:
    """How challenges and sessions go."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.drawn = Counter("lachan_compliance_challenges_drawn", "Challenged hours drawn.", registry=registry)
        self.answers = Gauge(
            "lachan_compliance_challenges",
            "Challenged hours of the days that are looked at, in each place, by how they ended.",
            ["state"],
            registry=registry,
        )
        self.copied = Counter(
            "lachan_compliance_copied_counters", "Pairs of nodes whose counters agree too well.", registry=registry
        )
        self.unreported = Gauge(
            "lachan_compliance_unreported_questions",
            "Questions of the last week's assignments that no observation came for.",
            ["operator", "probe"],
            registry=registry,
        )
        self.paths = Counter(
            "lachan_compliance_sessions", "Sessions of probes by which way they went.", ["path"], registry=registry
        )
        for way in Path:
            self.paths.labels(way)


class Challenging:
    """The parts, wired."""

    def __init__(
        self,
        registry: Registry,
        laws: LawBook,
        engine: AsyncEngine,
        names: NameSource,
        nonces: NonceSettings | None,
        qtypes: tuple[int, ...],
        shown_lines: int,
        clock: Callable[[], datetime],
        metrics: CollectorRegistry,
    ) -> None:
        """Wires them.

        Raises:
            LachanError: The key of nonces cannot be read.
        """
        store = Challenges(engine)
        zone = NonceZone(nonces.zone, nonces.secret()) if nonces is not None else None
        self._clock = clock
        self._drawn: datetime | None = None
        self._metrics = ChallengeMetrics(metrics)
        self._seeds = Seeds(engine)
        self._assignments = Assignments(engine)
        self._copies = CopyFinder(registry, Laws(engine), Counters(engine))
        self._challenger = Challenger(registry, laws, store, self._seeds, names, os.urandom)
        self._summary = Summary(registry, Laws(engine), store, Outcomes(engine))
        self._paths = PathFinder(registry, Paths(engine), SETTLE_SECONDS)
        self.beside = Extras(registry, Live(store, Assignments(engine)), zone, os.urandom, qtypes, shown_lines)
        self.service = ChallengeService(self._challenger, clock)

    def tasks(self) -> list[Task]:
        """What is done again and again: its name, every how many seconds, and how."""
        return [
            ("outcomes", EVALUATE_SECONDS, self.evaluate),
            ("paths", PATHS_SECONDS, self.find),
            ("copies", EVALUATE_SECONDS, self.copies),
        ]

    async def draw(self) -> None:
        """Draws the challenges of this hour, once."""
        now = self._clock()
        hour = hour_of(now)
        if self._drawn != hour:
            self._metrics.drawn.inc(await self._challenger.draw(now))
            self._drawn = hour

    async def evaluate(self) -> None:
        """Sums up what challenges say, and tells the seeds of days long past."""
        outcomes = await self._summary.evaluate(self._clock())
        for state in ENDED:
            self._metrics.answers.labels(state).set(sum(one.states[state] for one in outcomes))
        now = self._clock()
        self._metrics.unreported.clear()
        for each in await self._assignments.unreported(now - UNREPORTED_DAYS, now):
            self._metrics.unreported.labels(each.operator, each.probe).set(each.unreported)
        await self._seeds.tell(self._clock().astimezone(UTC).date())

    async def copies(self) -> None:
        """Looks for counters that are another node's."""
        self._metrics.copied.inc(len(await self._copies.look(self._clock())))

    async def find(self) -> None:
        """Decides by which way sessions went."""
        for one in await self._paths.decide(self._clock()):
            self._metrics.paths.labels(one.path).inc()


class Live:
    """What `compliance_api.usecases.probing.extras` asks for, of two stores."""

    def __init__(self, challenges: Challenges, assignments: Assignments) -> None:
        self.challenged = challenges.challenged
        self.given = assignments.given
