"""The errors of the compliance service."""

from __future__ import annotations

from dataclasses import dataclass

from lachan.errors import LachanError

MAX_VIOLATIONS = 20


class ComplianceError(LachanError):
    """Something this service was asked to do cannot be done."""


class NotPermittedError(ComplianceError):
    """The caller is known, or not, and in either case may not do this."""


class NotFoundError(ComplianceError):
    """What was asked for is not there, or not there for this caller."""


class BusyError(ComplianceError):
    """The service cannot take this now; the caller tries again later."""


class UnavailableError(ComplianceError):
    """Something this service needs does not answer; whether it did what it was asked to is not known."""


@dataclass(frozen=True)
class Violation:
    """One field of a request that breaks a rule."""

    field: str
    description: str


class InvalidRequestError(ComplianceError):
    """A request breaks rules; `violations` holds every one found, `MAX_VIOLATIONS` at most."""

    def __init__(self, violations: list[Violation]) -> None:
        self.violations = violations[:MAX_VIOLATIONS]
        super().__init__("; ".join(f"{one.field}: {one.description}" for one in self.violations))
