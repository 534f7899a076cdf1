"""The list in force, folded from the approvals log: every decision's changes applied in the order of their effect.

A state is a text like the clear list: a header line, a line for each kind in the order of `entries.kind_rank`, then
`name TAB kind TAB step` sorted by name (bytewise) and kind, `step` being the decision that brought the entry.

Holds always: the same decisions give the same bytes on every machine; adding what is there and removing what is not
changes nothing; memory holds one block of each text that is merged, and no more than `FAN_IN` texts are open at once.
"""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from blocklist_sync.central.entries import FORMAT, Kind, kind_line, kind_rank, parse_kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import changes
from blocklist_sync.central.log.approvals import Decision, Log
from blocklist_sync.central.log.changes import Reader
from blocklist_sync.central.log.proposals import check_changes
from lachan import durable

FAN_IN = 64
LINES_AT_ONCE = 20_000

Operation = tuple[str, int, int, int, bool]
"""Name, kind (its number in the state), place in the order of effect (-1: a state), step, whether it comes."""


@dataclass(frozen=True)
class Coordinates:
    """Which state is meant: the log's first `length` steps, and what counts at `as_of` (seconds since 1970 UTC)."""

    length: int
    head: bytes
    as_of: int


@dataclass(frozen=True)
class State:
    """A folded list in a file."""

    at: Coordinates
    path: Path
    kinds: tuple[Kind, ...]
    counts: tuple[int, ...]
    """Entries of each kind."""

    @property
    def entries(self) -> int:
        """How many entries there are."""
        return sum(self.counts)


class StateReader:
    """A state or a clear list in an open file, line by line."""

    def __init__(self, file: IO[str], source: Path) -> None:
        """Reads the head.

        Raises:
            CentralError: The file begins otherwise.
        """
        self._file = file
        self._source = source
        self.kinds: list[Kind] = []
        line = file.readline(changes.MAX_LINE_BYTES)
        if line != FORMAT + "\n":
            raise CentralError(f"{source}:1: not {FORMAT!r}")
        try:
            while (line := file.readline(2 * changes.MAX_LINE_BYTES)).startswith("\t"):
                self.kinds.append(parse_kind(line[:-1]))
        except ValueError as error:
            raise CentralError(f"{source}:{len(self.kinds) + 2}: malformed: {error}") from error
        self._first = line

    def __iter__(self) -> Iterator[tuple[str, int, int]]:
        """Name, kind's number, and the third column of every entry.

        Raises:
            CentralError: A line is malformed.
        """
        try:
            if self._first:
                name, kind, third = self._first.split("\t")
                yield name, int(kind), int(third)
            for line in self._file:
                name, kind, third = line.split("\t")
                yield name, int(kind), int(third)
        except (ValueError, OSError) as error:
            raise CentralError(f"{self._source}: malformed: {error}") from error


def _state_run(reader: StateReader, numbers: Mapping[Kind, int]) -> Iterator[Operation]:
    final = [numbers[kind] for kind in reader.kinds]
    for name, kind, step in reader:
        yield name, final[kind], -1, step, True


def _changes_run(reader: Reader, numbers: Mapping[Kind, int], place: int, decision: Decision) -> Iterator[Operation]:
    final = [numbers[kind] for kind in reader.kinds]
    step = decision.index
    for name, kind, added in reader:
        yield name, final[kind], place, step, added
    try:
        # Read to its end, a text says which one it is; before that, nothing that came of it is kept.
        check_changes(decision.proposal, reader.close())
    except CentralError as error:
        raise CentralError(f"the changes of step {step}: {error}") from error


