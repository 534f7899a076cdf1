"""Which keys approvers may have, as the repository beside this server says.

Holds always: nothing here is believed by whoever signs: they verify the log against the root that they trust. Here it
keeps out, early, what they would refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from tuf.api.metadata import Targets

from blocklist_sync.central.log.verifier import Delegated
from blocklist_sync.central.release import repository as repositories
from blocklist_sync.central.release.repository import delegated

NOBODY = Delegated(frozenset())


def of(repository: Path) -> Callable[[], Delegated]:
    """Whose keys count by the newest top-level targets of a repository; read anew each time."""

    def read() -> Delegated:
        versions = [int(path.name.split(".")[0]) for path in (repository / "metadata").glob("[0-9]*.targets.json")]
        return _keys(repository / "metadata" / f"{max(versions)}.targets.json") if versions else NOBODY

    return read


@lru_cache(maxsize=4)
def _keys(path: Path) -> Delegated:
    """A version of the metadata never changes."""
    return delegated(repositories.read(path, Targets).signed)
