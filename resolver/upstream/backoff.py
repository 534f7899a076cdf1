"""When a failing upstream is tried again."""

from __future__ import annotations

FIRST_SECONDS = 0.1
MOST_SECONDS = 10.0


class BackOff:
    """Failures in a row: the first is tried again at once, the others after times that double."""

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0

    @property
    def failing(self) -> bool:
        """The last try failed."""
        return self._failures > 0

    def allows(self, now: float) -> bool:
        """Whether a try may be made now."""
        return now >= self._until

    def failed(self, now: float) -> None:
        """A try failed."""
        self._failures += 1
        if self._failures > 1:
            self._until = now + min(MOST_SECONDS, FIRST_SECONDS * 2.0 ** min(self._failures - 2, 16))

    def succeeded(self) -> None:
        """The upstream works."""
        self._failures = 0
        self._until = 0.0
