"""What a line of a source says, whatever its format."""

from __future__ import annotations

from typing import NamedTuple


class Listed(NamedTuple):
    """A name on a line, as it stands there."""

    name: str
    exception: bool = False


class LineRefusedError(Exception):
    """A line lists nothing that this project can take over; the message is the reason."""
