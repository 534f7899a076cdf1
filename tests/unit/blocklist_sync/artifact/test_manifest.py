from __future__ import annotations

from collections.abc import Callable

import pytest

from blocklist_sync.artifact import manifest
from blocklist_sync.artifact.manifest import Manifest, ManifestError, Step

CHAIN = Manifest(3).extended(4, b"first").extended(7, b"second")


def test_a_chain_leads_on_from_each_of_its_releases() -> None:
    first, second = CHAIN.steps
    assert (first.from_serial, first.to_serial, second.from_serial, second.to_serial) == (3, 4, 4, 7)
    assert (CHAIN.base, CHAIN.serial) == (3, 7)
    assert CHAIN.since(3) == (first, second)
    assert CHAIN.since(4) == (second,)
    # Not from one that was never published, from none before the chain, and from its end there is nowhere to go.
    assert [CHAIN.since(serial) for serial in (2, 5, 7, 8)] == [None] * 4
    assert first.fits(b"first")
    assert not first.fits(b"First")
    assert not first.fits(b"first ")


def test_a_manifest_comes_back() -> None:
    assert manifest.parse(CHAIN.encode()) == CHAIN
    assert manifest.parse(Manifest(9).encode()) == Manifest(9)


def test_the_oldest_step_goes_first() -> None:
    chain = Manifest(1)
    for serial in range(2, 102):
        chain = chain.extended(serial, b"%d" % serial)
    assert len(chain.steps) == manifest.MAX_STEPS == 64
    assert (chain.base, chain.serial) == (37, 101)
    assert len(chain.encode()) == manifest.MAX_BYTES
    assert manifest.parse(chain.encode()) == chain


def test_what_a_row_cannot_say_ends_the_chain() -> None:
    assert CHAIN.extended(7 + manifest.MAX_GAP, b"x").serial == 7 + manifest.MAX_GAP
    for serial, delta in ((8 + manifest.MAX_GAP, b"x"), (7, b"x"), (8, b"")):
        assert CHAIN.extended(serial, delta) == Manifest(serial)


def _put(at: int, value: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + value + data[at + len(value) :]


@pytest.mark.parametrize(
    ("change", "offset", "reason"),
    [
        (lambda data: data[:23], 23, "header"),
        (_put(0, b"l"), 0, "not a manifest"),
        (_put(8, b"\2"), 8, "format 2"),
        (_put(12, b"\x41"), 12, "65 steps"),
        (_put(12, b"\3"), 68, "3 steps announced"),
        (_put(16, bytes(8)), 16, "serial 0"),
        (_put(46, bytes(2)), 46, "a step to where it begins"),
        (_put(26, bytes(4)), 24, "of no bytes"),
        (lambda data: data + b"x", 69, "announced"),
        (lambda data: data[:-1], 67, "announced"),
    ],
)
def test_what_is_malformed_is_refused_with_its_place(
    change: Callable[[bytes], bytes], offset: int, reason: str
) -> None:
    with pytest.raises(ManifestError, match=reason) as refused:
        manifest.parse(change(CHAIN.encode()))
    assert refused.value.offset == offset


def test_a_file_is_named_by_its_digest() -> None:
    assert Step(1, 2, 3, bytes(range(16))).name == "000102030405060708090a0b0c0d0e0f.delta"
