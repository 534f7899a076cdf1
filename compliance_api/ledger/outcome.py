"""What verifying a pack came to: every thing that is wrong, each with its place.

Holds always: a pack holds where nothing is wrong, and not otherwise; what nothing proves is said to be so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from compliance_api.ledger.accusation import FINDING
from compliance_api.ledger.pack import UNPROVEN
from lachan.ledger.policy import Believed

MAX_PROBLEMS = 1000


class Flaw(StrEnum):
    """What can be wrong with a pack."""

    FILE = "file"
    """A file is missing, was changed, or is not what it must be."""
    CHECKPOINT = "checkpoint"
    """A checkpoint lacks signatures, or one does not hold."""
    SPLIT_VIEW = "split_view"
    """Two roots of one size."""
    REWRITTEN = "rewritten"
    """A later tree does not begin with an earlier one."""
    UNPINNED = "unpinned"
    """The pack does not go through the checkpoint that was pinned."""
    DROPPED = "dropped"
    """A leaf that the pack is about is not in it."""
    NOT_INCLUDED = "not_included"
    """A leaf is not in the tree at its place."""
    EDITED = "edited"
    """The content is not what was committed to."""
    BACKDATED = "backdated"
    """A leaf claims to have been entered before it was."""
    POSTDATED = "postdated"
    """A leaf claims to have been entered after it was."""
    FORGED = "forged"
    """A message does not bear the signature of whom it is said to be of."""
    CONTRADICTED = "contradicted"
    """The finding is not what the ledger was told of it."""
    UNKNOWN_KEY = "unknown_key"
    """The pack does not open the leaf that told the ledger of a signer's key."""
    IRREGULAR = "irregular"
    """A step was taken that might not be, by this person or at this time."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where."""

    flaw: Flaw
    place: str
    detail: str

    def __str__(self) -> str:
        """A line."""
        return f"{self.place}: {self.flaw}: {self.detail}"


@dataclass
class Outcome:
    """What a pack's ledger part came to."""

    origin: str = ""
    form: str = ""
    """`full` or `redacted`; empty where the pack has a ledger part alone and is about no finding."""
    head: Believed | None = None
    opened: int = 0
    hidden: int = 0
    """Leaves that are there by their commitments alone."""
    unreported: int = 0
    """Questions of cited sessions whose probes told no answer."""
    answers: list[str] = field(default_factory=list)
    """Whose word each answer in it is."""
    problems: list[Problem] = field(default_factory=list)
    """`MAX_PROBLEMS` at most."""

    def name(self, flaw: Flaw, place: str, error: Exception | str) -> None:
        """Notes one more thing that is wrong, up to a bound."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(flaw, place, str(error).removeprefix(f"{place}: ")))

    @property
    def unproven(self) -> str:
        """What of the pack rests on nothing but the word of whoever made it; empty where that is nothing."""
        if not self.form:
            return "it is about no finding: nothing but its leaves is verified"
        files = f"{', '.join(UNPROVEN)}: sums and words of whoever made the pack"
        if self.form == "redacted":
            return f"{files}; {FINDING} of an operator's form too: what was found is proven in the full form alone"
        return files

    @property
    def holds(self) -> bool:
        """Whether all of it does."""
        return not self.problems
