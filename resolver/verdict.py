"""What follows for a name, in plain Python: the list, the operator's own names and overrides together.

Holds always: it states what `Policy.decide` does where the operator has names of their own; a test compares the two.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.rules import Match, decide
from resolver.ownnames import OwnSettings


class Way(enum.Enum):
    """What decides."""

    NOTHING = "nothing"
    LIST = "list"
    OWN = "own"
    OVERRIDE = "override"
    ALLOWLIST = "allowlist"


@dataclass(frozen=True)
class Named:
    """A name of the operator's own."""

    name: str
    subtree: bool
    word: str = ""
    """Of a block, its action; of what is let through, the reason."""

    @property
    def depth(self) -> int:
        """How many labels it has."""
        return self.name.count(".") + 1

    def reaches(self, name: str) -> bool:
        """Whether it speaks of a name."""
        return name == self.name or (self.subtree and name.endswith("." + self.name))


@dataclass(frozen=True)
class Verdict:
    """What follows, and by what."""

    way: Way
    match: Match | None = None
    """The rule of the list that blocks, or would without `own`."""
    own: Named | None = None


@dataclass(frozen=True)
class OwnNames:
    """The operator's names and overrides."""

    overrides: tuple[Named, ...] = ()
    allowed: tuple[Named, ...] = ()
    blocked: tuple[Named, ...] = ()


def own_names(own: OwnSettings, overrides: Iterable[tuple[str, str, str]]) -> OwnNames:
    """From the configuration, and name, scope and reason of each override in force."""
    return OwnNames(
        tuple(Named(name, scope == "subtree", reason) for name, scope, reason in overrides),
        tuple(Named(one.name, one.scope == "subtree", one.reason) for one in own.allow),
        tuple(Named(one.name, one.scope == "subtree", one.action) for one in own.block),
    )


def _deepest(names: Sequence[Named], name: str) -> Named | None:
    return max((one for one in names if one.reaches(name)), key=lambda one: one.depth, default=None)


def _depth(named: Named | None) -> int:
    return named.depth if named is not None else 0


def _left(matches: Iterable[Match], override: int, allow: int) -> list[Match]:
    """What is not lifted: an override lifts what stands at its name or above, the allowlist what is not mandated."""
    return [
        match
        for match in matches
        if match.rule.exception or match.depth > (override if match.rule.mandated else max(override, allow))
    ]


def judge(name: str, matches: Sequence[Match], categories: Collection[Category], own: OwnNames) -> Verdict:
    """What follows for a name.

    Args:
        name: In canonical form.
        matches: Every rule of the list on it and its suffixes.
        categories: What the client's profile asks for.
        own: The operator's names.
    """
    override, allow, block = (_deepest(names, name) for names in (own.overrides, own.allowed, own.blocked))
    won = decide(_left(matches, _depth(override), _depth(allow)), categories)
    blocks = block is not None and block.depth > max(_depth(override), _depth(allow))
    if won is not None and (won.rule.mandated or not blocks or won.depth >= _depth(block)):
        return Verdict(Way.LIST, won)
    if blocks:
        return Verdict(Way.OWN, own=block)
    lifted = decide(_left(matches, 0, _depth(allow)), categories)
    if override is not None and (_depth(block) > _depth(allow) or lifted is not None):
        return Verdict(Way.OVERRIDE, lifted, override)
    lifted = decide(matches, categories)
    if allow is not None and (block is not None or lifted is not None):
        return Verdict(Way.ALLOWLIST, lifted, allow)
    return Verdict(Way.NOTHING)
