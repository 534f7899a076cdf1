"""Takes what probes saw.

Holds always: an observation is stored only where its probe signed it, for a question this service gave that probe,
asked within the assignment's time; when that was is said by this service's own stamps where the probe holds any; the
same observation again changes nothing, and another one for the same question is refused; a call is stored whole or not
at all, and every reason against it is named.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from google.protobuf.message import DecodeError

from compliance_api.domain.observations.observation import Path, Seen, classify
from compliance_api.domain.observations.shapes import ShapeBook, ShapesError
from compliance_api.domain.observations.strange import strange
from compliance_api.domain.parties.organisation import Endpoint, Probe, Registry, Transport
from compliance_api.errors import ComplianceError, InvalidRequestError, NotPermittedError, Violation
from compliance_api.usecases.probing.assignment import Assignment
from compliance_api.usecases.probing.question import Question
from compliance_api.usecases.probing.sighting import MAX_PACKET_BYTES, MAX_TRIES, exchange
from compliance_api.usecases.probing.stamp import Stamper
from lachan.address import is_address
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.signing import OBSERVATION, SigningError, VerifyKey
from lachan.stamp import StampError
from lachan.tls import Identity, Role

MAX_OBSERVATIONS = 256
MAX_OBSERVATION_BYTES = 6 * MAX_PACKET_BYTES + 2048
# Longer than any assignment lives.
MAX_SINCE_US = 8 * 86_400 * 1_000_000
MAX_NAME_BYTES = 253
MAX_ADDRESS_BYTES = 45
MAX_PATH_BYTES = 128
DIGEST_BYTES = 32
SIDES = ("resolver", "reference", "second_reference")
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
    # The text that says what a block looks like.
    shapes: str
    # Verified where a certificate held for the node's name: nobody else can have answered.
    path: Path
    # Addresses in the answer that neither reference gave.
    strange: tuple[str, ...]
    observation: bytes
    signature: bytes
    key_id: bytes
    # This service's stamp over the observation, serialised; empty where there is none that holds.
    ended: bytes = b""


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


@dataclass(frozen=True)
class _Dated:
    """When something was asked, and between which moments by this service's own clock."""

    asked_at: datetime
    earliest: datetime
    latest: datetime
    # Whether the second stamp is this service's.
    ended: bool


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
        shapes: ShapeBook,
        store: ObservationStore,
        stamper: Stamper,
        limits: Limits,
        clock: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._shapes = shapes
        self._store = store
        self._stamper = stamper
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
                violations.append(Violation(f"{place}.observation.{error.field}", str(error)))
                continue
            key = one.assignment_id, one.index
            earlier = observed[key].digest if key in observed else stored.get(key, fresh.digest)
            if earlier != fresh.digest:
                violations.append(
                    Violation(f"{place}.observation.index", "another observation of this question is stored")
                )
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
        if self._registry.judged_node(issued.assignment.operator, issued.node) is None:
            raise _ObjectionError("assignment_id", "its node is no longer in the registry")
        digest = hashlib.sha256(signed.observation).digest()
        dated = self._dated(issued.assignment, one, signed, digest, now)
        try:
            shapes = self._shapes.in_force(dated.asked_at).shapes(issued.assignment.operator)
        except ShapesError as error:
            raise _ObjectionError("asked_at_us", str(error)) from error
        question = issued.questions[one.index]
        resolver, *references = (
            exchange(side, question.qname, question.qtype)
            for side in (one.resolver, one.reference, one.second_reference)
        )
        seen = classify(resolver, references, shapes)
        return Observed(
            issued,
            one.index,
            probe,
            digest,
            _asked(issued.endpoint, one),
            dated.asked_at,
            dated.earliest,
            dated.latest,
            now,
            seen,
            shapes.version,
            _path(issued.endpoint, one),
            strange(resolver, references, seen),
            signed.observation,
            signed.signature,
            signed.key_id,
            signed.ended.SerializeToString() if dated.ended else b"",
        )

    def _dated(
        self, assignment: Assignment, one: pb.Observation, signed: pb.SignedObservation, digest: bytes, now: datetime
    ) -> _Dated:
        """By the stamps; by the probe's own clock only where it held none when it asked."""
        begun, ended = self._stamp("begun", one.begun), self._stamp("ended", signed.ended, digest)
        latest = min(now, ended) if ended else now
        if begun is None:
            asked_at = datetime.fromtimestamp(one.asked_at_us / 1_000_000, UTC)
            place, earliest = "asked_at_us", assignment.issued_at
        else:
            asked_at = begun + timedelta(microseconds=one.since_begun_us)
            place, earliest = "since_begun_us", begun
        if asked_at > latest + self._tolerance:
            raise _ObjectionError(place, "later than the second stamp, or than now")
        first, last = assignment.issued_at - self._tolerance, assignment.expires_at + self._tolerance
        if not first <= asked_at <= last:
            raise _ObjectionError(place, "not within the assignment's time")
        if now > assignment.expires_at + self._handed_in_within:
            raise _ObjectionError("assignment_id", "handed in too long after the assignment's end")
        return _Dated(asked_at, earliest, latest, ended is not None)

    def _stamp(self, place: str, stamp: pb.Stamp, commitment: bytes | None = None) -> datetime | None:
        try:
            return self._stamper.time(stamp, commitment)
        except StampError as error:
            raise _ObjectionError(place, str(error)) from error


