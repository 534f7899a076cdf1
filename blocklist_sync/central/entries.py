"""The list in the clear, as the list authority keeps it. Confidential: it is an index of harmful sites.

A text file: a header line, a line for each kind of entry (scope, exception, category, order, mandate), then one line
for each name: name, kind, and the serial of the release that brought it; sorted, tab-separated.

Holds always: one list has one text; every line is checked when it is read, and an error names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from blocklist_sync.artifact.categories import CATEGORY_OF_LABEL, Category
from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.artifact.orders import Order, check_text
from blocklist_sync.artifact.records import Entry
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.errors import CentralError
from lachan import durable

FORMAT = "lachan-entries 1"
MAX_LINE_BYTES = 1024

_CHUNK_NAMES = 50_000
_MODES = {"mandated": True, "profile-only": False}
_EFFECTS = {"block": False, "except": True}


class Kind(NamedTuple):
    """What entries have in common but for the name."""

    scope: Scope
    exception: bool
    category: Category
    order: Order


def kind_rank(kind: Kind) -> tuple[Category, Order, bool, str]:
    """Where a kind stands among kinds: the one order in which files number them."""
    return kind.category, kind.order, kind.exception, kind.scope.value


def kind_line(kind: Kind) -> str:
    """The line that describes a kind, without its end; `parse_kind` reads it."""
    effect = "except" if kind.exception else "block"
    mode = "mandated" if kind.order.mandated else "profile-only"
    return f"\t{kind.scope.value}\t{effect}\t{kind.category.label}\t{mode}\t{kind.order.text}"


class Entries:
    """The entries of a list, by kind and name, each with the serial that brought it."""

    def __init__(self) -> None:
        self.kinds: dict[Kind, dict[str, int]] = {}

    def __len__(self) -> int:
        return sum(map(len, self.kinds.values()))

    def add(self, kind: Kind, names: Iterable[str], serial: int) -> None:
        """Adds names of a kind, dated `serial` unless they stood there already."""
        held = self.kinds.setdefault(kind, {})
        for name in names:
            held.setdefault(name, serial)

    def date_from(self, earlier: Entries) -> None:
        """Gives every entry that stood in an earlier list the serial it had there."""
        for kind, names in self.kinds.items():
            known = earlier.kinds.get(kind)
            if known:
                for name in names.keys() & known.keys():
                    names[name] = known[name]

    def flat(self) -> list[Entry]:
        """Every entry, in one list."""
        return [Entry(name, *kind) for kind, names in self.kinds.items() for name in names]

    def by_category(self) -> Mapping[Category, int]:
        """How many entries each category has."""
        counts: dict[Category, int] = {}
        for kind, names in self.kinds.items():
            counts[kind.category] = counts.get(kind.category, 0) + len(names)
        return dict(sorted(counts.items()))


def _encode(entries: Entries) -> Iterator[bytes]:
    kinds = sorted((kind for kind, names in entries.kinds.items() if names), key=kind_rank)
    yield ("\n".join([FORMAT, *map(kind_line, kinds)]) + "\n").encode()
    for number, kind in enumerate(kinds):
        rows = sorted(entries.kinds[kind].items())
        for at in range(0, len(rows), _CHUNK_NAMES):
            yield "".join([f"{name}\t{number}\t{serial}\n" for name, serial in rows[at : at + _CHUNK_NAMES]]).encode()


def write(path: Path, entries: Entries) -> None:
    """Writes the clear list durably, mode 0600.

    Raises:
        FileError: It cannot be written.
    """
    durable.write(path, _encode(entries))


def parse_kind(line: str) -> Kind:
    """The kind that a line of the file describes.

    Raises:
        ValueError: It describes none.
    """
    _, scope, effect, category, mode, order = line.split("\t")
    try:
        return Kind(
            Scope(scope),
            _EFFECTS[effect],
            CATEGORY_OF_LABEL[category],
            Order(check_text(order), mandated=_MODES[mode]),
        )
    except (KeyError, ArtifactError) as error:
        raise ValueError(str(error)) from error


def _check_header(line: str) -> None:
    if line != FORMAT + "\n":
        raise ValueError(f"not {FORMAT!r}")


def read(path: Path) -> Entries:
    """The clear list in a file.

    Raises:
        CentralError: It cannot be read, or a line of it is malformed.
    """
    entries = Entries()
    kinds: list[dict[str, int]] = []
    number = 1
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            _check_header(file.readline(MAX_LINE_BYTES))
            # The file is this project's own, 0600; its lines are bounded by what wrote them.
            for number, line in enumerate(file, 2):  # noqa: B007  the errors below name it
                if line[0] == "\t":
                    kinds.append(entries.kinds.setdefault(parse_kind(line[:-1]), {}))
                else:
                    name, kind, serial = line.split("\t")
                    kinds[int(kind)][name] = int(serial)
    except OSError as error:
        raise CentralError(f"{path}: {error.strerror}") from error
    except (ValueError, IndexError) as error:
        raise CentralError(f"{path}:{number}: malformed: {error}") from error
    return entries
