"""Work as it came over the wire, checked and bounded.

Holds always: an `Assignment` is complete and within every limit below; a message that breaks one is refused as a whole,
with all its problems, before anything of it is asked.
"""

from __future__ import annotations

import enum
import ipaddress
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from compliance_api.probe.errors import AssignmentError
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.compliance.v1 import report_pb2
from lachan.tls import IDENTIFIER

ID_BYTES = 16
MAX_QUESTIONS = 2000
MAX_SPREAD_S = 86_400
MAX_NAME_BYTES = 253
MAX_PROBLEMS = 20


class Arm(enum.Enum):
    """Which part of the design a question belongs to."""

    LISTED = pb.ARM_LISTED
    CONTROL = pb.ARM_CONTROL
    NEIGHBOUR = pb.ARM_NEIGHBOUR


@dataclass(frozen=True)
class Endpoint:
    """A resolver to ask."""

    address: str
    port: int
    tcp: bool


@dataclass(frozen=True)
class Question:
    """One question of an assignment."""

    index: int
    qname: str
    qtype: int
    arm: Arm


@dataclass(frozen=True)
class Assignment:
    """Questions for one operator's resolver."""

    assignment_id: bytes
    organisation: str
    resolver: Endpoint
    reference: Endpoint
    questions: tuple[Question, ...]
    spread_s: int
    expires_at: int


def _endpoint(message: pb.Endpoint, place: str, problems: list[str]) -> Endpoint:
    try:
        ipaddress.ip_address(message.address)
    except ValueError:
        problems.append(f"{place}.address: not an IP address")
    if not 1 <= message.port <= 65535:
        problems.append(f"{place}.port: {message.port} is no port")
    if message.transport not in (report_pb2.TRANSPORT_UDP, report_pb2.TRANSPORT_TCP):
        problems.append(f"{place}.transport: only UDP and TCP can be probed")
    return Endpoint(message.address, message.port, message.transport == report_pb2.TRANSPORT_TCP)


def _question(message: pb.Question, problems: list[str]) -> Question | None:
    place = f"questions[{message.index}]"
    before = len(problems)
    name = message.qname
    labels = name.split(".")
    if not (name.isascii() and len(name) <= MAX_NAME_BYTES and all(1 <= len(label) <= 63 for label in labels)):
        problems.append(f"{place}.qname: not a domain name")
    if not 1 <= message.qtype <= 65535:
        problems.append(f"{place}.qtype: {message.qtype} is no type")
    if message.arm not in {arm.value for arm in Arm}:
        problems.append(f"{place}.arm: {message.arm} is unknown")
    if len(problems) > before:
        return None
    return Question(message.index, name.lower(), message.qtype, Arm(message.arm))


def check(message: pb.Assignment) -> Assignment:
    """The assignment in `message`.

    Raises:
        AssignmentError: With every problem found, `MAX_PROBLEMS` at most.
    """
    problems: list[str] = []
    if len(message.assignment_id) != ID_BYTES:
        problems.append(f"assignment_id: {len(message.assignment_id)} bytes, not {ID_BYTES}")
    if not IDENTIFIER.fullmatch(message.organisation):
        problems.append("organisation: not an identifier")
    resolver = _endpoint(message.resolver, "resolver", problems)
    reference = _endpoint(message.reference, "reference", problems)
    if not 1 <= len(message.questions) <= MAX_QUESTIONS:
        problems.append(f"questions: {len(message.questions)}, not 1 to {MAX_QUESTIONS}")
    if message.spread_seconds > MAX_SPREAD_S:
        problems.append(f"spread_seconds: beyond {MAX_SPREAD_S}")
    questions = [_question(question, problems) for question in message.questions[:MAX_QUESTIONS]]
    if len({question.index for question in message.questions}) != len(message.questions):
        problems.append("questions: an index is given twice")
    if problems:
        raise AssignmentError(problems[:MAX_PROBLEMS])
    return Assignment(
        bytes(message.assignment_id),
        message.organisation,
        resolver,
        reference,
        tuple(question for question in questions if question is not None),
        message.spread_seconds,
        message.expires_at,
    )


def parse(raw: bytes) -> Assignment:
    """The assignment that `raw` serialises.

    Raises:
        AssignmentError: It is none, or breaks a limit.
    """
    try:
        return check(pb.Assignment.FromString(raw))
    except DecodeError as error:
        raise AssignmentError(["not a serialised assignment"]) from error
