"""docs/formats tells the truth: what it shows is made anew, by the code and by plain Python that follows the page."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath

from blocklist_sync.artifact import _snapshot, delta, manifest, records, snapshot
from blocklist_sync.artifact.categories import CATEGORY_OF_LABEL
from blocklist_sync.artifact.manifest import Manifest
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.records import Entry, FingerprintKey
from blocklist_sync.artifact.rules import Scope
from tests.architecture.tree import text
from tests.support import packing

PAGE = text(PurePosixPath("docs/formats/list.md"))
BLOCKS = re.findall(r"^```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FINGERPRINTS, FIRST_LIST, FIRST, SECOND_LIST, SECOND, DELTA, MANIFEST, SNAPSHOT = BLOCKS
KEY = FingerprintKey(7, bytes(range(16)))


def entries(block: str) -> list[Entry]:
    found = []
    for line in block.splitlines():
        name, scope, effect, category, mode, order = line.split("\t")
        kind = CATEGORY_OF_LABEL[category], Order(order, mode == "mandated")
        found.append(Entry(name, Scope(scope), effect == "except", *kind))
    return found


def test_fingerprints() -> None:
    rows = [line.split() for line in FINGERPRINTS.splitlines()]
    assert len(rows) == 15
    for key, value, name in rows:
        assert _snapshot.fingerprint(name, bytes.fromhex(key)) == int(value, 16)
        assert packing.fingerprint(name, bytes.fromhex(key)) == int(value, 16)


def test_records() -> None:
    for serial, listed, data in ((1, FIRST_LIST, FIRST), (2, SECOND_LIST, SECOND)):
        assert records.encode(entries(listed), serial, KEY) == bytes.fromhex(data)
        assert packing.encode(entries(listed), serial, KEY) == bytes.fromhex(data)


def test_delta() -> None:
    old, new = (records.parse(bytes.fromhex(data)) for data in (FIRST, SECOND))
    step = bytes.fromhex(DELTA)
    assert delta.encode(old, new) == step
    assert delta.apply(old, delta.parse(step)) == new
    assert packing.apply(old.data, step) == new.data


def test_manifest() -> None:
    data, step = bytes.fromhex(MANIFEST), bytes.fromhex(DELTA)
    assert Manifest(1).extended(2, step).encode() == data
    [told] = manifest.parse(data).steps
    assert (told.from_serial, told.to_serial, told.length) == (1, 2, len(step))
    assert told.name == f"{hashlib.sha256(step).hexdigest()[:32]}.delta"


def test_snapshot() -> None:
    data = bytes.fromhex(SNAPSHOT)
    assert snapshot.build(records.parse(bytes.fromhex(FIRST))) == data
    opened = snapshot.verify(data)
    assert opened.records_digest == hashlib.sha256(bytes.fromhex(FIRST)).digest()
    assert [match.rule.exception for match in opened.lookup("a.ok.bad.example")] == [False, True]


def test_the_bounds_are_those_of_the_code() -> None:
    for bound in (f"{records.MAX_RECORDS:,}", f"{records.MAX_ORDER_TABLE_BYTES >> 20} MiB", f"{manifest.MAX_STEPS}"):
        assert bound in PAGE
    assert records.header(1, KEY, 0, 0, 0, b"")[:8].decode() in PAGE
    for magic in (delta.MAGIC, manifest.MAGIC, _snapshot.MAGIC):
        assert f"`{magic.decode()}`" in PAGE
