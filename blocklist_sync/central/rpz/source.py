"""The published list of a release folder, as a stream.

Holds always: what is read is what was published, list, serial and policy bundle of one release; a candidate that nobody
signed is never made a zone of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from blocklist_sync.artifact import policy, records
from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.artifact.policy import PolicyBundle
from blocklist_sync.central import entries as clear
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release.candidate import Published, ReleaseFolder, content_digest
from blocklist_sync.central.rpz.order import Numbered
from blocklist_sync.central.rpz.tree import Above, names_above
from blocklist_sync.central.rpz.zone import MANDATED
from lachan import durable

MAX_LOOKS = 5


@dataclass(frozen=True)
class Listed:
    """A published release in the clear; its names are in the open file."""

    serial: int
    records_digest: str
    bundle: PolicyBundle
    path: Path
    file: IO[str]

    def categories(self, profile: str) -> frozenset[Category]:
        """What a profile asks for beyond what is mandated.

        Raises:
            CentralError: The bundle has no such profile.
        """
        if profile == MANDATED:
            return frozenset()
        if profile not in self.bundle.profiles:
            known = ", ".join([MANDATED, *sorted(self.bundle.profiles)])
            raise CentralError(f"there is no profile {profile!r}; there are {known}")
        return self.bundle.profiles[profile]


def _bundle(path: Path) -> PolicyBundle:
    try:
        return policy.parse(durable.read(path, policy.MAX_BYTES))
    except ArtifactError as error:
        raise CentralError(f"{path}: {error}") from error


def open_settled(folder: ReleaseFolder) -> Listed:
    """The release that was published last, while others build and publish: they are not kept waiting, nor made to fail.

    A publication takes its serial before it changes anything, and notes it when all is changed; between the two, and
    where it was interrupted there, the folder's lock says whether it is still under way.

    Raises:
        CentralError: Nothing was published, or list or policy bundle are not here any more.
        FileError: A publication is under way.
    """
    for _ in range(MAX_LOOKS):
        rows = folder.history()
        if not all(row.published_at for row in rows):
            with folder.locked():
                return open_published(folder)
        listed = open_published(folder)
        if folder.history() == rows:
            return listed
        listed.file.close()
    raise CentralError(f"{folder.folder}: changes all the time")


def open_published(folder: ReleaseFolder) -> Listed:
    """The release that was published last; nobody publishes until this returns.

    Raises:
        CentralError: Nothing was published, or list or policy bundle are not here any more.
    """
    history = folder.published()
    if not history:
        raise CentralError(f"{folder.folder}: nothing was published here yet")
    last: Published = history[-1]
    bundle = _bundle(folder.published_policy_path)
    data = durable.read(folder.published_records_path, records.MAX_BYTES)
    if content_digest(data, bundle.encode()) != last.content_digest:
        raise CentralError(
            f"{folder.folder}: list or policy bundle are not those of serial {last.serial}, which was published last"
        )
    path = folder.published_entries_path
    try:
        file = path.open(encoding="utf-8", newline="\n")
    except OSError as error:
        raise CentralError(f"{path}: {error.strerror}") from error
    # A later release takes the file's name, not its content.
    return Listed(last.serial, last.records_digest, bundle, path, file)


class EntryStream:
    """A clear list, read line by line.

    Attributes:
        kinds: What the numbers beside the names stand for, complete before the first name.
        above: Names that have an exception below them, with its category; complete after the last name.
    """

    def __init__(self, path: Path, file: IO[str]) -> None:
        """Reads the header and the kinds.

        Raises:
            CentralError: They are malformed.
        """
        self._path = path
        self._file = file
        self._line = 1
        self._first = ""
        self.above: set[Above] = set()
        kinds: list[Kind] = []
        try:
            if file.readline(clear.MAX_LINE_BYTES) != clear.FORMAT + "\n":
                raise ValueError(f"not {clear.FORMAT!r}")  # noqa: TRY301 # one road for whatever is wrong with it
            while (line := file.readline(clear.MAX_LINE_BYTES)).startswith("\t"):
                self._line += 1
                kinds.append(clear.parse_kind(line[:-1]))
            self._first = line
        except ValueError as error:
            raise self._malformed(error) from error
        self.kinds: Sequence[Kind] = kinds

    def _malformed(self, error: Exception) -> CentralError:
        return CentralError(f"{self._path}:{self._line}: malformed: {error}")

    def names(self) -> Iterator[Numbered]:
        """Every entry's name and the number of its kind.

        Raises:
            CentralError: A line is malformed.
        """
        excepting = [kind.exception for kind in self.kinds]
        line = self._first
        try:
            while line:
                self._line += 1
                name, number, _ = line.split("\t")
                kind = int(number)
                if excepting[kind]:
                    category = self.kinds[kind].category
                    self.above.update((above, category) for above in names_above([name]))
                yield name, kind
                line = self._file.readline(clear.MAX_LINE_BYTES)
        except (ValueError, IndexError) as error:
            raise self._malformed(error) from error
