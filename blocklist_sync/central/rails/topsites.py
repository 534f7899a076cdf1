"""Names that many people use, from a list that others publish: a rank and a name a line, or a name a line, best first.

Holds always: no more of the file is read than asked for; a line that holds no name is passed over and counted.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.rails.neverblock import suffixes

MAX_NAMES = 1_000_000
MAX_LINE_BYTES = 512

_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})+")


class TopSites:
    """The names of a list, and how many of them stand below each."""

    def __init__(self, names: tuple[str, ...] = (), skipped: int = 0) -> None:
        self.skipped = skipped
        self._ranks: dict[str, int] = {}
        for rank, name in enumerate(names, 1):
            self._ranks.setdefault(name, rank)
        self._below = Counter(parent for name in self._ranks for parent in suffixes(name) if parent != name)

    def __len__(self) -> int:
        return len(self._ranks)

    def known(self) -> frozenset[str]:
        """The names of the list, and those above them."""
        return frozenset({*self._ranks, *self._below})

    def rank(self, name: str) -> int | None:
        """Where a name stands, from 1."""
        return self._ranks.get(name)

    def below(self, name: str) -> int:
        """How many names of the list are below a name."""
        return self._below[name]


def load(path: Path, count: int) -> TopSites:
    """The first `count` names of a file.

    Raises:
        CentralError: It cannot be read, or holds no name.
    """
    names: list[str] = []
    skipped = 0
    try:
        with path.open("rb") as file:
            while len(names) < count and skipped < MAX_NAMES and (raw := file.readline(MAX_LINE_BYTES)):
                # `1,name` or `1 name` or `name`; a heading and what else is no name is passed over.
                words = re.split(r"[,;\s]+", raw.decode("ascii", "replace").strip().lower())
                if _NAME.fullmatch(words[-1]):
                    names.append(words[-1])
                else:
                    skipped += 1
    except OSError as error:
        raise CentralError(f"{path}: {error.strerror}") from error
    if not names:
        raise CentralError(f"{path}: no name in it")
    return TopSites(tuple(names), skipped)