def _spilled(operations: Iterable[Operation]) -> Iterator[Operation]:
    """The same operations, from an unnamed file that is written first: what it came from can be closed."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n") as file:
        file.writelines(
            f"{name}\t{kind}\t{place}\t{step}\t{added:d}\n" for name, kind, place, step, added in operations
        )
        file.seek(0)
        yield (("", 0, 0, 0, False))
        for line in file:
            name, kind, place, step, added = line.split("\t")
            yield name, int(kind), int(place), int(step), added == "1\n"


def _applied(operations: Iterable[Operation]) -> Iterator[tuple[str, int, int]]:
    """What is in force once all operations were applied, in their order: name, kind, step."""
    current, current_kind, since = "", -1, 0
    for name, kind, _, step, added in operations:
        if kind != current_kind or name != current:
            if since:
                yield current, current_kind, since
            current, current_kind, since = name, kind, 0
        if not added:
            since = 0
        elif not since:
            since = step
    if since:
        yield current, current_kind, since


class Folding:
    """One fold: which texts are merged, and under which numbers their kinds go."""

    def __init__(self, decisions: Sequence[Decision], text_of: Callable[[Decision], Path], base: State | None) -> None:
        """Reads the head of every text.

        Args:
            decisions: What is applied, in the order of effect.
            text_of: Where a decision's changes are.
            base: A state that they are applied to; the empty list if None.

        Raises:
            CentralError: A text is missing or begins otherwise.
        """
        self._decisions = decisions
        self._text_of = text_of
        self._base = base
        kinds: set[Kind] = set(base.kinds) if base else set()
        for decision in decisions:
            with ExitStack() as stack:
                kinds.update(self._reader(stack, decision).kinds)
        self.kinds = sorted(kinds, key=kind_rank)
        self._numbers = {kind: number for number, kind in enumerate(self.kinds)}

    def _reader(self, stack: ExitStack, decision: Decision) -> Reader:
        path = self._text_of(decision)
        try:
            return Reader(stack.enter_context(path.open("rb")), str(path))
        except OSError as error:
            raise CentralError(f"{path}: {error.strerror}") from error

    def _open(self, stack: ExitStack, place: int, decision: Decision) -> Iterator[Operation]:
        return _changes_run(self._reader(stack, decision), self._numbers, place, decision)

    def entries(self) -> Iterator[tuple[str, int, int]]:
        """Every entry in force: name, kind's number, step."""
        with ExitStack() as stack:
            runs: list[Iterator[Operation]] = []
            pending = list(enumerate(self._decisions))
            while len(pending) > FAN_IN:
                batch, pending = pending[:FAN_IN], pending[FAN_IN:]
                with ExitStack() as closing:
                    spilled = _spilled(heapq.merge(*(self._open(closing, *one) for one in batch)))
                    # The first item stands for nothing: by then everything is in the file.
                    next(spilled)
                runs.append(spilled)
            runs += [self._open(stack, *one) for one in pending]
            if self._base is not None:
                file = stack.enter_context(self._base.path.open(encoding="utf-8", newline="\n"))
                runs.append(_state_run(StateReader(file, self._base.path), self._numbers))
            yield from _applied(runs[0] if len(runs) == 1 else heapq.merge(*runs))


def write_lines(path: Path, kinds: Sequence[Kind], rows: Iterable[tuple[str, int, int]]) -> list[int]:
    """Writes a state or a clear list durably, mode 0600; how many entries each kind has.

    Raises:
        FileError: It cannot be written.
    """
    counts = [0] * len(kinds)

    def blocks() -> Iterator[bytes]:
        yield ("\n".join([FORMAT, *map(kind_line, kinds)]) + "\n").encode()
        lines: list[str] = []
        for name, kind, third in rows:
            counts[kind] += 1
            lines.append(f"{name}\t{kind}\t{third}\n")
            if len(lines) == LINES_AT_ONCE:
                yield "".join(lines).encode()
                lines.clear()
        yield "".join(lines).encode()

    durable.write(path, blocks())
    return counts


def fold(log: Log, as_of: int, text_of: Callable[[Decision], Path], path: Path, base: State | None = None) -> State:
    """Folds a verified log into a state.

    Args:
        log: The log.
        as_of: The moment; what takes effect later is left out.
        text_of: Where a decision's changes are.
        path: The state's file.
        base: An earlier state of the same log to go on from, where `continues` says that it may be.

    Raises:
        CentralError: The changes are not the ones that were approved.
        FileError: The state cannot be written.
    """
    decisions = log.in_effect(as_of)
    if base is not None:
        decisions = [d for d in decisions if d.index > base.at.length or d.effect_at > base.at.as_of]
    folding = Folding(decisions, text_of, base)
    counts = write_lines(path, folding.kinds, folding.entries())
    return State(Coordinates(log.length, log.head, as_of), path, tuple(folding.kinds), tuple(counts))


def continues(base: State, log: Log, as_of: int) -> bool:
    """Whether a state can be gone on from: nothing that counts now was to be applied before its end."""
    if base.at.length > log.length or base.at.as_of > as_of:
        return False
    return all(d.effect_at > base.at.as_of for d in log.decisions if d.index > base.at.length)
