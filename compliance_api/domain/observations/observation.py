"""What a probe's two exchanges say about one name: blocked, not blocked, or nothing.

Holds always: a name counts only where the reference resolvers saw it alive soon after, for a dead name proves nothing;
an answer that carries one address outside the known block addresses is an answer, whatever else it says, unless it
leads to a name known to be a block page's; a silence counts only after enough tries, and silence or a bare refusal only
from a resolver that served the same probe in the same session, since a dead or closed resolver looks the same; what
could not be reached says nothing, and is never an answer. What counts as a block is data (`BlockShapes`,
`compliance_api.domain.observations.shapes`).
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from compliance_api.domain.parties.organisation import Transport

RCODE_NOERROR = 0
RCODE_NXDOMAIN = 3
RCODE_REFUSED = 5

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Arm(enum.StrEnum):
    """Why a name is asked."""

    LISTED = "listed"
    CONTROL = "control"
    NEIGHBOUR = "neighbour"
    # A name that a release took out: it must be answered again.
    RELEASED = "released"
    # A listed name, asked to hold counters against: no evidence of filtering is taken from it.
    CHALLENGE = "challenge"
    # Nonces that tell who answered and who asked.
    WHOAMI = "whoami"
    EGRESS = "egress"


# Names that are not on the list when they are asked.
UNLISTED = frozenset({Arm.CONTROL, Arm.NEIGHBOUR})
# What a verdict's sightings are made of.
JUDGED = frozenset({Arm.LISTED, Arm.CONTROL, Arm.NEIGHBOUR, Arm.RELEASED})


class Outcome(enum.StrEnum):
    """How an exchange ended."""

    ANSWERED = "answered"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    MALFORMED = "malformed"


class Result(enum.StrEnum):
    """What an observation says."""

    BLOCKED = "blocked"
    NOT_BLOCKED = "not_blocked"
    INCONCLUSIVE = "inconclusive"


class Shape(enum.StrEnum):
    """How a name was blocked, or why it was not, or why nothing can be said."""

    NXDOMAIN = "nxdomain"
    NODATA = "nodata"
    NULL_ADDRESS = "null_address"
    SINKHOLE = "sinkhole"
    FORGED_CNAME = "forged_cname"
    EDE = "ede"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    ANSWER = "answer"
    REFERENCE_DEAD = "reference_dead"
    FEW_TRIES = "few_tries"
    FAILURE = "failure"
    TRUNCATED = "truncated"
    UNREACHABLE = "unreachable"
    MALFORMED = "malformed"


# How a name that is alive may be kept from whoever asks, without an answer that says so.
FAILING = frozenset({Shape.FAILURE, Shape.MALFORMED, Shape.TRUNCATED})


@dataclass(frozen=True)
class BlockShapes:
    """Which answers are a block."""

    version: str
    null_addresses: tuple[Network, ...]
    page_addresses: tuple[Network, ...]
    # Names, with all below them, that only forged CNAMEs lead to.
    page_names: frozenset[str]
    # RFC 8914 codes: 15 Blocked, 16 Censored, 17 Filtered.
    extended_errors: frozenset[int]
    # Shapes that are a block by themselves.
    blocking: frozenset[Shape]
    # Tries after which a silence counts.
    tries: int
    # Reference resolvers that must see a name alive, and within how many seconds of the question.
    references: int
    reference_within: float


@dataclass(frozen=True)
class Answer:
    """What matters of one DNS response."""

    rcode: int
    truncated: bool
    # Records of the asked type in the answer section.
    records: int
    # The addresses among them, in text.
    addresses: tuple[str, ...]
    extended_errors: frozenset[int]
    # What aliases in it lead to, lowercase, without the trailing dot.
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exchange:
    """How one resolver dealt with the question; `answer` is there exactly where the outcome is ANSWERED."""

    outcome: Outcome
    tries: int
    answer: Answer | None
    # Seconds after the operator's resolver was asked.
    after: float = 0.0


@dataclass(frozen=True)
class Seen:
    """The meaning of one observation on its own; `settle` finishes it with the rest of its session."""

    result: Result
    shape: Shape
    reference_alive: bool


def _within(address: str, networks: Iterable[Network]) -> bool:
    one = ipaddress.ip_address(address)
    return any(one in network for network in networks)


def _null(address: str, shapes: BlockShapes) -> bool:
    return _within(address, shapes.null_addresses)


def _page(address: str, shapes: BlockShapes) -> bool:
    return _within(address, shapes.page_addresses)


def _forged(answer: Answer, shapes: BlockShapes) -> bool:
    """Whether an alias leads to a block page's name, or to one below it."""
    if not shapes.page_names:
        return False
    for alias in answer.aliases:
        labels = alias.split(".")
        if any(".".join(labels[place:]) in shapes.page_names for place in range(len(labels))):
            return True
    return False


