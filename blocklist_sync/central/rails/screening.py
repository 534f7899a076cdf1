"""A set of changes held against every rail, as it passes by.

Holds always: what is found is a function of what passed, of the list in force and of the rails; each change is looked
at once, and memory does not grow with their number. Exceptions and removals block nothing, so only what is added as a
block is held against names; removals count where the list shrinks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress, islice

from blocklist_sync.artifact.names import is_public_suffix
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.diff import Change
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.rails.neverblock import Severity
from blocklist_sync.central.rails.rails import SHOWN, Finding, Rails, RailSettings, merged
from blocklist_sync.central.rails.survey import Parents, State
from blocklist_sync.central.rails.suspects import Suspects

AT_ONCE = 20_000


@dataclass(frozen=True)
class Pending:
    """Entries that come and go by what was decided before, and that the list in force does not show yet."""

    added: int = 0
    removed: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)
    """By order, how many more go than come."""


@dataclass(frozen=True)
class Screened:
    """What was found in a set of changes; how much of the list they are is said `against` what else is pending."""

    by_name: tuple[Finding, ...]
    state: State
    settings: RailSettings
    come: Mapping[str, int]
    """Entries that come, by order."""
    go: Mapping[str, int]

    def against(self, pending: Pending) -> list[Finding]:
        """Every finding, those that refuse first; empty where nothing is to be said."""
        return merged(self.by_name, self._shares(pending), self._of_orders(pending))

    def _shares(self, pending: Pending) -> Iterable[Finding]:
        """Holds the amount of changes against the list in force; an empty list has nothing to lose."""
        total, coming, going = self.state.entries, sum(self.come.values()), sum(self.go.values())
        for rail, share, own, before, what in (
            ("change", self.settings.change, coming + going, pending.added + pending.removed, "entries come or go"),
            ("removal", self.settings.removal, going, pending.removed, "entries go"),
        ):
            count = own + before
            if share.enabled and total and own and count >= share.at_least and count * 100 > share.percent * total:
                decided = f" ({before} of them decided before)" if before else ""
                why = f"{count} {what}{decided}, more than {share.percent:g} % of the {total} in force"
                yield Finding(rail, share.severity, why, count)

    def _of_orders(self, pending: Pending) -> Iterable[Finding]:
        emptied, halved = self.settings.emptied, self.settings.halved
        for order, gone in sorted(self.go.items()):
            held = self.state.of_order.get(order, 0)
            # What somebody alone adds meanwhile excuses nothing.
            before = max(0, pending.lost.get(order, 0))
            lost = gone - self.come.get(order, 0) + before
            decided = f" ({before} of them decided before)" if before else ""
            if not held:
                continue
            if lost >= held and emptied.enabled:
                yield Finding("emptied", emptied.severity, f"all {held} entries of {order} go{decided}", gone + before)
            elif halved.enabled and lost >= halved.at_least and lost * 100 > halved.percent * held:
                why = f"{lost} of {held} entries of {order} go{decided}, more than {halved.percent:g} %"
                yield Finding("halved", halved.severity, why, lost)


class _Findings:
    """What was found so far, a finding for each rail and reason."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Severity, str], tuple[int, list[str]]] = {}

    def add(self, rail: str, severity: Severity, why: str, name: str) -> None:
        count, names = self._found.get((rail, severity, why), (0, []))
        if len(names) < SHOWN:
            names.append(name)
        self._found[rail, severity, why] = (count + 1, names)

    def done(self) -> tuple[Finding, ...]:
        return tuple(Finding(*key, count, tuple(names)) for key, (count, names) in self._found.items())


