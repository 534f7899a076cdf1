"""What a line of a source says, whatever its format."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from blocklist_sync.artifact.categories import Category


class Reach(enum.Enum):
    """What a line is about: a name, what is below it, or both."""

    NAME = "name"
    BELOW = "below"
    BOTH = "both"


class Listed(NamedTuple):
    """A name on a line, as it stands there, and what the line says of it; None where the format does not say."""

    name: str
    exception: bool = False
    reach: Reach | None = None
    category: Category | None = None
    order: str | None = None
    mandated: bool | None = None

    @property
    def plain(self) -> bool:
        """Whether the line gives a name alone, to be listed as the source as a whole is."""
        return self[2:] == (None, None, None, None)


class LineRefusedError(Exception):
    """A line lists nothing that this project can take over; the message is the reason."""


class HeaderRefusedError(LineRefusedError):
    """Without this line, none of those behind it can be understood."""


class Parser(Protocol):
    """Reads the lines of one file, in order, without their ends."""

    def parse(self, line: str) -> Sequence[Listed]:
        """What a line lists.

        Raises:
            LineRefusedError: It is not empty, no comment, and lists nothing that can be taken over.
        """

    def lost(self) -> None:
        """Says that a line could not be read."""

    def end(self) -> None:
        """Says that no line follows.

        Raises:
            LineRefusedError: Something was left open.
        """


@dataclass(frozen=True)
class EachAlone:
    """A parser of a format whose lines know nothing of one another."""

    parse: Callable[[str], Sequence[Listed]]

    def lost(self) -> None:
        """No other line is hurt."""

    def end(self) -> None:
        """Nothing can be open."""
