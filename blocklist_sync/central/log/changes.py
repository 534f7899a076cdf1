r"""What a proposal would change, as bytes: a text that is written and read as a stream.

    lachan-changes 1
    \tscope\teffect\tcategory\tmode\torder      a line for each kind, in the order of `entries.kind_rank`
    name\tkind\t+                               a line for each entry: the kind's number from 0, `+` or `-`

Holds always: one set of changes has one text, and `digest` (SHA-256 of the text) is its identity: kinds are sorted,
each once and each used; lines are sorted by name (bytewise) and kind (as a number), and no entry stands twice. Whoever
reads keeps one block in memory however long the text is; a fault names its line. Names are checked for their form only:
what was a public suffix then or is one now is for whoever proposes, since what was approved stays readable for ever.
"""

from __future__ import annotations

import hashlib
import heapq
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import compress, islice, pairwise
from operator import lt
from pathlib import Path
from typing import IO, NamedTuple

from blocklist_sync.central.entries import Kind, kind_line, kind_rank, parse_kind
from blocklist_sync.central.errors import CentralError
from lachan import durable

FORMAT = "lachan-changes 1"
MAX_LINE_BYTES = 512
MAX_KINDS = 65_536
MAX_CHANGES = 1 << 24
MAX_TEXT_BYTES = 1 << 32
BLOCK_BYTES = 1 << 18
SORTED_AT_ONCE = 500_000

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_ENTRY = re.compile(rf"^(?=[^\t\n]{{1,253}}\t)({_LABEL}(?:\.{_LABEL})+)\t(0|[1-9][0-9]{{0,4}})\t([+-])\n", re.MULTILINE)
_ADDED, _REMOVED = 1, 2


class ChangesError(CentralError):
    """The text is no set of changes; `line` is where that shows, from 1."""

    def __init__(self, source: str, line: int, reason: str) -> None:
        self.line = line
        self.reason = reason
        super().__init__(f"{source}:{line}: {reason}")


class Change(NamedTuple):
    """One line: an entry that comes or goes; `kind` is the index into the text's table."""

    name: str
    kind: int
    added: bool


@dataclass(frozen=True)
class Summary:
    """A whole text: its identity, its kinds, and how many entries come and go."""

    digest: bytes
    size: int
    kinds: tuple[Kind, ...]
    added: int
    removed: int
    adding: frozenset[Kind]
    """The kinds that entries are added under."""


class Lines(NamedTuple):
    """Lines that stand together, as columns."""

    names: list[str]
    kinds: list[int]
    added: list[bool]

    def changes(self) -> list[Change]:
        """The same, line by line."""
        return list(map(Change._make, zip(*self, strict=True)))

    def coming(self) -> Lines:
        """The lines that add an entry."""
        added = self.added
        names, kinds = list(compress(self.names, added)), list(compress(self.kinds, added))
        return Lines(names, kinds, [True] * len(names))


NO_LINES = Lines([], [], [])


