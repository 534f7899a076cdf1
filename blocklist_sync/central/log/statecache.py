"""A folded state kept from one time to the next, so that a long log is not folded from its first step each time.

    NAME.tsv   the state        NAME.json   of which log and moment it is, and its SHA-256

Holds always: what `load` gives is byte for byte what was kept, of a log and a moment that are told; whoever goes on
from it has verified that their log has that head at that length (`continued`). Without it, or where anything is wrong
with it, the log is folded from its first step: it is never an error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from blocklist_sync.central import entries as clear
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import fold
from blocklist_sync.central.log.approvals import Log
from blocklist_sync.central.log.fold import Coordinates, State
from blocklist_sync.central.log.folder import LogFolder
from lachan import durable
from lachan.errors import LachanError

MAX_NOTE_BYTES = 16 << 20


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class StateCache:
    """One state of a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_suffix(".json")

    def load(self) -> State | None:
        """The state that was kept, if it is there and whole."""
        if not (self._note.exists() and self.path.exists()):
            return None
        try:
            note = json.loads(durable.read(self._note, MAX_NOTE_BYTES))
            if note["sha256"] != _digest(self.path):
                return None
            at = Coordinates(note["length"], bytes.fromhex(note["head"]), note["as_of"])
            with self.path.open(encoding="utf-8", newline="\n") as file:
                file.readline()
                kinds = tuple(clear.parse_kind(file.readline()[:-1]) for _ in note["counts"])
            return State(at, self.path, kinds, tuple(note["counts"]))
        except (LachanError, OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, state: State) -> None:
        """Notes of which log the state is that was folded into this path.

        Raises:
            FileError: It cannot be written.
        """
        if state.path != self.path:
            raise CentralError(f"{state.path}: not the state that is kept here")
        note = {
            "length": state.at.length,
            "head": state.at.head.hex(),
            "as_of": state.at.as_of,
            "counts": state.counts,
            "sha256": _digest(self.path),
        }
        durable.write(self._note, [json.dumps(note).encode()])


def continued(caches: Iterable[StateCache], source: LogFolder, log: Log, as_of: int) -> State | None:
    """The longest state from which a fold of a verified log may go on; None where there is none.

    Args:
        caches: Where states are kept.
        source: Where the log came from.
        log: The log, verified.
        as_of: The moment that counts.
    """
    usable = [
        state
        for cache in caches
        if (state := cache.load()) is not None
        and fold.continues(state, log, as_of)
        and source.head_at(state.at.length) == state.at.head
    ]
    return max(usable, key=lambda state: (state.at.length, state.at.as_of), default=None)
