"""What the registry refuses."""

from __future__ import annotations

from collections.abc import Sequence

from blocklist_sync.central.errors import CentralError

MAX_VIOLATIONS = 20


class NotPermittedError(CentralError):
    """Whoever asks may not do this."""


class NotFoundError(CentralError):
    """There is nothing by that name."""


class ConflictError(CentralError):
    """It was decided or given already, and otherwise."""


class InvalidRequestError(CentralError):
    """A request breaks rules; `violations` holds field and description of each, `MAX_VIOLATIONS` at most."""

    def __init__(self, violations: Sequence[tuple[str, str]]) -> None:
        self.violations = list(violations[:MAX_VIOLATIONS])
        super().__init__("; ".join(f"{field}: {description}" for field, description in self.violations))


class BusyError(CentralError):
    """Too much is being done already; the caller tries again later."""