def _alive(reference: Exchange, shapes: BlockShapes) -> bool:
    answer = reference.answer
    if answer is None or answer.rcode != RCODE_NOERROR or not answer.records or _forged(answer, shapes):
        return False
    if reference.after > shapes.reference_within:
        return False
    if not answer.addresses:
        return True
    return any(not _null(one, shapes) and not _page(one, shapes) for one in answer.addresses)


def _address_shape(answer: Answer, shapes: BlockShapes) -> Shape:
    if not answer.addresses:
        return Shape.ANSWER
    if all(_null(one, shapes) for one in answer.addresses):
        return Shape.NULL_ADDRESS
    if all(_null(one, shapes) or _page(one, shapes) for one in answer.addresses):
        return Shape.SINKHOLE
    return Shape.ANSWER


def _answer_shape(answer: Answer, shapes: BlockShapes) -> Shape:
    if _forged(answer, shapes):
        return Shape.FORGED_CNAME
    if answer.rcode == RCODE_NOERROR and answer.records:
        return _address_shape(answer, shapes)
    if answer.extended_errors & shapes.extended_errors:
        return Shape.EDE
    if answer.truncated:
        return Shape.TRUNCATED
    if answer.rcode == RCODE_NOERROR:
        return Shape.NODATA
    return {RCODE_NXDOMAIN: Shape.NXDOMAIN, RCODE_REFUSED: Shape.REFUSED}.get(answer.rcode, Shape.FAILURE)


def _shape(exchange: Exchange, shapes: BlockShapes) -> Shape:
    if exchange.answer is not None:
        return _answer_shape(exchange.answer, shapes)
    if exchange.outcome is Outcome.TIMEOUT:
        return Shape.TIMEOUT if exchange.tries >= shapes.tries else Shape.FEW_TRIES
    return Shape.UNREACHABLE if exchange.outcome is Outcome.UNREACHABLE else Shape.MALFORMED


def classify(resolver: Exchange, references: Sequence[Exchange], shapes: BlockShapes) -> Seen:
    """What the exchanges say on their own; silence, refusal and failure stay inconclusive until `settle`."""
    shape = _shape(resolver, shapes)
    if sum(_alive(reference, shapes) for reference in references) < shapes.references:
        return Seen(Result.INCONCLUSIVE, Shape.REFERENCE_DEAD if shape is not Shape.ANSWER else shape, False)
    if shape in shapes.blocking:
        return Seen(Result.BLOCKED, shape, True)
    return Seen(Result.NOT_BLOCKED if shape is Shape.ANSWER else Result.INCONCLUSIVE, shape, True)


class Path(enum.StrEnum):
    """Whether the session that an observation belongs to seems to have ended at the node it was meant for: a hint."""

    UNKNOWN = "unknown"
    VERIFIED = "verified"
    # Somebody else answered, as far as that can be seen; the accused could make it look so.
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class Sighting:
    """One stored observation, as judging needs it."""

    # `ASSIGNMENT-HEX/INDEX`.
    reference: str
    assignment: str
    asked_at: datetime
    probe: str
    vantage_point: str
    access_network: str
    custodian: str
    node: str
    arm: Arm
    qname: str
    # The release that brought a listed name and when it was published; 0 and None for names never listed.
    added_serial: int
    added_at: datetime | None
    result: Result
    shape: Shape
    reference_alive: bool
    # How it was asked: the version of IP is 4 or 6, 0 where it is not known.
    transport: Transport = Transport.UDP
    family: int = 0
    qtype: int = 1
    dnssec_ok: bool = False
    path: Path = Path.UNKNOWN
    # Between which moments it was asked, by the service's own clock; None for what an earlier release stored.
    earliest: datetime | None = None
    latest: datetime | None = None
    # Asked because it had been missed before, not drawn.
    again: bool = False
    # Of a name that must be answered again: when the release was published that took it out, and its serial.
    removed_at: datetime | None = None
    removed_serial: int = 0
    # Addresses in the answer that neither reference gave.
    strange: tuple[str, ...] = ()


