"""The list as it was in force at an earlier moment, from the approvals log: names that are gone since are in it.

Holds always: which release was in force then, what it held and which release had brought each name follow from the
release history and the verified log, and from nothing that a later release changes; so a draw by one seed at one moment
brings the same names for ever.
"""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import fold
from blocklist_sync.central.log.approvals import Log
from blocklist_sync.central.log.folder import Checkpoint, LogFolder
from blocklist_sync.central.release.candidate import Published
from blocklist_sync.central.release.repository import Repository, delegated
from blocklist_sync.central.serving.sample import Index

HELD = 2
"""How many arranged lists are kept: each has its file on the disk, and eight bytes an entry in memory."""


def in_force(published: Sequence[Published], moment: int) -> Published | None:
    """The release in force at a moment; None before the first."""
    return max(
        (row for row in published if row.published_at <= moment),
        key=lambda row: (row.published_at, row.serial),
        default=None,
    )


def brought_by(log: Log, published: Sequence[Published], until: int) -> Mapping[int, int]:
    """Which release brought each step of the log that counts in a release.

    Args:
        log: The log.
        published: Every release.
        until: The release's serial.
    """
    rows = sorted((row for row in published if row.serial <= until), key=lambda row: row.serial)
    found = {}
    for decision in log.decisions:
        covers = (row.serial for row in rows if row.log_length >= decision.index and row.as_of >= decision.effect_at)
        found[decision.index] = next(covers, until)
    return found


class Past:
    """Earlier lists, folded when they are asked for; one thread at a time."""

    def __init__(self, repository: Repository, log: LogFolder) -> None:
        self._repository = repository
        self._log = log
        self._held: OrderedDict[int, Index] = OrderedDict()

    def index(self, row: Published, published: Sequence[Published]) -> Index:
        """A release's list, arranged for drawing; blocks.

        Args:
            row: The release.
            published: Every release.

        Raises:
            CentralError: The log cannot be used, or is not the one that the release was made of.
        """
        if row.serial not in self._held:
            self._held[row.serial] = self._arranged(row, published)
            while len(self._held) > HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(row.serial)
        return self._held[row.serial]

    def _arranged(self, row: Published, published: Sequence[Published]) -> Index:
        contents = self._repository.opened()
        if contents is None or contents.targets is None:
            raise CentralError(f"{self._repository.folder}: nothing is published here")
        whole = self._log.verified(delegated(contents.targets.signed), Checkpoint())
        log = self._log.cut(whole, row.log_length)
        with tempfile.TemporaryDirectory(prefix="lachan-past-") as folder:
            state = fold.fold(log, row.as_of, self._log.text_of, Path(folder) / "state.tsv")
            serials = brought_by(log, published, row.serial)
            dates = {one.serial: one.published_at for one in published}
            # Arranged while the file is there, and read on once its name is gone.
            return Index(state.path, row.serial, dates, serials=serials)
