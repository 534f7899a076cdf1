"""From the list to the owners of a zone: what a Response Policy Zone has to hold so that a resolver decides as an edge.

A resolver looks a name up as in any zone: the name itself, or the wildcard of the deepest name above it *that exists*
(RFC 4592, section 2.2.1). So whatever stands below a blocked name hides its wildcard from the names in between, and
from what is below itself: each such name is given its own verdict and a wildcard with the verdict for what is below it.

Holds always: for every name, an entry's or not, the first of these owners is the verdict that
`blocklist_sync/artifact/rules.py` reaches for the profile; names come once each, every name before what is below it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from blocklist_sync.artifact.categories import ALWAYS_MANDATED, Category
from blocklist_sync.artifact.rules import Match, Rule, Scope, decide, in_force
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.rpz.order import Numbered

Above = tuple[str, Category]
"""A name that has an exception somewhere below it, and the exception's category."""


@dataclass(frozen=True, slots=True)
class Owner:
    """What a resolver is told of a name, or of all names below it; without a rule, that it passes."""

    name: str
    wildcard: bool
    rule: Rule | None


@dataclass(frozen=True, slots=True)
class _Node:
    name: str
    depth: int
    reach: tuple[Match, ...]
    """Every rule that reaches below it."""
    below: Rule | None
    """What follows for a name below it that nothing else is known of."""


def names_above(names: Iterable[str]) -> Iterator[str]:
    """Every name above one of these, top labels included."""
    for name in names:
        rest = name
        while dot := rest.find(".") + 1:
            rest = rest[dot:]
            yield rest


def rule_of(kind: Kind, *, exception_below: bool) -> Rule:
    """The rule that an entry of a kind makes."""
    mandated = kind.order.mandated or kind.category in ALWAYS_MANDATED
    return Rule(kind.scope, kind.exception, exception_below, kind.category, mandated, 0)


def _won(matches: Sequence[Match], categories: Collection[Category]) -> Rule | None:
    if len(matches) == 1:
        # Nearly every name: one rule, which is in force, and nothing to weigh it against.
        return None if matches[0].rule.exception else matches[0].rule
    won = decide(matches, categories)
    return won.rule if won is not None else None


class _Tree:
    """Walks down to one name after another."""

    def __init__(self, kinds: Sequence[Kind], categories: Collection[Category], above: Collection[Above]) -> None:
        self._kinds = kinds
        self._categories = categories
        self._above = above
        self._path: list[_Node] = [_Node("", 0, (), None)]
        plain = [rule_of(kind, exception_below=False) for kind in kinds]
        self._rules = [rule if in_force(rule, categories) else None for rule in plain]

    def _in_force(self, name: str, numbers: Iterable[int]) -> list[Rule]:
        rules = []
        for number in numbers:
            rule = self._rules[number]
            if rule is None:
                continue
            if rule.scope is Scope.SUBTREE and not rule.exception and (name, rule.category) in self._above:
                rule = rule_of(self._kinds[number], exception_below=True)
            rules.append(rule)
        return rules

    def meet(self, name: str, numbers: Iterable[int]) -> Iterator[Owner]:
        """The owners that an entry's name brings, those of the names between it and the entry above it included."""
        rules = self._in_force(name, numbers)
        if not rules:
            return
        while not (self._path[-1].name == "" or name.endswith("." + self._path[-1].name)):
            self._path.pop()
        if self._path[-1].name:
            labels = name.split(".")
            for depth in range(self._path[-1].depth + 1, len(labels)):
                yield from self._enter(".".join(labels[-depth:]), depth, ())
        yield from self._enter(name, name.count(".") + 1, rules)

    def _enter(self, name: str, depth: int, rules: Iterable[Rule]) -> Iterator[Owner]:
        parent = self._path[-1]
        own = [Match(name, depth, rule) for rule in rules]
        met = (*parent.reach, *own)
        reach = tuple([match for match in met if match.rule.scope is Scope.SUBTREE])
        itself = _won(met, self._categories)
        below = itself if len(reach) == len(met) else _won(reach, self._categories)
        # Where nothing above blocks, nothing has to be lifted.
        if itself is not None or parent.below is not None:
            yield Owner(name, wildcard=False, rule=itself)
        if below is not None or parent.below is not None:
            yield Owner(name, wildcard=True, rule=below)
        self._path.append(_Node(name, depth, reach, below))


def owners(
    names: Iterable[Numbered], kinds: Sequence[Kind], categories: Collection[Category], above: Collection[Above]
) -> Iterator[Owner]:
    """What the zone of a profile has to hold.

    Args:
        names: Every entry's name and the number of its kind, in the order of the tree.
        kinds: What the numbers stand for.
        categories: What the profile asks for beyond what is mandated.
        above: Names that have an exception below them, with its category.
    """
    tree = _Tree(kinds, categories, above)
    for name, entries in groupby(names, key=itemgetter(0)):
        yield from tree.meet(name, [number for _, number in entries])
