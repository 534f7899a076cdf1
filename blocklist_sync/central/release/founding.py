"""Founds a repository: puts the first root and top-level targets where registry, builders and signers find them.

Holds always: a repository is founded once, with documents signed to their thresholds; the root comes last, and with it
the repository is founded, whatever interrupts.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tuf.api.metadata import Root, Targets

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release.ceremony import lacking_root
from blocklist_sync.central.release.publish import Documents
from blocklist_sync.central.release.repository import Repository, missing
from lachan import durable


def found(repository: Path, documents: Documents, now: int) -> None:
    """Puts the first root and top-level targets into a repository, where registry, builders and signers find them.

    Edges read nothing there before the first release.

    Args:
        repository: The folder of static files, new.
        documents: The two, signed.
        now: Seconds since 1970-01-01 UTC.

    Raises:
        CentralError: A threshold is not reached, or the repository has a root already.
        FileError: Something cannot be written.
    """
    root, targets = documents.root, documents.targets
    if root is None or targets is None or documents.listed is not None:
        raise CentralError("a repository is founded with a root and top-level targets, and nothing else")
    repo = Repository(repository)
    durable.make_folder(repo.metadata, 0o755)
    with durable.lock(repository):
        if repo.opened() is not None:
            raise CentralError(f"{repository}: was founded already")
        lacks = [*lacking_root(root, None), *filter(None, [missing(root.signed, Targets.type, targets)])]
        if lacks:
            raise CentralError("nothing was founded:\n  " + "\n  ".join(lacks))
        for role, document in ((Root.type, root), (Targets.type, targets)):
            if document.signed.version != 1 or document.signed.is_expired(datetime.fromtimestamp(now, UTC)):
                raise CentralError(f"{role}: a first version is expected that has not expired")
        # The root comes last: with it, the repository is founded.
        repo.write(Targets.type, targets)
        repo.write(Root.type, root)
