"""Takes what probes saw.

Holds always: an observation is stored only where its probe signed it, for a question this service gave that probe,
asked within the assignment's time; the same observation again changes nothing, and another one for the same question is
refused; a call is stored whole or not at all, and every reason against it is named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from google.protobuf.message import DecodeError

from compliance_api.domain.law import LawBook, LawError
from compliance_api.domain.observation import BlockShapes, Seen, classify
from compliance_api.domain.organisation import Endpoint, Probe, Registry
from compliance_api.errors import ComplianceError, InvalidRequestError, NotPermittedError, Violation
from compliance_api.usecases.assignment import Assignment, Question
from compliance_api.usecases.sighting import MAX_PACKET_BYTES, MAX_TRIES, exchange
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.signing import OBSERVATION, SigningError, VerifyKey
from lachan.tls import Identity, Role

MAX_OBSERVATIONS = 256
MAX_OBSERVATION_BYTES = 4 * MAX_PACKET_BYTES + 1024
# 2100-01-01 in microseconds.
MAX_TIME_US = 4_102_444_800_000_000


@dataclass(frozen=True)
class Issued:
    """An assignment that was given out, with what it asks of whom."""

    assignment: Assignment
    node: str
    endpoint: Endpoint
    # In the assignment's order.
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Observed:
    """An observation to store, with who saw it from where as that stands now."""

    issued: Issued
    index: int
    probe: Probe
    digest: bytes
    # Whom it asked; where the assignment left that to the line, the resolver that the line was handed out.
    endpoint: Endpoint
    asked_at: datetime
    # Between which moments, by the service's own clock, it was asked.
    earliest: datetime
    latest: datetime
    received_at: datetime
    seen: Seen
    observation: bytes
    signature: bytes
    key_id: bytes


class ObservationStore(Protocol):
    """Keeps observations."""

    async def issued(self, probe: Identity, assignments: Sequence[bytes]) -> Mapping[bytes, Issued]:
        """Those of the assignments that were given to this probe."""

    async def digests(self, issued: Sequence[Issued]) -> Mapping[tuple[bytes, int], bytes]:
        """The digests of the observations stored for these assignments, by assignment and index."""

    async def add(self, observations: Sequence[Observed]) -> None:
        """Stores those not stored yet, all in one transaction."""


@dataclass(frozen=True)
class Limits:
    """How far off an observation's times may be, in seconds."""

    clock_tolerance: float
    handed_in_within: float


class _ObjectionError(ComplianceError):
    """What is wrong with one observation, and with which of its fields."""

    def __init__(self, field: str, description: str) -> None:
        self.field = field
        super().__init__(description)


