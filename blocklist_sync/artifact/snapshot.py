"""The snapshot that edges map: built from a release, checked once, opened by every worker.

Holds always: the snapshot is a pure function of the release's bytes, so that two edges with one release have one
snapshot, byte for byte.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from blocklist_sync.artifact import _snapshot
from blocklist_sync.artifact._snapshot import Snapshot
from blocklist_sync.artifact.categories import ALWAYS_MANDATED, Category
from blocklist_sync.artifact.errors import SnapshotError
from blocklist_sync.artifact.records import Release

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["HEADER_BYTES", "MAX_BYTES", "Snapshot", "build", "verify"]

MAX_BYTES = 512 << 20
HEADER_BYTES = 256
DIGEST_BYTES = 32

_ALWAYS = bytes(number in ALWAYS_MANDATED for number in range(max(Category) + 1))


def build(release: Release) -> bytearray:
    """The snapshot of a release.

    Raises:
        RecordsError: The fingerprints were made to collide.
    """
    return _snapshot.assemble(
        release.data,
        release.offset,
        release.count,
        serial=release.serial,
        key_epoch=release.key.epoch,
        key=release.key.key,
        orders=release.order_table,
        mandated=bytes(order.mandated for order in release.orders),
        always=_ALWAYS,
        digest=release.digest,
    )


def verify(buffer: Buffer) -> Snapshot:
    """Opens a snapshot after hashing every byte of it and reading its order table.

    Raises:
        SnapshotError: A byte was changed, or it is no snapshot.
    """
    snapshot = Snapshot(buffer)
    with memoryview(buffer).cast("B") as view:
        digest = hashlib.sha256(view[: HEADER_BYTES - DIGEST_BYTES])
        digest.update(bytes(DIGEST_BYTES))
        digest.update(view[HEADER_BYTES:])
        if digest.digest() != view[HEADER_BYTES - DIGEST_BYTES : HEADER_BYTES]:
            raise SnapshotError("the snapshot's digest does not hold")
    # Reading the table is what checks it.
    _ = snapshot.orders
    return snapshot
