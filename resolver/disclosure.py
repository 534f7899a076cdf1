"""What may leave an edge: numbers, enums, times, digests of fixed length, and the bounded identifiers that stand here.

Holds always: whatever a node tells of its work has passed `check` before it is signed; a field of text or bytes that
has no rule here is refused, and so is one that the message's own contract does not know. No rule has room for a
client's address or a name that was asked for: what is bytes is random, a hash, a key or a signature, what is text is
chosen by the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from resolver.errors import ResolverError

MAX_FAULTS = 5


class DisclosureError(ResolverError):
    """A message holds what must not leave this edge; the message names the fields, never what is in them."""


@dataclass(frozen=True)
class Octets:
    """Bytes of one of a few lengths."""

    lengths: tuple[int, ...]
    reason: str

    def holds(self, value: bytes) -> bool:
        """Whether these bytes keep the rule."""
        return len(value) in self.lengths


@dataclass(frozen=True)
class Rows:
    """Bytes that are rows of fixed length, of which there are only so many."""

    row: int
    most: int
    reason: str

    def holds(self, value: bytes) -> bool:
        """Whether these bytes keep the rule."""
        return len(value) % self.row == 0 and len(value) // self.row <= self.most


@dataclass(frozen=True)
class Enclosed:
    """A serialised message that was checked itself before it was signed."""

    message: str
    most: int
    reason: str

    def holds(self, value: bytes) -> bool:
        """Whether these bytes keep the rule."""
        return len(value) <= self.most


@dataclass(frozen=True)
class Papers:
    """A request for a certificate: a public key and who it is for, in a form of its own (PKCS 10)."""

    most: int
    reason: str

    def holds(self, value: bytes) -> bool:
        """Whether these bytes keep the rule."""
        return len(value) <= self.most


@dataclass(frozen=True)
class Text:
    """A bounded identifier."""

    pattern: re.Pattern[str]
    reason: str

    def holds(self, value: str) -> bool:
        """Whether this text keeps the rule."""
        return self.pattern.fullmatch(value) is not None


Rule = Octets | Rows | Enclosed | Papers | Text

_IDENTIFIER = re.compile(r"[a-z0-9-]{1,63}")
_OWN = Text(_IDENTIFIER, "who speaks: the organisation and the node of its own certificate")
_SIGNATURE = Octets((64,), "Ed25519, over the message beside it")
_KEY = Octets((32,), "SHA-256 of the node's own public key")
_RELEASE = Octets((32,), "SHA-256 of a release of the list, the same for everybody")
_REQUEST = Papers(4096, "PKCS 10: the node's own public key and name, made before it has served anybody")

RULES: Mapping[str, Rule] = {
    "Report.organisation": _OWN,
    "Report.node": _OWN,
    "Report.boot_epoch": Octets((16,), "random, made at the machine's boot"),
    "Report.previous_boot_epoch": Octets((16,), "random, made at the boot before"),
    "Report.previous_digest": Octets((32,), "SHA-256 of the report before this one"),
    "ListState.records_digest": _RELEASE,
    "QueryCount.profile": Text(re.compile(r"[a-z0-9_-]{1,32}"), "a profile's name, from the node's configuration"),
    "Suspension.records_digest": _RELEASE,
    "RuleCommitment.root": Octets((32,), "root over salted counts: it says nothing until some are opened"),
    "SignedReport.report": Enclosed("Report", 1 << 16, "the report, as it was signed"),
    "SignedReport.signature": _SIGNATURE,
    "SignedReport.key_id": _KEY,
    "Opening.challenge_id": Octets((16,), "the authority's own number of what it asked"),
    "Opening.organisation": _OWN,
    "Opening.node": _OWN,
    "OpenedRule.salt": Octets((16,), "random: opens one count and no other"),
    "OpenedBucket.entries": Rows(40, 256, "fingerprints of listed names with seals over their counts"),
    "OpenedBucket.path": Octets((32,), "hashes that lead to the committed root"),
    "SignedOpening.opening": Enclosed("Opening", 1 << 20, "the opening, as it was signed"),
    "SignedOpening.signature": _SIGNATURE,
    "SignedOpening.key_id": _KEY,
    "RequestEnrolmentRequest.secret": Octets((32,), "of the token that its organisation was given"),
    "RequestEnrolmentRequest.csr": _REQUEST,
    "RequestEnrolmentRequest.key": Octets((32,), "the node's own public key"),
    "RequestEnrolmentRequest.signature": _SIGNATURE,
    "CollectCertificateRequest.enrolment_id": Octets((16,), "random, given by the authority"),
    "CollectCertificateRequest.signature": _SIGNATURE,
    "RenewCertificateRequest.csr": _REQUEST,
}
"""Every field of text or bytes that a node may fill, by message and name, and why it tells nothing of a client."""

MOST: Mapping[str, int] = {
    "ProveInclusionRequest.indexes": 256,
    "SubmitReportsRequest.reports": 256,
    "Report.queries": 2000,
    "Report.blocked": 2000,
    "Report.drops": 2000,
    "Report.overrides": 256,
    "Report.suspensions": 16,
    "Opening.buckets": 257,
    "Opening.rules": 257,
    "OpenedBucket.path": 24,
}
"""How often a repeated field may stand, at most."""


def name_of(field: FieldDescriptor) -> str:
    """How `RULES` calls a field."""
    owner = field.containing_type
    return f"{owner.name if owner is not None else ''}.{field.name}"


def _faults(message: Message, place: str) -> Iterator[str]:
    if len(UnknownFieldSet(message)):
        yield f"{place}: a field that its contract does not know"
    for field, value in message.ListFields():
        where = f"{place}.{field.name}"
        if not field.is_repeated:
            yield from _fault(field, value, where)
            continue
        if len(value) > MOST.get(name_of(field), 0):
            yield f"{where}: more than {MOST.get(name_of(field), 0)}"
            continue
        for index, one in enumerate(value):
            yield from _fault(field, one, f"{where}[{index}]")


def _fault(field: FieldDescriptor, value: Any, where: str) -> Iterator[str]:
    if field.message_type is not None:
        yield from _faults(value, where)
    elif field.enum_type is not None:
        if value not in field.enum_type.values_by_number:
            yield f"{where}: unknown"
    elif field.type in {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES}:
        rule = RULES.get(name_of(field))
        if rule is None or not rule.holds(value):
            yield f"{where}: not what may be told there"


def check(message: Message) -> None:
    """Holds a message against the rules.

    Raises:
        DisclosureError: Something in it must not leave this edge.
    """
    faults = list(_faults(message, message.DESCRIPTOR.name))
    if faults:
        raise DisclosureError("; ".join(faults[:MAX_FAULTS]))