class Observe:
    """The task of taking observations."""

    def __init__(
        self,
        registry: Registry,
        laws: LawBook,
        store: ObservationStore,
        limits: Limits,
        clock: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._laws = laws
        self._store = store
        self._tolerance = timedelta(seconds=limits.clock_tolerance)
        self._handed_in_within = timedelta(seconds=limits.handed_in_within)
        self._clock = clock

    def probe(self, caller: Identity) -> Probe:
        """The probe that calls.

        Raises:
            NotPermittedError: The caller is no probe, or is not known.
        """
        probe = self._registry.probe(caller.organisation, caller.name) if caller.role is Role.PROBE else None
        if probe is None:
            raise NotPermittedError(f"{caller} is not a probe in the registry")
        return probe

    async def submit(self, caller: Identity, batch: Sequence[pb.SignedObservation]) -> list[Observed]:
        """Stores `batch` and returns what it says.

        Raises:
            NotPermittedError: The caller is no probe, or is not known.
            InvalidRequestError: With every field that breaks a rule; nothing is stored.
        """
        probe = self.probe(caller)
        if not 1 <= len(batch) <= MAX_OBSERVATIONS:
            raise InvalidRequestError([Violation("observations", f"1 to {MAX_OBSERVATIONS} observations")])
        violations: list[Violation] = []
        parsed = [_parse(f"observations[{index}]", one, probe, violations) for index, one in enumerate(batch)]
        if violations:
            raise InvalidRequestError(violations)
        issued = await self._store.issued(caller, list({one.assignment_id for one in parsed}))
        stored = await self._store.digests(list(issued.values()))
        now = self._clock()
        observed: dict[tuple[bytes, int], Observed] = {}
        for index, (signed, one) in enumerate(zip(batch, parsed, strict=True)):
            place = f"observations[{index}]"
            try:
                fresh = self._observed(issued.get(one.assignment_id), one, signed, probe, now)
            except _ObjectionError as error:
                violations.append(Violation(f"{place}.{error.field}", str(error)))
                continue
            key = one.assignment_id, one.index
            earlier = observed[key].digest if key in observed else stored.get(key, fresh.digest)
            if earlier != fresh.digest:
                violations.append(Violation(f"{place}.index", "another observation of this question is stored"))
            observed[key] = fresh
        if violations:
            raise InvalidRequestError(violations)
        new = [one for key, one in observed.items() if key not in stored]
        if new:
            await self._store.add(new)
        return new

    def _observed(
        self, issued: Issued | None, one: pb.Observation, signed: pb.SignedObservation, probe: Probe, now: datetime
    ) -> Observed:
        if issued is None:
            raise _ObjectionError("assignment_id", "not an assignment of this probe")
        if one.index >= len(issued.questions):
            raise _ObjectionError("index", f"the assignment has {len(issued.questions)} questions")
        asked_at = datetime.fromtimestamp(one.asked_at_us / 1_000_000, UTC)
        self._check_times(issued.assignment, asked_at, now)
        question = issued.questions[one.index]
        seen = classify(
            exchange(one.resolver, question.qname, question.qtype),
            exchange(one.reference, question.qname, question.qtype),
            self._shapes(issued, asked_at),
        )
        digest = hashlib.sha256(signed.observation).digest()
        return Observed(
            issued,
            one.index,
            probe,
            digest,
            issued.endpoint,
            asked_at,
            issued.assignment.issued_at,
            now,
            now,
            seen,
            signed.observation,
            signed.signature,
            signed.key_id,
        )

    def _check_times(self, assignment: Assignment, asked_at: datetime, now: datetime) -> None:
        earliest, latest = assignment.issued_at - self._tolerance, assignment.expires_at + self._tolerance
        if not earliest <= asked_at <= min(latest, now + self._tolerance):
            raise _ObjectionError("asked_at_us", "not within the assignment's time")
        if now > assignment.expires_at + self._handed_in_within:
            raise _ObjectionError("assignment_id", "handed in too long after the assignment's end")

    def _shapes(self, issued: Issued, asked_at: datetime) -> BlockShapes:
        node = self._registry.node(issued.assignment.operator, issued.node)
        if node is None:
            raise _ObjectionError("assignment_id", "its node is no longer in the registry")
        try:
            return self._laws.in_force(min(node.jurisdictions), asked_at).blocks.shapes()
        except LawError as error:
            raise _ObjectionError("asked_at_us", str(error)) from error


def _parse(place: str, signed: pb.SignedObservation, probe: Probe, violations: list[Violation]) -> pb.Observation:
    """The observation, with everything against it added to `violations`."""
    one = pb.Observation()
    if not 0 < len(signed.observation) <= MAX_OBSERVATION_BYTES:
        violations.append(Violation(f"{place}.observation", f"1 to {MAX_OBSERVATION_BYTES} bytes"))
        return one
    key = VerifyKey.from_raw(probe.key)
    try:
        if signed.key_id != key.key_id:
            violations.append(Violation(f"{place}.key_id", "not the probe's key"))
            return one
        key.verify(OBSERVATION, signed.observation, signed.signature)
        one.ParseFromString(signed.observation)
    except SigningError as error:
        violations.append(Violation(f"{place}.signature", str(error)))
        return one
    except DecodeError:
        violations.append(Violation(f"{place}.observation", "not a serialised Observation"))
        return one
    for side in ("resolver", "reference"):
        raw: pb.Exchange = getattr(one, side)
        if max(len(raw.query), len(raw.response)) > MAX_PACKET_BYTES:
            violations.append(Violation(f"{place}.{side}", f"packets of at most {MAX_PACKET_BYTES} bytes"))
        if raw.tries > MAX_TRIES:
            violations.append(Violation(f"{place}.{side}.tries", f"at most {MAX_TRIES}"))
    if not 0 <= one.asked_at_us < MAX_TIME_US:
        violations.append(Violation(f"{place}.asked_at_us", "microseconds since 1970, before 2100"))
    return one
