"""The published releases, as far as the registry asks: which steps of the log each one has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from blocklist_sync.central.release.candidate import ReleaseFolder


@dataclass(frozen=True)
class Released:
    """One published release."""

    serial: int
    published_at: int
    log_length: int
    as_of: int


Releases = Callable[[], Sequence[Released]]
"""Every one of them, oldest first."""


def of(folder: ReleaseFolder) -> Releases:
    """The releases of a folder, read anew with each call."""

    def read() -> list[Released]:
        return [Released(row.serial, row.published_at, row.log_length, row.as_of) for row in folder.published()]

    return read
