"""The one root of what the artifact refuses; every error names the place in what was read."""

from __future__ import annotations


class ArtifactError(Exception):
    """A name, a release or a policy cannot be used; the message says where and why."""


class RecordsError(ArtifactError):
    """The bytes are no release; `offset` is where that shows."""

    def __init__(self, offset: int, reason: str) -> None:
        self.offset = offset
        self.reason = reason
        super().__init__(f"records, byte {offset}: {reason}")


class ForeignCategoryError(RecordsError):
    """A record's category is none of the closed set: the release is of another system, or of a later one."""


class SnapshotError(ArtifactError):
    """The bytes are no snapshot of this format."""


class FingerprintCollisionError(ArtifactError):
    """Two names of one list share a fingerprint under this key: the builder must draw another."""


class DeltaError(ArtifactError):
    """The bytes are no delta, or one of other records; `offset` is where that shows."""

    def __init__(self, offset: int, reason: str) -> None:
        self.offset = offset
        self.reason = reason
        super().__init__(f"delta, byte {offset}: {reason}")
