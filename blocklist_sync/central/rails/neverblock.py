"""Names that must not be blocked, in sets with a reason each.

Holds always: a block of a protected name, of a name above it that reaches down to it, or of anything in a protected
tree is found, whatever its spelling; names are compared in canonical form.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from blocklist_sync.artifact.names import NameRefusedError, Reason, canonical
from blocklist_sync.central.rails.confusables import skeleton
from lachan.config import Settings

MAX_NAMES = 20_000


class Severity(enum.StrEnum):
    """What a finding asks for."""

    REFUSE = "refuse"
    SECOND_APPROVER = "second-approver"
    REVIEW = "review"
    """Nothing but to be looked at by those who decide."""


def _protectable(name: str) -> str:
    """A name as lists carry it, or a public suffix: `gov.vn` is one."""
    try:
        return canonical(name)
    except NameRefusedError as error:
        if error.reason is Reason.PUBLIC_SUFFIX and name == name.lower() and name.isascii():
            return name
        raise ValueError(str(error)) from error


Name = Annotated[str, AfterValidator(_protectable)]


class NeverBlock(Settings):
    """Names that must not be blocked, and why."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,40}[a-z0-9])?$")]
    why: Annotated[str, Field(min_length=1, max_length=300)]
    severity: Severity = Severity.REFUSE
    trees: Annotated[tuple[Name, ...], Field(max_length=MAX_NAMES)] = ()
    """Protected with everything below them."""
    names: Annotated[tuple[Name, ...], Field(max_length=MAX_NAMES)] = ()
    """Protected themselves; what is below them may be listed."""


def suffixes(name: str) -> Iterator[str]:
    """A name and what is above it, down to two labels."""
    yield name
    while name.count(".") > 1:
        name = name.partition(".")[2]
        yield name


class Protected:
    """Sets of names, arranged for looking up; of several that hold a name, the first counts."""

    def __init__(self, sets: Sequence[NeverBlock]) -> None:
        self._trees: dict[str, NeverBlock] = {}
        self._names: dict[str, NeverBlock] = {}
        self._above: dict[str, NeverBlock] = {}
        self._alike: dict[str, str] = {}
        for one in sets:
            for name in one.trees:
                self._trees.setdefault(name, one)
            for name in one.names:
                self._names.setdefault(name, one)
            for name in (*one.trees, *one.names):
                self._alike.setdefault(skeleton(name), name)
                for parent in suffixes(name):
                    self._above.setdefault(parent, one)

    def set_of(self, name: str, subtree: bool) -> NeverBlock | None:
        """The set that a block of `name`, and of what is below it if `subtree`, would hurt."""
        found = self._names.get(name) or (self._above.get(name) if subtree else None)
        if found is not None:
            return found
        return next((self._trees[suffix] for suffix in suffixes(name) if suffix in self._trees), None)

    def exact(self) -> frozenset[str]:
        """Every name that a set could be found by, if it were looked up itself."""
        return frozenset({*self._names, *self._above, *self._trees})

    def trees(self) -> frozenset[str]:
        """The names that are protected with everything below them."""
        return frozenset(self._trees)

    def looks_like(self, name: str) -> str | None:
        """The protected name that a name, or one above it, is easily taken for without being it."""
        if "xn--" not in name:
            return None
        for suffix in suffixes(name):
            if "xn--" in suffix:
                alike = self._alike.get(skeleton(suffix))
                if alike is not None and alike != suffix:
                    return alike
        return None
