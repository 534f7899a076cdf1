"""Bytes in, decision out: whether a signed release may be put in force.

TUF has said who signed it and that it is fresh. What is decided here, in this order: the sizes announced are within the
edge's limits; the serial is newer than the one in force; the records are what was signed, well-formed, and of this
system's categories; the policy bundle can be used. Nothing is put in force by halves.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blocklist_sync.artifact import policy, records
from blocklist_sync.artifact.errors import ArtifactError, ForeignCategoryError
from blocklist_sync.artifact.policy import PolicyBundle
from blocklist_sync.artifact.records import Release
from blocklist_sync.edge.errors import Reason, RefusedError


@dataclass(frozen=True)
class InForce:
    """What the edge filters with; serial 0 before its first list."""

    serial: int = 0
    records_digest: bytes = b""
    records: Path | None = None
    """Where its records are."""
    policy: Path | None = None
    """Where its policy bundle is."""


@dataclass(frozen=True)
class Limits:
    """What an edge accepts, in bytes."""

    records_bytes: int
    policy_bytes: int


@dataclass(frozen=True)
class Offer:
    """What the signed metadata says of a release."""

    serial: int
    records_digest: bytes
    records_bytes: int
    policy_bytes: int
    published_at: int
    urgent: bool


@dataclass(frozen=True)
class Verified:
    """A release that may be put in force."""

    offer: Offer
    release: Release
    policy: PolicyBundle


def _natural(custom: Any, key: str) -> int:
    value = custom.get(key) if isinstance(custom, dict) else None
    if type(value) is not int or not 0 < value < 1 << 63:
        raise RefusedError(Reason.MALFORMED, f"the signed {key} is {value!r:.40}")
    return value


def offer(custom: Any, digest: str | None, records_bytes: int, policy_bytes: int, published_at: Any) -> Offer:
    """The offer in the metadata of the two targets; when it was published, the snapshot says.

    Raises:
        RefusedError: The metadata says nothing usable.
    """
    try:
        raw = bytes.fromhex(digest or "")
    except ValueError:
        raw = b""
    if len(raw) != hashlib.sha256().digest_size:
        raise RefusedError(Reason.MALFORMED, "the records are signed without a SHA-256")
    moment = _natural({"moment of publication": published_at}, "moment of publication")
    return Offer(_natural(custom, "serial"), raw, records_bytes, policy_bytes, moment, custom.get("urgent") is True)


def admit(offered: Offer, in_force: InForce, limits: Limits) -> bool:
    """Whether an offer is to be downloaded; False where it is in force already.

    Raises:
        RefusedError: It is older, or too large, or bears the serial in force over other records.
    """
    if offered.serial < in_force.serial:
        raise RefusedError(Reason.OLDER, f"serial {offered.serial}, and {in_force.serial} is in force")
    if offered.serial == in_force.serial:
        if offered.records_digest != in_force.records_digest:
            raise RefusedError(Reason.TAMPERED, f"other records under serial {offered.serial}, which is in force")
        return False
    for what, size, limit in (
        ("records", offered.records_bytes, limits.records_bytes),
        ("policy bundle", offered.policy_bytes, limits.policy_bytes),
    ):
        if size > limit:
            raise RefusedError(Reason.OVERSIZED, f"a {what} of {size} bytes, more than {limit}")
    return True


def check(offered: Offer, data: bytes, bundle: bytes) -> Verified:
    """Reads every byte of an admitted release.

    Raises:
        RefusedError: It is not what was signed, malformed, or of a foreign category.
    """
    if len(data) < offered.records_bytes:
        raise RefusedError(Reason.TRUNCATED, f"{len(data)} bytes of records where {offered.records_bytes} are signed")
    if hashlib.sha256(data).digest() != offered.records_digest:
        raise RefusedError(Reason.TAMPERED, "the records are not the ones that were signed")
    try:
        release = records.parse(data)
    except ForeignCategoryError as error:
        raise RefusedError(Reason.FOREIGN_CATEGORY, str(error)) from error
    except ArtifactError as error:
        raise RefusedError(Reason.MALFORMED, str(error)) from error
    if release.serial != offered.serial:
        raise RefusedError(Reason.MALFORMED, f"records of serial {release.serial} signed as serial {offered.serial}")
    try:
        return Verified(offered, release, policy.parse(bundle))
    except policy.PolicyError as error:
        foreign = any("is no category" in message for _, message in error.problems)
        raise RefusedError(Reason.FOREIGN_CATEGORY if foreign else Reason.MALFORMED, str(error)) from error
