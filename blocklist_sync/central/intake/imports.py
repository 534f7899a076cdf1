"""From source files to the entries they ask for: sorted, each once, in bounded memory.

Holds always: a line gives entries or is refused with its place; what the files say does not depend on the order of
their lines; memory does not grow with them (names go through sorted runs on disk). A line that reaches only what is
below a name (`*.name` of a zone) counts together with one on the name itself, and is refused alone, since no entry
says that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

from blocklist_sync.artifact.categories import ALWAYS_MANDATED, Category
from blocklist_sync.artifact.names import NameRefusedError, canonical
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.diff import Held
from blocklist_sync.central.entries import Kind, kind_rank
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.intake import formats
from blocklist_sync.central.intake.formats import Format, Refusal
from blocklist_sync.central.intake.formats.line import LineRefusedError, Listed, Reach
from blocklist_sync.central.runs import Runs

MAX_ORDERS = 256
"""Orders that one import may name: each becomes a proposal of its own."""
MAX_CACHED_TERMS = 4096
MAX_REASONS = 200

_REACH_OF_SCOPE = {Scope.EXACT: Reach.NAME, Scope.SUBTREE: Reach.BOTH}
_NAME, _BELOW, _BOTH = "n", "b", "t"
_MARKS = {Reach.NAME: _NAME, Reach.BELOW: _BELOW, Reach.BOTH: _BOTH}


@dataclass(frozen=True)
class Terms:
    """How names are listed where their line does not say."""

    category: Category | None = None
    order: str | None = None
    mandated: bool | None = None
    """None: as the category has it."""
    scope: Scope = Scope.SUBTREE
    form: Format | None = None
    """None: told from each file."""


@dataclass
class Counts:
    """What became of the lines."""

    names: int = 0
    """Names accepted, repetitions included."""
    entries: int = 0
    """Different entries."""
    refused: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Basis:
    """A kind but for its scope."""

    exception: bool
    category: Category
    order: Order

    def of(self, scope: Scope) -> Kind:
        return Kind(scope, self.exception, self.category, self.order)


class Wanted:
    """What the files of one source ask for; closed by whoever opened it."""

    def __init__(
        self,
        terms: Terms,
        refuse: Callable[[Refusal], None],
        runs: Runs,
        screen: Callable[[str, bool], str | None] | None = None,
    ) -> None:
        """Begins a source.

        Args:
            terms: How names are listed where their line does not say.
            refuse: Told of every line that is not taken over.
            runs: What to sort with; closed by whoever opened it.
            screen: Why a name (and, if so said, what is below it) must not be blocked; asked for every block.
        """
        self.counts = Counts()
        self._screen = screen
        self._terms = terms
        self._tell = refuse
        self._runs = runs
        self._numbers: dict[_Basis, int] = {}
        self._suffixes: dict[tuple[object, ...], str | LineRefusedError] = {}
        self._files: list[Path] = []
        self._orders: set[str] = set()

    @property
    def orders(self) -> list[Order]:
        """The orders that entries come under."""
        return sorted({basis.order for basis in self._numbers})

    def belongs(self, kind: Kind) -> bool:
        """Whether an entry in force is this source's: of its orders, and of its categories if they are given."""
        orders = {self._terms.order} if self._terms.order is not None else self._orders
        if kind.order.text not in orders:
            return False
        return self._terms.category is None or kind.category in {
            self._terms.category,
            *(basis.category for basis in self._numbers),
        }

    def read(self, path: Path, passed: Callable[[int], None] | None = None) -> None:
        """Takes every line of a file.

        Args:
            path: The file.
            passed: Told of bytes that are behind.

        Raises:
            CentralError: It cannot be read, or goes beyond its bounds.
        """
        number = len(self._files)
        self._files.append(path)
        add = self._runs.add
        for line, listed in formats.read(path, self._terms.form, self.refuse, passed):
            key = listed[1:]
            suffix = self._suffixes.get(key)
            if suffix is None:
                suffix = self._suffix(listed)
                # A file may name orders without end; what is kept of them may not.
                if len(self._suffixes) < MAX_CACHED_TERMS:
                    self._suffixes[key] = suffix
            try:
                if isinstance(suffix, LineRefusedError):
                    raise suffix
                name = canonical(listed.name)
                self._check(name, suffix, listed)
            except (LineRefusedError, NameRefusedError) as error:
                reason = str(error.reason) if isinstance(error, NameRefusedError) else str(error)
                self.refuse(Refusal(str(path), line, listed.name[: formats.SHOWN_CHARACTERS], reason))
                continue
            self.counts.names += 1
            add(f"{name}\t{suffix}\t{number}\t{line}\n" if suffix[0] == _BELOW else f"{name}\t{suffix}\n")

    def _check(self, name: str, suffix: str, listed: Listed) -> None:
        """Raises LineRefusedError where a name must not be blocked."""
        if self._screen is not None and not listed.exception:
            reason = self._screen(name, suffix[0] != _NAME)
            if reason is not None:
                raise LineRefusedError(reason)

    def refuse(self, refusal: Refusal) -> None:
        """Counts and tells a line that is not taken over."""
        self.counts.refused += 1
        reasons = self.counts.reasons
        # Some reasons quote their line.
        reason = refusal.reason if refusal.reason in reasons or len(reasons) < MAX_REASONS else "other reasons"
        reasons[reason] = reasons.get(reason, 0) + 1
        self._tell(refusal)

    def _suffix(self, listed: Listed) -> str | LineRefusedError:
        """Reach and basis as runs have them, or why there is none."""
        terms = self._terms
        category = listed.category or terms.category
        order = listed.order if listed.order is not None else terms.order
        if category is None:
            return LineRefusedError("no category, neither on the line nor for the import")
        if order is None:
            return LineRefusedError("no order, neither on the line nor for the import")
        if terms.order is not None and order != terms.order:
            return LineRefusedError("of another order than this import")
        mandated = listed.mandated if listed.mandated is not None else terms.mandated
        if mandated is None:
            mandated = category in ALWAYS_MANDATED
        elif not mandated and category in ALWAYS_MANDATED:
            return LineRefusedError(f"{category.label} is mandated for everybody, whatever the order says")
        basis = _Basis(listed.exception, category, Order(order, mandated))
        if basis not in self._numbers:
            self._orders.add(order)
            if len(self._orders) > MAX_ORDERS:
                raise CentralError(f"{self._files[-1]}: more than {MAX_ORDERS} orders")
        number = self._numbers.setdefault(basis, len(self._numbers))
        reach = listed.reach or _REACH_OF_SCOPE[terms.scope]
        return f"{_MARKS[reach]}{number}"

    def __iter__(self) -> Iterator[Held]:
        """The entries, sorted by name; read once, when every file was read."""
        bases = list(self._numbers)
        for name, lines in groupby(self._runs, lambda line: line.partition("\t")[0]):
            kinds = self._kinds(name, lines, bases)
            self.counts.entries += len(kinds)
            for kind in kinds:
                yield Held(name, kind)

    def _lifted(self, number: int, bases: Sequence[_Basis], reaches: Mapping[int, set[str]]) -> bool:
        """Whether a block of what is below a name stands beside an exception of the name itself.

        Then both are said by a subtree and that exception.
        """
        basis = bases[number]
        if basis.exception or reaches[number] != {_BELOW}:
            return False
        other = self._numbers.get(replace(basis, exception=True))
        return other is not None and bool(reaches.get(other, set()) - {_BELOW})

    def _kinds(self, name: str, lines: Iterable[str], bases: Sequence[_Basis]) -> list[Kind]:
        """The kinds that a name's lines come to."""
        reaches: dict[int, set[str]] = {}
        below: dict[int, tuple[str, str, int]] = {}
        for line in lines:
            _, suffix, *place = line[:-1].split("\t")
            number = int(suffix[1:])
            reaches.setdefault(number, set()).add(suffix[0])
            if place:
                file, at, more = below.get(number, (place[0], place[1], -1))
                below[number] = (file, at, more + 1)
        kinds = []
        for number, found in reaches.items():
            if _BOTH in found or found == {_NAME, _BELOW} or self._lifted(number, bases, reaches):
                kinds.append(bases[number].of(Scope.SUBTREE))
            elif _NAME in found:
                kinds.append(bases[number].of(Scope.EXACT))
            else:
                file, at, more = below[number]
                self.refuse(
                    Refusal(
                        str(self._files[int(file)]),
                        int(at),
                        f"*.{name}"[: formats.SHOWN_CHARACTERS],
                        "below the name but not the name itself, which no entry says"
                        + (f" (and {more} lines more)" if more else ""),
                    )
                )
        return sorted(kinds, key=kind_rank) if len(kinds) > 1 else kinds