def settle(session: Iterable[Sighting]) -> list[Sighting]:
    """Finishes the observations of one assignment.

    A resolver that answered this probe at least once in the session was there and open to it. Then silence after enough
    tries, or a bare refusal, keeps a listed name from the user as well as any other block. A control that met silence
    proves nothing, for packets get lost; a refused one was refused. A failure (SERVFAIL) is no block, for it may be an
    accident; failures that meet listed names while controls are answered are counted by themselves.
    """
    settled = list(session)
    if not any(one.shape is Shape.ANSWER or one.result is Result.BLOCKED for one in settled):
        return settled
    return [replace(one, result=Result.BLOCKED) if _counts_now(one) else one for one in settled]


def _counts_now(one: Sighting) -> bool:
    if not one.reference_alive:
        return False
    return one.shape is Shape.REFUSED or (one.shape is Shape.TIMEOUT and one.arm is Arm.LISTED)


@dataclass(frozen=True)
class Eyes:
    """Who saw the same thing of one name, counted."""

    vantage_points: int
    # Vantage points that saw anything settled of it at the same nodes, these included.
    asked: int
    networks: int
    custodians: int
    # Seconds between the first and the last session.
    apart: float
    # Path-verified ones of the vantage points, and of those that asked.
    verified: int = 0
    verified_asked: int = 0


@dataclass(frozen=True)
class ConfirmationRule:
    """What confirms a sighting: this many different ones of each, and two sessions this far apart."""

    vantage_points: int
    networks: int
    custodians: int
    # Seconds between the first and the last session.
    sessions_apart: float
    # Part of the vantage points with a settled answer from the same nodes that must have seen it: of the path-verified
    # ones, where these are enough to decide.
    share: float = 0.0

    def met(self, eyes: Eyes) -> bool:
        """Whether so many eyes are enough."""
        return (
            eyes.vantage_points >= self.vantage_points
            and self._shared(eyes)
            and eyes.networks >= self.networks
            and eyes.custodians >= self.custodians
            and eyes.apart >= self.sessions_apart
        )

    def _shared(self, eyes: Eyes) -> bool:
        """Whether a large enough part saw it.

        The path-verified ones decide where they are as many as a confirmation needs and most of those that asked. Fewer
        are not believed against the others: a node chooses to whom it shows itself.
        """
        if eyes.verified_asked >= self.vantage_points and 2 * eyes.verified_asked > eyes.asked:
            return eyes.verified >= self.share * eyes.verified_asked
        return eyes.vantage_points >= self.share * eyes.asked


def confirmed(sightings: Sequence[Sighting], rule: ConfirmationRule, against: Sequence[Sighting] = ()) -> bool:
    """Whether independent eyes saw the same thing, more than once.

    Args:
        sightings: All that saw it, of one name.
        rule: The law's.
        against: All that saw the opposite, of the same name; those at other nodes do not count.
    """
    if not sightings:
        return False
    asked_at = [one.asked_at for one in sightings]
    nodes = {one.node for one in sightings}
    others = [one for one in against if one.node in nodes]
    eyes = Eyes(
        len(_points(sightings)),
        len(_points([*sightings, *others])),
        len({one.access_network for one in sightings}),
        len({one.custodian for one in sightings}),
        (max(asked_at) - min(asked_at)).total_seconds(),
        len(_points(sightings, Path.VERIFIED)),
        len(_points([*sightings, *others], Path.VERIFIED)),
    )
    return rule.met(eyes)


def _points(sightings: Iterable[Sighting], way: Path | None = None) -> set[str]:
    """The vantage points of sightings that went that way; of all where none is given."""
    return {one.vantage_point for one in sightings if way is None or one.path is way}
