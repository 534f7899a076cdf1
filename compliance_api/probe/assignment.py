"""Work as it came over the wire, checked and bounded.

Holds always: an `Assignment` is complete and within every limit below; a message that breaks one is refused as a whole,
with all its problems, before anything of it is asked; so is one that would ask from a school's or a volunteer's line
for what may not be asked there.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from compliance_api.probe.errors import AssignmentError
from lachan.address import is_address
from lachan.asking import Transport
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.compliance.v1 import report_pb2
from lachan.line import Line
from lachan.tls import IDENTIFIER

ID_BYTES = 16
MAX_QUESTIONS = 2000
MAX_SPREAD_S = 86_400
MAX_NAME_BYTES = 253
MAX_PATH_BYTES = 128
MAX_PROBLEMS = 20

TRANSPORTS = {
    Transport.UDP: report_pb2.TRANSPORT_UDP,
    Transport.TCP: report_pb2.TRANSPORT_TCP,
    Transport.DOT: report_pb2.TRANSPORT_DOT,
    Transport.DOH: report_pb2.TRANSPORT_DOH,
}
"""Those that a probe speaks."""
_OF = {number: transport for transport, number in TRANSPORTS.items()}


class Arm(enum.Enum):
    """Which part of the design a question belongs to."""

    LISTED = pb.ARM_LISTED
    CONTROL = pb.ARM_CONTROL
    NEIGHBOUR = pb.ARM_NEIGHBOUR
    WHOAMI = pb.ARM_WHOAMI
    EGRESS = pb.ARM_EGRESS

    @property
    def needs_references(self) -> bool:
        """Whether it matters that the name is alive elsewhere: a nonce is known to one resolver alone."""
        return self not in {Arm.WHOAMI, Arm.EGRESS}


@dataclass(frozen=True)
class Endpoint:
    """A resolver to ask; without an address, whichever the line was handed out."""

    address: str
    port: int
    transport: Transport = Transport.UDP
    server_name: str = ""
    path: str = ""


@dataclass(frozen=True)
class Question:
    """One question of an assignment."""

    index: int
    qname: str
    qtype: int
    arm: Arm
    dnssec_ok: bool = False


@dataclass(frozen=True)
class Assignment:
    """Questions for one operator's resolver."""

    assignment_id: bytes
    organisation: str
    resolver: Endpoint
    # Resolvers that do not filter; an earlier release of the service names one.
    references: tuple[Endpoint, ...]
    questions: tuple[Question, ...]
    spread_s: int
    expires_at: int


def _is_name(text: str) -> bool:
    labels = text.split(".")
    return text.isascii() and len(text) <= MAX_NAME_BYTES and all(1 <= len(label) <= 63 for label in labels)


def _endpoint(message: pb.Endpoint, place: str, problems: list[str], *, handed: bool = False) -> Endpoint:
    if not is_address(message.address) and not (handed and not message.address):
        problems.append(f"{place}.address: not an IP address")
    if not 1 <= message.port <= 65535:
        problems.append(f"{place}.port: {message.port} is no port")
    if message.transport not in _OF:
        problems.append(f"{place}.transport: only UDP, TCP, DoT and DoH can be probed")
    if message.server_name and not _is_name(message.server_name):
        problems.append(f"{place}.server_name: not a domain name")
    path = message.path
    if path and not (path.startswith("/") and path.isascii() and path.isprintable() and len(path) <= MAX_PATH_BYTES):
        problems.append(f"{place}.path: not the path of a URL")
    transport = _OF.get(message.transport, Transport.UDP)
    return Endpoint(message.address, message.port, transport, message.server_name.lower(), path)


def _question(message: pb.Question, line: Line, problems: list[str]) -> Question | None:
    place = f"questions[{message.index}]"
    before = len(problems)
    if not _is_name(message.qname):
        problems.append(f"{place}.qname: not a domain name")
    if not 1 <= message.qtype <= 65535:
        problems.append(f"{place}.qtype: {message.qtype} is no type")
    if message.arm not in {arm.value for arm in Arm}:
        problems.append(f"{place}.arm: {message.arm} is unknown")
    if message.arm == pb.ARM_LISTED and not message.any_line and not line.may_ask_anything:
        problems.append(f"{place}.any_line: may not be asked from a {line} line")
    if len(problems) > before:
        return None
    return Question(message.index, message.qname.lower(), message.qtype, Arm(message.arm), message.dnssec_ok)


def check(message: pb.Assignment, line: Line) -> Assignment:
    """The assignment in `message`, for a probe on such a line.

    Raises:
        AssignmentError: With every problem found, `MAX_PROBLEMS` at most.
    """
    problems: list[str] = []
    if len(message.assignment_id) != ID_BYTES:
        problems.append(f"assignment_id: {len(message.assignment_id)} bytes, not {ID_BYTES}")
    if not IDENTIFIER.fullmatch(message.organisation):
        problems.append("organisation: not an identifier")
    resolver = _endpoint(message.resolver, "resolver", problems, handed=True)
    references = [_endpoint(message.reference, "reference", problems)]
    if message.HasField("second_reference"):
        references.append(_endpoint(message.second_reference, "second_reference", problems))
    if not 1 <= len(message.questions) <= MAX_QUESTIONS:
        problems.append(f"questions: {len(message.questions)}, not 1 to {MAX_QUESTIONS}")
    if message.spread_seconds > MAX_SPREAD_S:
        problems.append(f"spread_seconds: beyond {MAX_SPREAD_S}")
    questions = [_question(question, line, problems) for question in message.questions[:MAX_QUESTIONS]]
    if len({question.index for question in message.questions}) != len(message.questions):
        problems.append("questions: an index is given twice")
    if problems:
        raise AssignmentError(problems[:MAX_PROBLEMS])
    return Assignment(
        bytes(message.assignment_id),
        message.organisation,
        resolver,
        tuple(references),
        tuple(question for question in questions if question is not None),
        message.spread_seconds,
        message.expires_at,
    )


def parse(raw: bytes, line: Line) -> Assignment:
    """The assignment that `raw` serialises.

    Raises:
        AssignmentError: It is none, or breaks a limit.
    """
    try:
        return check(pb.Assignment.FromString(raw), line)
    except DecodeError as error:
        raise AssignmentError(["not a serialised assignment"]) from error