class Parser:
    """Reads a text block by block, as it arrives."""

    def __init__(self, source: str = "changes") -> None:
        """Begins a text that errors call `source`."""
        self.kinds: list[Kind] = []
        self.source = source
        self._hash = hashlib.sha256()
        self._size = 0
        self._lines = 0
        self._rest = b""
        self._entries = False
        self._last = ("", -1)
        self._added = 0
        self._removed = 0
        self._uses = bytearray()

    @property
    def lines(self) -> int:
        """How many lines were read."""
        return self._lines

    def feed(self, data: bytes) -> Lines:
        """Takes the next bytes; the lines that are complete with them.

        Raises:
            ChangesError: They cannot be part of such a text.
        """
        self._hash.update(data)
        self._size += len(data)
        if self._size > MAX_TEXT_BYTES:
            raise self._fault(1, f"longer than {MAX_TEXT_BYTES} bytes")
        text, _, self._rest = (self._rest + data).rpartition(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise self._fault(text.count(b"\n") + 1 + bool(text), f"longer than {MAX_LINE_BYTES} bytes")
        if not text:
            return NO_LINES
        text += b"\n"
        while not self._entries and text:
            line, _, after = text.partition(b"\n")
            if self._lines and not line.startswith(b"\t"):
                self._entries = True
                self._uses = bytearray(len(self.kinds))
                break
            self._head(line)
            text = after
        return self._changes(text) if text else NO_LINES

    def close(self) -> Summary:
        """Ends the text.

        Raises:
            ChangesError: It is not whole, or describes a kind that nothing uses.
        """
        if self._rest or not self._lines:
            raise self._fault(1, "the text ends inside a line" if self._rest else f"not {FORMAT!r}")
        uses = self._uses or bytes(len(self.kinds))
        if 0 in uses:
            raise ChangesError(self.source, uses.index(0) + 2, "a kind that no line uses")
        adding = frozenset(kind for kind, use in zip(self.kinds, uses, strict=True) if use & _ADDED)
        return Summary(self._hash.digest(), self._size, tuple(self.kinds), self._added, self._removed, adding)

    def _fault(self, ahead: int, reason: str) -> ChangesError:
        return ChangesError(self.source, self._lines + ahead, reason)

    def _head(self, line: bytes) -> None:
        """The first line, or one of a kind."""
        if not self._lines:
            if line != FORMAT.encode():
                raise self._fault(1, f"not {FORMAT!r}")
        elif len(self.kinds) == MAX_KINDS:
            raise self._fault(1, f"more than {MAX_KINDS} kinds")
        else:
            if len(line) > MAX_LINE_BYTES:
                raise self._fault(1, f"longer than {MAX_LINE_BYTES} bytes")
            try:
                kind = parse_kind(line.decode())
            except ValueError as error:
                raise self._fault(1, f"no kind: {error}") from error
            if self.kinds and not kind_rank(self.kinds[-1]) < kind_rank(kind):
                raise self._fault(1, "kinds are not sorted, or one is repeated")
            self.kinds.append(kind)
        self._lines += 1

    def _changes(self, block: bytes) -> Lines:
        """Whole lines of entries."""
        # What is not ASCII matches nothing, and is found by its line.
        text = block.decode("ascii", "replace")
        found: list[tuple[str, str, str]] = _ENTRY.findall(text)
        # Every match is one line to its end: as many as there are lines, or one of them matched nothing.
        if len(found) != block.count(b"\n"):
            lines = enumerate(text.splitlines(keepends=True), 1)
            bad = next(ahead for ahead, line in lines if not _ENTRY.fullmatch(line))
            raise self._fault(bad, "not a name in canonical form, a kind's number and + or -, between tabs")
        names = [name for name, _, _ in found]
        kinds = [int(number) for _, number, _ in found]
        added = [sign == "+" for _, _, sign in found]
        self._check(names, kinds, added)
        self._last = (names[-1], kinds[-1])
        self._lines += len(names)
        total = self._lines - 1 - len(self.kinds)
        if total > MAX_CHANGES:
            raise self._fault(0, f"more than {MAX_CHANGES} changes")
        self._added += sum(added)
        self._removed = total - self._added
        return Lines(names, kinds, added)

    def _check(self, names: list[str], kinds: list[int], added: list[bool]) -> None:
        """Whether lines stand in their order, each of a kind that there is."""
        uses = self._uses
        for kind, comes in set(zip(kinds, added, strict=True)):
            if kind >= len(uses):
                raise self._fault(kinds.index(kind) + 1, f"no kind has the number {kind}")
            uses[kind] |= _ADDED if comes else _REMOVED
        pairs = [self._last, *zip(names, kinds, strict=True)]
        if not all(map(lt, pairs, islice(pairs, 1, None))):
            wrong = next(ahead for ahead, (one, two) in enumerate(pairwise(pairs), 1) if not one < two)
            raise self._fault(wrong, "lines are not sorted, or an entry stands twice")


class Reader:
    """The changes of an open file, one after another; `summary` once all were read."""

    def __init__(self, file: IO[bytes], source: str) -> None:
        """Reads the head, so that `kinds` is known.

        Raises:
            ChangesError: The file begins otherwise.
        """
        self._file = file
        self._parser = Parser(source)
        self._ready = NO_LINES
        self._ended = False
        self.summary: Summary | None = None
        while not self._ready.names and not self._ended:
            self._read()

    @property
    def kinds(self) -> list[Kind]:
        """The kinds that `Change.kind` counts."""
        return self._parser.kinds

    def close(self) -> Summary:
        """What the whole text was; everything of it has been read.

        Raises:
            ChangesError: Something has not.
        """
        if self.summary is None:
            raise ChangesError(self._parser.source, 1, "not read to its end")
        return self.summary

    def _read(self) -> None:
        data = self._file.read(BLOCK_BYTES)
        if data:
            self._ready = self._parser.feed(data)
        else:
            self._ended = True
            self.summary = self._parser.close()

    def __iter__(self) -> Iterator[Change]:
        """The changes, once.

        Raises:
            ChangesError: A line is malformed, or the text is not whole.
        """
        for lines in self.blocks():
            yield from lines.changes()

    def blocks(self) -> Iterator[Lines]:
        """The same, many lines at a time.

        Raises:
            ChangesError: A line is malformed, or the text is not whole.
        """
        while not self._ended:
            if self._ready.names:
                yield self._ready
            self._ready = NO_LINES
            self._read()


def check(path: Path) -> Summary:
    """Reads a file of changes to its end.

    Raises:
        CentralError: It cannot be read.
        ChangesError: It is no set of changes.
    """
    try:
        with path.open("rb") as file:
            parser = Parser(str(path))
            while data := file.read(BLOCK_BYTES):
                parser.feed(data)
    except OSError as error:
        raise CentralError(f"{path}: {error.strerror}") from error
    return parser.close()


def encode(changes: Iterable[tuple[str, Kind, bool]], at_once: int = SORTED_AT_ONCE) -> Iterator[bytes]:
    """The text of a set of changes, in blocks.

    Args:
        changes: Canonical names, their kinds, and whether they are added; in any order. What is said twice counts once.
        at_once: How many are sorted in memory; more go through unnamed temporary files.

    Raises:
        CentralError: An entry is both added and removed, or there are too many.
    """
    numbers: dict[Kind, int] = {}
    with ExitStack() as stack:
        runs: list[Iterable[str]] = []
        batch: list[str] = []
        for count, (name, kind, added) in enumerate(changes, 1):
            if count > MAX_CHANGES:
                raise CentralError(f"more than {MAX_CHANGES} changes")
            batch.append(f"{name}\t{numbers.setdefault(kind, len(numbers))}\t{'+' if added else '-'}\n")
            if len(batch) == at_once:
                # Confidential, so without a name and gone with the process.
                run = stack.enter_context(tempfile.TemporaryFile("w+", encoding="ascii", newline="\n"))
                batch.sort()
                run.writelines(batch)
                run.seek(0)
                runs.append(run)
                batch = []
        if len(numbers) > MAX_KINDS:
            raise CentralError(f"more than {MAX_KINDS} kinds")
        batch.sort()
        kinds = sorted(numbers, key=kind_rank)
        final = [0] * len(kinds)
        for number, kind in enumerate(kinds):
            final[numbers[kind]] = number
        yield ("\n".join([FORMAT, *map(kind_line, kinds)]) + "\n").encode()
        yield from _numbered(heapq.merge(*runs, batch) if runs else batch, final)


def _numbered(lines: Iterable[str], final: list[int]) -> Iterator[bytes]:
    """Lines sorted by name, each name's under their final numbers and in their order, in blocks."""
    ready: list[str] = []
    current = ""
    held: dict[int, str] = {}

    def flush() -> None:
        ready.extend(f"{current}\t{number}\t{sign}" for number, sign in sorted(held.items()))
        held.clear()

    for line in lines:
        name, number, sign = line.split("\t")
        if name != current:
            flush()
            current = name
            if len(ready) > BLOCK_BYTES // 32:
                yield "".join(ready).encode("ascii")
                ready.clear()
        if held.setdefault(final[int(number)], sign) != sign:
            raise CentralError(f"{name}: both added and removed under one kind")
    flush()
    yield "".join(ready).encode("ascii")


def write(path: Path, changes: Iterable[tuple[str, Kind, bool]]) -> Summary:
    """Writes the text of a set of changes durably, mode 0600.

    Raises:
        CentralError: An entry is both added and removed, or is not in canonical form.
        FileError: The file cannot be written.
    """
    parser = Parser(str(path))

    def checked() -> Iterator[bytes]:
        # What is written is what a reader would accept, or nothing is.
        for block in encode(changes):
            parser.feed(block)
            yield block

    durable.write(path, checked())
    return parser.close()
