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
    """The root of what the edge's sync raises.

    Attributes:
        of_mirror: Whether another repository of the same files may do better; what was signed as it is, and this
            machine's own disk, are the same with all of them.
    """

    of_mirror = False


class RefusedError(SyncError):
    """A release must not be put in force; the one before stays."""

    def __init__(self, reason: Reason, detail: str, *, of_mirror: bool = False) -> None:
        self.reason = reason
        self.detail = detail
        self.of_mirror = of_mirror
        super().__init__(f"release refused, {reason}: {detail}")


class RoundError(SyncError):
    """A round came to nothing; the next one may."""

    def __init__(self, failure: Failure, detail: str) -> None:
        self.failure = failure
        self.detail = detail
        self.of_mirror = failure is not Failure.STORAGE
        super().__init__(f"{failure}: {detail}")
