"""What the list's document says of a release, in a form that can be relied on.

Holds always: a document that `read` accepts names exactly the targets of a release, each by SHA-256, and says of its
records all that whoever signs or publishes has to compare; nothing else stands in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tuf.api.metadata import Metadata, Targets

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release.deltas import MANIFEST_TARGET
from blocklist_sync.central.release.repository import LIST_ROLE, POLICY_TARGET, RECORDS_TARGET

MAX_NUMBER = 1 << 62
TARGETS = {RECORDS_TARGET, POLICY_TARGET, MANIFEST_TARGET}
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NUMBERS = ("serial", "names", "records", "key_epoch", "log_length", "as_of")
_DIGESTS = ("content", "log_head")


class OfferError(CentralError):
    """A document is no release's."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{LIST_ROLE}: {reason}")


@dataclass(frozen=True)
class Rollback:
    """Whose content comes back, and what the log was then."""

    serial: int
    log_length: int
    as_of: int


@dataclass(frozen=True)
class Offer:
    """What a document says."""

    version: int
    serial: int
    names: int
    records: int
    key_epoch: int
    urgent: bool
    content: str
    log_length: int
    log_head: str
    as_of: int
    rollback: Rollback | None
    records_digest: str
    records_bytes: int
    policy_digest: str
    manifest_digest: str

    @property
    def folded_length(self) -> int:
        """How much of the log the content is folded from."""
        return self.rollback.log_length if self.rollback else self.log_length

    @property
    def folded_as_of(self) -> int:
        """The moment that the content is of."""
        return self.rollback.as_of if self.rollback else self.as_of


def _number(held: Any, name: str) -> int:
    value = held.get(name) if isinstance(held, dict) else None
    if type(value) is not int or not 0 < value < MAX_NUMBER:
        raise OfferError(f"{name} is {value!r:.40}")
    return value


def read(document: Metadata[Targets]) -> Offer:
    """What a document says of its release; its signatures are not looked at.

    Raises:
        OfferError: It is no release's.
    """
    signed = document.signed
    if signed.delegations is not None or signed.unrecognized_fields:
        raise OfferError("the document says more than a list's may")
    if signed.targets.keys() != TARGETS:
        raise OfferError("records, policy bundle and manifest, and nothing else, are expected")
    for path, target in signed.targets.items():
        if set(target.hashes) != {"sha256"} or not _DIGEST.fullmatch(target.hashes["sha256"]):
            raise OfferError(f"{path}: named by SHA-256 alone, or not at all")
    target = signed.targets[RECORDS_TARGET]
    custom: Any = target.custom
    numbers = {name: _number(custom, name) for name in _NUMBERS}
    for name in _DIGESTS:
        if not isinstance(custom.get(name), str) or not _DIGEST.fullmatch(custom[name]):
            raise OfferError(f"{name} is no digest")
    if type(custom.get("urgent")) is not bool:
        raise OfferError("urgent is neither true nor false")
    rollback = None
    if "rollback" in custom:
        rollback = Rollback(*(_number(custom["rollback"], name) for name in ("serial", "log_length", "as_of")))
    if unknown := custom.keys() - {*_NUMBERS, *_DIGESTS, "urgent", "rollback"}:
        raise OfferError(f"unknown: {', '.join(sorted(unknown))}")
    return Offer(
        version=signed.version,
        serial=numbers["serial"],
        names=numbers["names"],
        records=numbers["records"],
        key_epoch=numbers["key_epoch"],
        log_length=numbers["log_length"],
        as_of=numbers["as_of"],
        content=custom["content"],
        log_head=custom["log_head"],
        urgent=custom["urgent"],
        rollback=rollback,
        records_digest=target.hashes["sha256"],
        records_bytes=target.length,
        policy_digest=signed.targets[POLICY_TARGET].hashes["sha256"],
        manifest_digest=signed.targets[MANIFEST_TARGET].hashes["sha256"],
    )
