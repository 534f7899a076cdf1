"""What carries questions over one connection, whichever protocol it speaks: see framed.py, http2.py and http1.py."""

from __future__ import annotations

from typing import Protocol

from resolver.errors import ResolverError
from resolver.upstream.question import Question

Answers = list[tuple[Question, bytes | None]]
"""Questions that have come to their end, each with its answer, or None where there will be none."""


class BrokenError(ResolverError):
    """The upstream does not keep to its protocol; the connection cannot be used any more."""

    def __init__(self, kind: str, reason: str) -> None:
        """`kind` is one of a closed set, for metrics."""
        super().__init__(reason)
        self.kind = kind


class Codec(Protocol):
    """One connection without its socket."""

    capacity: int
    """Questions at once, at most."""
    problem: str
    """Why the last question that was not answered was not; empty where there has been none."""
    returned: list[Question]
    """What the upstream has said that it did not look at: to be asked elsewhere, and taken out by whoever does."""

    @property
    def room(self) -> int:
        """How many more questions may be asked now."""

    @property
    def ended(self) -> bool:
        """No more may be asked, ever: to be closed when nothing waits."""

    @property
    def waiting(self) -> tuple[Question, ...]:
        """What is not answered yet, the oldest first."""

    def __len__(self) -> int:
        """How many wait."""

    def ask(self, question: Question) -> None:
        """Asks; there must be room.

        Raises:
            BrokenError: The connection cannot carry it, nor anything.
        """

    def forget(self, question: Question) -> None:
        """Nobody waits for a question any more."""

    def receive(self, data: bytes, found: Answers) -> None:
        """Adds what these bytes answer.

        Raises:
            BrokenError: They are not of this protocol, or beyond its bounds; what they answered before is there.
        """

    def take(self) -> bytes:
        """What is to be sent."""