def _path(assigned: Endpoint, one: pb.Observation) -> Path:
    encrypted = assigned.transport in {Transport.DOT, Transport.DOH}
    return Path.VERIFIED if encrypted and one.resolver.certificate_holds else Path.UNKNOWN


def _asked(assigned: Endpoint, one: pb.Observation) -> Endpoint:
    """Whom the probe asked: the resolver it was told, or the one that its line was handed out."""
    address = one.asked.address
    if assigned.address:
        if one.HasField("asked") and address != assigned.address:
            raise _ObjectionError("asked.address", "not the resolver of the assignment")
        return assigned
    if not address:
        if one.resolver.outcome != pb.OUTCOME_UNREACHABLE:
            raise _ObjectionError("asked.address", "whom the line was handed out, where it was left to the line")
        return assigned
    if not is_address(address):
        raise _ObjectionError("asked.address", "an IP address")
    return replace(assigned, address=str(ipaddress.ip_address(address)))


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
    violations += _unbounded(f"{place}.observation", one)
    return one


def _unbounded(place: str, one: pb.Observation) -> Iterator[Violation]:
    """Every field of an observation that is beyond its bounds."""
    if not one.HasField("resolver"):
        yield Violation(f"{place}.resolver", "what the resolver did")
    for side in SIDES:
        raw: pb.Exchange = getattr(one, side)
        if max(len(raw.query), len(raw.response)) > MAX_PACKET_BYTES:
            yield Violation(f"{place}.{side}", f"packets of at most {MAX_PACKET_BYTES} bytes")
        if raw.tries > MAX_TRIES:
            yield Violation(f"{place}.{side}.tries", f"at most {MAX_TRIES}")
        if len(raw.certificate_sha256) not in (0, DIGEST_BYTES):
            yield Violation(f"{place}.{side}.certificate_sha256", f"{DIGEST_BYTES} bytes, or none")
    if one.since_begun_us > MAX_SINCE_US:
        yield Violation(f"{place}.since_begun_us", f"at most {MAX_SINCE_US}")
    for name, text, most in (
        ("address", one.asked.address, MAX_ADDRESS_BYTES),
        ("server_name", one.asked.server_name, MAX_NAME_BYTES),
        ("path", one.asked.path, MAX_PATH_BYTES),
    ):
        if len(text) > most:
            yield Violation(f"{place}.asked.{name}", f"at most {most} characters")
    if not 0 <= one.asked_at_us < MAX_TIME_US:
        yield Violation(f"{place}.asked_at_us", "microseconds since 1970, before 2100")
