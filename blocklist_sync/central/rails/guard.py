"""Holds what is proposed against the rails and the list in force, wherever proposals come in.

Holds always: changes that a rail refuses are refused whoever asks; those that need a second approver are refused unless
the proposal says that it overrides that rail, which makes it need two; the list is read once for each of its versions.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from pathlib import Path

from blocklist_sync.central import inforce
from blocklist_sync.central.diff import Change
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.rails import rails, screening
from blocklist_sync.central.rails.rails import Finding, RailError, Rails
from blocklist_sync.central.rails.screening import Screened
from blocklist_sync.central.rails.survey import State, Survey
from blocklist_sync.central.runs import Runs


def require(findings: Iterable[Finding], overridden: Collection[str]) -> list[Finding]:
    """The findings, where none stands against the changes.

    Args:
        findings: What the rails found.
        overridden: The rails that the proposal says it overrides.

    Raises:
        RailError: A rail refuses, or asks for a second approver and is not overridden.
    """
    found = list(findings)
    against = [*rails.refused(found), *(one for one in rails.overridable(found) if one.rail not in overridden)]
    if against:
        raise RailError(against)
    return found


class Guard:
    """The rails beside a clear list; to be asked from any thread."""

    def __init__(self, guarding: Rails, clear_list: Path) -> None:
        """Prepares to guard a list.

        Args:
            guarding: The rails.
            clear_list: `entries.tsv` of the release folder; an empty list as long as it is not there.
        """
        self._rails = guarding
        self._path = clear_list
        self._lock = threading.Lock()
        self._held: tuple[tuple[int, ...], State] | None = None

    def state(self) -> State:
        """The list in force in numbers.

        Raises:
            CentralError: It cannot be read.
        """
        with self._lock:
            try:
                stat = self._path.stat()
                version: tuple[int, ...] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            except FileNotFoundError:
                version = ()
            except OSError as error:
                raise CentralError(f"{self._path}: {error.strerror}") from error
            if self._held is None or self._held[0] != version:
                survey = Survey()
                with Runs() as runs:
                    for _ in survey.watch(inforce.from_entries(self._path, runs)):
                        pass
                self._held = (version, survey.state())
            return self._held[1]

    def screen(self, changes: Iterable[Change]) -> Screened:
        """Holds changes against the rails and the list in force.

        Args:
            changes: What comes and goes; read twice, so no iterator.

        Raises:
            CentralError: The list cannot be read.
        """
        return screening.screen(changes, self.state(), self._rails)
