"""Lines that probes sit on, and what may be asked from each.

Holds always: the service draws by the same rule that the probe refuses by.
"""

from __future__ import annotations

import enum


class Line(enum.StrEnum):
    """Whose line a probe sits on; it decides what may be asked from there."""

    AUTHORITY = "authority"
    CONSUMER = "consumer"
    SCHOOL = "school"
    VOLUNTEER = "volunteer"

    @property
    def may_ask_anything(self) -> bool:
        """False where a question for abuse of children could fall back on the people whose line it is."""
        return self in {Line.AUTHORITY, Line.CONSUMER}
