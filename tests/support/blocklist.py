"""Small lists for tests: entries in a line each, the release and the snapshot of them."""

from __future__ import annotations

from blocklist_sync.artifact import records, snapshot
from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.records import Entry, FingerprintKey, Release
from blocklist_sync.artifact.rules import Scope

KEY = FingerprintKey(1, bytes(range(16)))
MANDATE = Order("12/QĐ", mandated=True)
OFFER = Order("34/QĐ", mandated=False)


def entry(
    name: str,
    category: Category = Category.GAMBLING,
    *,
    order: Order = MANDATE,
    scope: Scope = Scope.SUBTREE,
    exception: bool = False,
) -> Entry:
    """An entry; a mandated gambling subtree unless said otherwise."""
    return Entry(name, scope, exception, category, order)


def release(*entries: Entry, serial: int = 1, key: FingerprintKey = KEY) -> Release:
    """The release of these entries, through its bytes."""
    return records.parse(records.encode(list(entries), serial, key))


def built(*entries: Entry, serial: int = 1) -> bytes:
    """The snapshot's bytes of these entries."""
    return bytes(snapshot.build(release(*entries, serial=serial)))
