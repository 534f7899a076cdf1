"""Names that releases ceased to block, kept beside the release history: whoever blocks them still is late.

    removals.tsv   a header line, then NAME TAB SERIAL TAB ADDED TAB BOUND TAB CATEGORY TAB ORDER, by serial and name

A row says that a release took out the last entry on a name, or the last one that bound everybody; entries on the names
above it are no matter of its.

Holds always: the rows of a release follow from its clear list and the one published before it, which are read once, in
order, a block at a time; writing them again changes nothing; the file is confidential, as the list is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from blocklist_sync.artifact.categories import ALWAYS_MANDATED, Category
from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.artifact.orders import check_text
from blocklist_sync.artifact.rules import Match, Rule, decide
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import difference
from blocklist_sync.central.log.rows import Rows
from lachan import durable

FORMAT = "lachan-removals 1"
MAX_ROWS = 1_000_000
"""The newest are kept."""
MAX_BYTES = 512 << 20
KEEP_SECONDS = 90 * 86_400
"""For how long a removal is of interest: unblocking takes days."""


class Removal(NamedTuple):
    """A name that a release ceased to block by an entry of its own."""

    name: str
    serial: int
    added_serial: int
    """The release that had brought the last of its entries."""
    bound: bool
    """Whether it bound everybody until then."""
    category: Category
    order: str


def binds(kind: Kind) -> bool:
    """Whether an entry of a kind is in force for everybody."""
    return kind.order.mandated or kind.category in ALWAYS_MANDATED


def _blocking(kinds: Sequence[tuple[Kind, int]], categories: Sequence[Category]) -> bool:
    rules = (Rule(kind.scope, kind.exception, False, kind.category, binds(kind), 0) for kind, _ in kinds)
    return decide((Match("", 0, rule) for rule in rules), categories) is not None


def _held(rows: Rows, kinds: Sequence[Kind]) -> dict[str, list[tuple[Kind, int]]]:
    """Rows by name: its kinds, and the serials that brought them."""
    held: dict[str, list[tuple[Kind, int]]] = {}
    for name, kind, serial in zip(*rows, strict=True):
        held.setdefault(name, []).append((kinds[kind], int(serial)))
    return held


def taken_out(before: Path, after: Path, serial: int) -> Iterator[Removal]:
    """What a clear list does not block any more that an earlier one did.

    Args:
        before: The list published before.
        after: The list of the release.
        serial: The release's.

    Raises:
        CentralError: One of them cannot be read.
    """
    with ExitStack() as stack:
        old, new = difference.reader(before, stack), difference.reader(after, stack)
        kinds = list(dict.fromkeys([*old.kinds, *new.kinds]))
        numbers = {kind: number for number, kind in enumerate(kinds)}
        pieces = [one.blocks([numbers[kind] for kind in one.kinds]) for one in (old, new)]
        for one, other in difference.paired(*pieces):
            # Nearly all of a list stays as it was.
            if (one.names, one.kinds) != (other.names, other.kinds):
                yield from _gone(_held(one, kinds), _held(other, kinds), serial)


def _gone(
    before: Mapping[str, list[tuple[Kind, int]]], after: Mapping[str, list[tuple[Kind, int]]], serial: int
) -> Iterator[Removal]:
    for name, held in before.items():
        still = after.get(name, [])
        if held == still:
            continue
        bound = _blocking(held, ()) and not _blocking(still, ())
        if bound or (_blocking(held, tuple(Category)) and not _blocking(still, tuple(Category))):
            kind, added = max(
                ((kind, added) for kind, added in held if not kind.exception),
                key=lambda one: (binds(one[0]), one[1], one[0].category, one[0].order),
            )
            yield Removal(name, serial, added, bound, kind.category, kind.order.text)


def _parsed(line: str) -> Removal:
    name, serial, added, bound, category, order = line.split("\t")
    return Removal(name, int(serial), int(added), bound == "1", Category(int(category)), check_text(order))


def read(path: Path) -> list[Removal]:
    """The rows of a file, oldest release first; none where there is no file yet.

    Raises:
        CentralError: A line is malformed.
    """
    if not path.exists():
        return []
    head, *lines = durable.read(path, MAX_BYTES).decode().split("\n")
    if head != FORMAT:
        raise CentralError(f"{path}:1: not {FORMAT!r}")
    found: list[Removal] = []
    try:
        found.extend(_parsed(line) for line in lines if line)
    except (ValueError, ArtifactError) as error:
        raise CentralError(f"{path}:{len(found) + 2}: malformed: {error}") from error
    return found


def note(path: Path, new: Sequence[Removal], oldest: int) -> None:
    """Adds a release's rows.

    Args:
        path: The file.
        new: What the release took out.
        oldest: Rows of releases before this serial go.

    Raises:
        CentralError: The file is malformed.
        FileError: It cannot be written.
    """
    if not new:
        return
    rows = {(row.serial, row.name): row for row in [*read(path), *new] if row.serial >= oldest}
    kept = [row for _, row in sorted(rows.items())][-MAX_ROWS:]
    text = "".join("\t".join(map(str, (*row[:3], int(row.bound), int(row.category), row.order))) + "\n" for row in kept)
    durable.write(path, [f"{FORMAT}\n{text}".encode()])
