"""What can go wrong between list authority and edge: a release is refused, or a round fails and is tried again."""

from __future__ import annotations

import enum

from lachan.errors import LachanError


class Reason(enum.StrEnum):
    """Why a release is refused. Each is counted, and told in the edge's reports."""

    TAMPERED = "tampered"
    TRUNCATED = "truncated"
    EXPIRED = "expired"
    OLDER = "older"
    OVERSIZED = "oversized"
    FOREIGN_CATEGORY = "foreign_category"
    MALFORMED = "malformed"


class Failure(enum.StrEnum):
    """Why a round ended without a word on any release."""

    UNREACHABLE = "unreachable"
    SLOW = "slow"
    STORAGE = "storage"


class SyncError(LachanError):
    """The root of what the edge's sync raises."""


class RefusedError(SyncError):
    """A release must not be put in force; the one before stays."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"release refused, {reason}: {detail}")


class RoundError(SyncError):
    """A round came to nothing; the next one may."""

    def __init__(self, failure: Failure, detail: str) -> None:
        self.failure = failure
        self.detail = detail
        super().__init__(f"{failure}: {detail}")
