"""Refused lines as verbs tell them: the first ones with their place, all of them counted."""

from __future__ import annotations

from blocklist_sync.central.intake.formats import Refusal
from lachan import terminal

SHOWN = 50


class Refusals:
    """Prints the first refused lines on standard error, and keeps them for a document."""

    def __init__(self, shown: int = SHOWN) -> None:
        self.first: list[Refusal] = []
        self.count = 0
        self._shown = shown

    def __call__(self, refusal: Refusal) -> None:
        """Takes a refused line."""
        self.count += 1
        if self.count <= self._shown:
            self.first.append(refusal)
            terminal.complain(f"{refusal.file}:{refusal.line}: {refusal.reason}: {refusal.text!r}")

    def close(self) -> None:
        """Says how many more there were."""
        if self.count > self._shown:
            terminal.complain(f"… and {self.count - self._shown} more refused lines")

    def document(self) -> list[dict[str, object]]:
        """The first ones as JSON has them."""
        return [refusal._asdict() for refusal in self.first]
