"""What one rule says, and which of several wins: the reference that the compiled core is held against.

Holds always: the answer depends on the matches and the profile alone, never on the order in which they were collected.
A plain "most specific wins" would be a bypass: a school's rule on `www.bad.example` would shadow the mandated one on
`bad.example`.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from blocklist_sync.artifact.categories import Category


class Scope(enum.Enum):
    """How far a rule reaches."""

    EXACT = "exact"
    SUBTREE = "subtree"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a listed name; `order` is the index into the release's order table."""

    scope: Scope
    exception: bool
    exception_below: bool
    category: Category
    mandated: bool
    order: int


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that a name meets: it stands on `owner`, the name itself or a suffix of `depth` labels."""

    owner: str
    depth: int
    rule: Rule


def in_force(rule: Rule, categories: Collection[Category]) -> bool:
    """Whether a rule counts for a profile that asked for `categories`."""
    return rule.mandated or rule.category in categories


def cancels(exception: Match, block: Match) -> bool:
    """Whether an exception lifts a block: same category, no deeper than it, and no more authoritative."""
    return (
        exception.rule.category is block.rule.category
        and block.depth <= exception.depth
        and (exception.rule.mandated or not block.rule.mandated)
    )


def _rank(match: Match) -> tuple[bool, int, bool, int, int]:
    rule = match.rule
    return (not rule.mandated, -match.depth, rule.scope is Scope.SUBTREE, rule.category, rule.order)


def decide(matches: Iterable[Match], categories: Collection[Category]) -> Match | None:
    """The block that a name meets, or None where it passes.

    Args:
        matches: Every rule on the name and its suffixes; an exact rule only where it stands on the name itself.
        categories: What the client's profile asks for beyond what is mandated.
    """
    # 1. What is not in force for the profile neither blocks nor excuses.
    live = [match for match in matches if in_force(match.rule, categories)]
    exceptions = [match for match in live if match.rule.exception]
    # 2. Exceptions lift blocks one by one; a block of another category, a deeper one or a mandated one may remain.
    blocks = [
        match
        for match in live
        if not match.rule.exception and not any(cancels(exception, match) for exception in exceptions)
    ]
    # 3. Mandated, then the deepest, then exact, then the lowest category, then the lowest order: one winner, always.
    return min(blocks, key=_rank, default=None)
