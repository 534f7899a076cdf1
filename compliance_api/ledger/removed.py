"""Names that releases took out, held against what the ledger was told of each release.

    removals.json    by serial, the names that the release took out, each with whether nothing reached it any more

Holds always: what is shown of a release is all that its leaf committed to by a digest, no name more or less.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from compliance_api.ledger import document
from lachan import canonical
from lachan.ledger.leaf import Kind

REMOVALS = "removals.json"

Names = Sequence[tuple[str, bool]]


def digest(names: Names) -> str:
    """What a leaf has of them: SHA-256."""
    return hashlib.sha256(canonical.encode({"names": [[name, free] for name, free in names]})).hexdigest()


class Removed:
    """What the opened leaves of a pack tell of releases that took names out."""

    def __init__(self) -> None:
        # By serial; the ledger is told again where more was heard.
        self._digests: dict[str, set[str]] = {}

    def learn(self, kind: Kind, content: bytes) -> None:
        """Takes in a leaf that holds; those of other kinds are passed over."""
        told = document.read(content) if kind is Kind.RELEASE else {}
        if told.get("type") == "removals":
            self._digests.setdefault(str(told.get("serial")), set()).add(str(told.get("sha256")))

    def contradicting(self, shown: bytes) -> Iterator[str]:
        """What is shown of a release and is not what the ledger was told, or is not shown although it was.

        Args:
            shown: `removals.json`; of a pack without it an empty object.
        """
        releases = document.read(shown)
        for serial, names in releases.items():
            try:
                fits = digest([(str(name), bool(free)) for name, free in names]) in self._digests.get(serial, ())
            except (TypeError, ValueError):
                fits = False
            if not fits:
                yield f"what release {serial} took out is not what an opened leaf says"
        for serial in sorted(self._digests.keys() - releases.keys()):
            yield f"what release {serial} took out is in the ledger, and is not shown"
