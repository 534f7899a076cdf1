"""What the pages count."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class PageCounts:
    """What was shown and refused since the process started."""

    up: bool
    """The process runs."""
    shown: dict[tuple[str, str], int] = field(default_factory=dict)
    """By page and category."""
    refused: dict[str, int] = field(default_factory=dict)
