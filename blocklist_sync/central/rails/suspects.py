"""Which of many names a rail could have a word on: a few set operations for all that it has none on.

Holds always: a name that is left out is one on which every rail by name is silent; of those that are not, each rail is
asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

from blocklist_sync.artifact.names import possible_suffixes
from blocklist_sync.central.rails.rails import Rails

IDN = "xn--"


class Suspects:
    """The names that rails know, as sets."""

    def __init__(self, rails: Rails) -> None:
        self._exact = rails.protected.exact() | rails.popular.known()
        self._trees = rails.protected.trees()

    def among(self, names: Sequence[str]) -> set[str]:
        """The names that have to be looked at one by one; each of `names` is in canonical form."""
        found = possible_suffixes(names)
        found |= self._exact.intersection(names)
        # What is spelled in other letters is looked at by its letters.
        if IDN in " ".join(names):
            found |= {name for name in names if IDN in name}
        below, above = list(names), [name.partition(".")[2] for name in names]
        while below:
            if self._trees.intersection(above):
                found |= {name for name, parent in zip(below, above, strict=True) if parent in self._trees}
            more = ["." in parent for parent in above]
            below = list(compress(below, more))
            above = [parent.partition(".")[2] for parent in compress(above, more)]
        return found
