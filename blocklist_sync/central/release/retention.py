"""Which of the published files may go: full records are 14 MB a release of a million, and nobody asks for old ones.

Holds always: what the list names now, and what it named before that, stays, whatever its age; so does everything that
was named until less than a while ago, since caches, mirrors and edges in the middle of a round may still fetch it, and
everything written since then. Metadata, statements and deltas are no matter of this: roots are needed for ever, the
chain of lists is what `verify` goes by, deltas end with the manifest. A roll-back is folded from the log, and needs
none of it. Whatever interrupts, nothing is missing that should be there: each file goes by one unlink.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tuf.api.metadata import Targets

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release.deltas import MANIFEST_TARGET
from blocklist_sync.central.release.repository import LIST_ROLE, POLICY_TARGET, RECORDS_TARGET, Repository
from lachan import durable

KEEP_SECONDS = 7 * 86_400.0
MIN_KEEP_SECONDS = 3600.0
"""A round of an edge ends within this."""
ALWAYS = 2
"""How many of the newest documents keep what they name, whatever their age."""
COMMITMENTS_KEEP_SECONDS = 366 * 86_400.0
"""A year of them: 32 MB a release of a million, of which the statements keep the digests for ever."""
FULL = (RECORDS_TARGET, POLICY_TARGET, MANIFEST_TARGET)


def _age(path: Path, now: float) -> float:
    """Since a file was written; younger where it was copied since, and so kept for longer."""
    return now - path.stat().st_mtime


def _kept(repository: Repository, version: int, keep: float, now: float) -> Iterator[Path]:
    """What the documents name that may still be gone by, from the newest to the last such one."""
    superseded = 0.0
    for number in range(version, 0, -1):
        path = repository.path(LIST_ROLE, number)
        if not path.exists() or (number <= version - ALWAYS and superseded > keep):
            return
        listed: Targets = repository.held(LIST_ROLE, number).signed
        for name, target in listed.targets.items():
            yield repository.target_path(name, target.hashes["sha256"])
        superseded = _age(path, now)


def _old(paths: Iterator[Path], keep: float, now: float) -> list[Path]:
    return [path for path in paths if _age(path, now) > keep]


def prune(repository: Repository, version: int, now: float, keep: float = KEEP_SECONDS) -> int:
    """Removes full targets that nobody fetches any more; the caller holds the repository locked.

    Args:
        repository: The repository.
        version: Of the list's document that is published.
        now: Seconds since 1970-01-01 UTC.
        keep: For how many seconds a file stays after the list has ceased to name it.

    Returns:
        How many files went.

    Raises:
        CentralError: A document of the list is malformed, or `keep` is too short; nothing was removed.
        FileError: A file cannot be removed.
    """
    if keep < MIN_KEEP_SECONDS:
        raise CentralError(f"what was published is kept for {MIN_KEEP_SECONDS:.0f} s at least")
    kept = set(_kept(repository, version, keep, now))
    gone: list[Path] = []
    for name in FULL:
        folder, _, file = name.rpartition("/")
        found = (path for path in (repository.targets / folder).glob(f"*.{file}") if path not in kept)
        gone += _old(found, keep, now)
    newest = sorted(repository.public.glob("*.commitments"), key=lambda path: int(path.stem))[:-ALWAYS]
    gone += _old(iter(newest), max(keep, COMMITMENTS_KEEP_SECONDS), now)
    try:
        for path in gone:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise durable.FileError(f"{path}: {error.strerror}") from error
    return len(gone)
