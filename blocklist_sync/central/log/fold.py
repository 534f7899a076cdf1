"""The list in force, folded from the approvals log: every decision's changes applied in the order of their effect.

A state is a text like the clear list: a header line, a line for each kind in the order of `entries.kind_rank`, then
`name TAB kind TAB step` sorted by name (bytewise) and kind, `step` being the decision that brought the entry.

Holds always: the same decisions give the same bytes on every machine; adding what is there and removing what is not
changes nothing; memory holds one block of each text that is merged, and no more than `FAN_IN` texts are open at once.
"""

from __future__ import annotations

import heapq
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from blocklist_sync.central.entries import Kind, kind_rank
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import rows
from blocklist_sync.central.log.approvals import Decision, Log
from blocklist_sync.central.log.changes import Reader
from blocklist_sync.central.log.proposals import check_changes
from blocklist_sync.central.log.rows import LINES_AT_ONCE, Rows, StateReader

FAN_IN = 64

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


def _changes_run(reader: Reader, numbers: Mapping[Kind, int], place: int, decision: Decision) -> Iterator[Operation]:
    final = [numbers[kind] for kind in reader.kinds]
    step = decision.index
    for name, kind, added in reader:
        yield name, final[kind], place, step, added
    _check(decision, reader)


def _check(decision: Decision, reader: Reader) -> None:
    """Read to its end, a text says which one it is; before that, nothing that came of it is kept.

    Raises:
        CentralError: It is not the one that was approved.
    """
    try:
        check_changes(decision.proposal, reader.close())
    except CentralError as error:
        raise CentralError(f"the changes of step {decision.index}: {error}") from error


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


def _onto(blocks: Iterable[Rows], operations: Iterator[Operation]) -> Iterator[Rows]:
    """A state after operations in their order; blocks in which nothing changes are passed on as they are."""
    waiting = next(operations, None)
    for block in blocks:
        end = block.names[-1]
        if waiting is None or waiting[0] > end:
            yield block
            continue
        held = dict(zip(zip(block.names, block.kinds, strict=True), block.thirds, strict=True))
        while waiting is not None and waiting[0] <= end:
            name, kind, _, step, added = waiting
            if len(held) > LINES_AT_ONCE + len(block.names):
                # Nothing that is still to come has to do with the names before this one.
                ordered = _sorted(held)
                done, behind = ordered.cut(bisect_left(ordered.names, name))
                if done.names:
                    yield done
                held = dict(zip(zip(behind.names, behind.kinds, strict=True), behind.thirds, strict=True))
            if added:
                held.setdefault((name, kind), str(step))
            else:
                held.pop((name, kind), None)
            waiting = next(operations, None)
        if held:
            yield _sorted(held)
    if waiting is not None:
        yield from rows.in_blocks(_applied(chain([waiting], operations)))


def _sorted(held: Mapping[tuple[str, int], str]) -> Rows:
    ordered = sorted(held)
    return Rows([name for name, _ in ordered], [kind for _, kind in ordered], [held[key] for key in ordered])


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

    def blocks(self) -> Iterator[Rows]:
        """Every entry in force: name, kind's number, step."""
        with ExitStack() as stack:
            blocks, first = self._begun(stack)
            runs: list[Iterator[Operation]] = []
            pending = list(enumerate(self._decisions))[first:]
            while len(pending) > FAN_IN:
                batch, pending = pending[:FAN_IN], pending[FAN_IN:]
                with ExitStack() as closing:
                    spilled = _spilled(heapq.merge(*(self._open(closing, *one) for one in batch)))
                    # The first item stands for nothing: by then everything is in the file.
                    next(spilled)
                runs.append(spilled)
            runs += [self._open(stack, *one) for one in pending]
            yield from _onto(blocks, runs[0] if len(runs) == 1 else heapq.merge(*runs))

    def _begun(self, stack: ExitStack) -> tuple[Iterator[Rows], int]:
        """What all else is applied to, the base or what the first decision brings; and how many decisions that took."""
        if self._base is not None:
            file = stack.enter_context(self._base.path.open(encoding="utf-8", newline="\n"))
            reader = StateReader(file, self._base.path)
            return reader.blocks([self._numbers[kind] for kind in reader.kinds]), 0
        if self._decisions:
            return rows.whole(self._alone(stack, self._decisions[0])), 1
        return iter(()), 0

    def _alone(self, stack: ExitStack, decision: Decision) -> Iterator[Rows]:
        """What one decision brings to an empty list: as a rule, the first one brings the greater part."""
        reader = self._reader(stack, decision)
        final = [self._numbers[kind] for kind in reader.kinds]
        step = str(decision.index)
        for lines in reader.blocks():
            come = lines if all(lines.added) else lines.coming()
            if come.names:
                yield Rows(come.names, [final[kind] for kind in come.kinds], [step] * len(come.names))
        _check(decision, reader)


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
    counts = rows.write(path, folding.kinds, folding.blocks())
    return State(Coordinates(log.length, log.head, as_of), path, tuple(folding.kinds), tuple(counts))


def continues(base: State, log: Log, as_of: int) -> bool:
    """Whether a state can be gone on from: nothing that counts now was to be applied before its end."""
    if base.at.length > log.length or base.at.as_of > as_of:
        return False
    return all(d.effect_at > base.at.as_of for d in log.decisions if d.index > base.at.length)