class Screening:
    """One set of changes; kinds go by number, since a first list has a million of them."""

    def __init__(self, rails: Rails, parents: Parents, kinds: Sequence[Kind]) -> None:
        """Begins a set.

        Args:
            rails: The rails.
            parents: Told of every name that is added as a block; of those in force by whoever knows them.
            kinds: What the numbers of kinds stand for.
        """
        self._rails = rails
        self._parents = parents
        self._kinds = kinds
        self._filter = Suspects(rails)
        self._found = _Findings()
        self._come: Counter[int] = Counter()
        self._go: Counter[int] = Counter()

    def come(self, names: Sequence[str], kinds: Sequence[int]) -> None:
        """Takes entries that are added, all of a name's at once."""
        self._come.update(kinds)
        if any(self._kinds[kind].exception for kind in set(kinds)):
            blocking = [not self._kinds[kind].exception for kind in kinds]
            names, kinds = list(compress(names, blocking)), list(compress(kinds, blocking))
        once = dict.fromkeys(names)
        self._parents.add_all(once)
        if suspects := self._filter.among(list(once)):
            for name, kind in zip(names, kinds, strict=True):
                if name in suspects:
                    _by_name(name, self._kinds[kind].scope is Scope.SUBTREE, self._rails, self._found)

    def go(self, kinds: Sequence[int]) -> None:
        """Takes entries that are removed: how many is all that matters."""
        self._go.update(kinds)

    def broad(self) -> dict[str, int]:
        """The names above so many listed ones that adding one with all below it is a finding; once all passed."""
        parent = self._rails.settings.parent
        return self._parents.of_more_than(parent.listed_below) if parent.enabled else {}

    def add_broad(self, name: str, below: int) -> None:
        """Takes one of `broad` that is added as a block with what is below it."""
        parent = self._rails.settings.parent
        why = f"more than {parent.listed_below} listed names are below it: it may serve many others as well"
        self._found.add("parent", parent.severity, why, f"{name} ({below})")

    def screened(self, state: State) -> Screened:
        """What was found, once everything passed; `state` is the list in force."""
        return Screened(
            self._found.done(), state, self._rails.settings, self._by_order(self._come), self._by_order(self._go)
        )

    def _by_order(self, counts: Counter[int]) -> Counter[str]:
        found: Counter[str] = Counter()
        for number, count in counts.items():
            found[self._kinds[number].order.text] += count
        return found


def _by_name(name: str, subtree: bool, rails: Rails, found: _Findings) -> None:
    """Holds a block that comes against what its name is; it is in canonical form, since whatever lists it is."""
    settings = rails.settings
    if settings.public_suffix.enabled and is_public_suffix(name):
        why = "a public suffix: everybody under it would be blocked"
        found.add("public-suffix", settings.public_suffix.severity, why, name)
    hurt = rails.protected.set_of(name, subtree)
    if hurt is not None:
        found.add(f"never-block-{hurt.id}", hurt.severity, hurt.why, name)
    if settings.confusable.enabled and (alike := rails.protected.looks_like(name)):
        why = "spelled so that people take it for a name that must never be blocked"
        found.add("confusable", settings.confusable.severity, why, f"{name} ({alike})")
    if len(rails.popular) and settings.top_sites.enabled:
        _by_use(name, subtree, rails, found)


def _by_use(name: str, subtree: bool, rails: Rails, found: _Findings) -> None:
    rail = rails.settings.top_sites
    rank = rails.popular.rank(name)
    if rank is not None:
        why = f"among the {len(rails.popular)} names that most people use"
        found.add("top-sites", rail.severity, why, f"{name} ({rank})")
    elif subtree and rails.popular.below(name) >= rail.listed_below:
        why = f"above {rail.listed_below} or more names that many people use"
        found.add("too-broad", rail.severity, why, name)


def screen(
    changes: Iterable[Change], state: State, rails: Rails, passed: Callable[[int], None] | None = None
) -> Screened:
    """Holds a set of changes against every rail.

    Args:
        changes: What comes and goes; read twice, so no iterator.
        state: The list in force in numbers (`survey.Survey`).
        rails: The rails.
        passed: Told of how many changes are behind, whenever some more are.
    """
    kinds: list[Kind] = []
    numbers: dict[Kind, int] = {}
    screening = Screening(rails, state.parents.copy(), kinds)
    going = iter(changes)
    while piece := list(islice(going, AT_ONCE)):
        come: tuple[list[str], list[int]] = ([], [])
        go: list[int] = []
        for name, kind, added in piece:
            number = numbers.setdefault(kind, len(kinds))
            if number == len(kinds):
                kinds.append(kind)
            if added:
                come[0].append(name)
                come[1].append(number)
            else:
                go.append(number)
        screening.come(*come)
        screening.go(go)
        if passed is not None:
            passed(len(piece))
    if broad := screening.broad():
        for name, kind, added in changes:
            if added and name in broad and kind.scope is Scope.SUBTREE and not kind.exception:
                screening.add_broad(name, broad[name])
    return screening.screened(state)


def check(
    changes: Iterable[Change], state: State, rails: Rails, passed: Callable[[int], None] | None = None
) -> list[Finding]:
    """The findings of `screen`, where nothing else is pending."""
    return screen(changes, state, rails, passed).against(Pending())
