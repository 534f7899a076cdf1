from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from blocklist_sync.artifact import delta
from blocklist_sync.artifact.manifest import Manifest
from blocklist_sync.edge.delta import Deltas, Fallback
from blocklist_sync.edge.errors import Failure, Reason, RefusedError, RoundError
from blocklist_sync.edge.verify import InForce, Offer
from tests.support.blocklist import entry, release

HISTORY = [release(*(entry(f"n{n}.example") for n in range(serial, 500)), serial=serial) for serial in range(1, 5)]
STEPS = [delta.encode(before, after) for before, after in itertools.pairwise(HISTORY)]
CHAIN = Manifest(1).extended(2, STEPS[0]).extended(3, STEPS[1]).extended(4, STEPS[2])
FILES = {step.name: data for step, data in zip(CHAIN.steps, STEPS, strict=True)}
OFFER = Offer(4, HISTORY[3].digest, len(HISTORY[3].data), 100, 1, False)


def fetch(name: str, length: int) -> bytes:
    assert len(FILES[name]) == length
    return FILES[name]


@pytest.fixture
def held(tmp_path: Path) -> Callable[[int], InForce]:
    def in_force(serial: int) -> InForce:
        path = tmp_path / f"{serial}.bin"
        path.write_bytes(HISTORY[serial - 1].data)
        return InForce(serial, HISTORY[serial - 1].digest, path)

    return in_force


@pytest.mark.parametrize("serial", [1, 2, 3])
def test_every_release_of_the_chain_leads_on(held: Callable[[int], InForce], serial: int) -> None:
    deltas = Deltas()
    assert deltas.records(OFFER, held(serial), CHAIN.encode, fetch) == HISTORY[3].data
    assert deltas.applied == 1
    assert set(deltas.fallbacks.values()) == {0}


def test_whatever_is_missing_or_wrong_is_counted_by_its_reason(held: Callable[[int], InForce]) -> None:
    deltas = Deltas()
    counted = dict.fromkeys(Fallback, 0)

    def falls_back(
        reason: Fallback,
        offered: Offer = OFFER,
        in_force: InForce | None = None,
        read: Callable[[], bytes | None] = CHAIN.encode,
        get: Callable[[str, int], bytes] = fetch,
    ) -> None:
        assert deltas.records(offered, in_force or held(2), read, get) is None
        counted[reason] += 1
        assert deltas.fallbacks == counted

    def never(*_: object) -> bytes:
        raise AssertionError

    falls_back(Fallback.NOTHING_HELD, in_force=InForce(), read=never, get=never)
    gone = held(1)
    assert gone.records is not None
    gone.records.unlink()
    falls_back(Fallback.NOTHING_HELD, in_force=gone, get=never)
    gone.records.write_bytes(HISTORY[1].data)
    falls_back(Fallback.NOTHING_HELD, in_force=gone, get=never)
    gone.records.write_bytes(b"damaged")
    falls_back(Fallback.NOTHING_HELD, in_force=gone, get=never)
    falls_back(Fallback.NO_MANIFEST, read=lambda: None, get=never)
    falls_back(Fallback.MALFORMED, read=lambda: b"no manifest", get=never)
    falls_back(Fallback.MALFORMED, read=Manifest(5).encode, get=never)
    falls_back(Fallback.BEYOND_MANIFEST, read=Manifest(4).encode, get=never)
    falls_back(Fallback.NO_SAVING, replace(OFFER, records_bytes=len(STEPS[1]) + len(STEPS[2])), get=never)
    falls_back(Fallback.TAMPERED, get=lambda _, length: bytes(length))
    falls_back(Fallback.TAMPERED, get=lambda name, length: fetch(name, length)[:-1])
    falls_back(Fallback.OTHER_RECORDS, replace(OFFER, records_digest=bytes(32)))

    def fails(error: Exception) -> Callable[..., bytes]:
        def raising(*_: object) -> bytes:
            raise error

        return raising

    for error in (RoundError(Failure.UNREACHABLE, "no such file"), RefusedError(Reason.OVERSIZED, "too long")):
        falls_back(Fallback.MISSING, get=fails(error))
        falls_back(Fallback.MISSING, read=fails(error), get=never)
    assert deltas.applied == 0


def test_a_signed_delta_that_does_not_fit_is_no_verdict(held: Callable[[int], InForce]) -> None:
    # Signed, but for another release than the one held under that serial.
    wrong = Manifest(3).extended(4, STEPS[0])
    deltas = Deltas()
    assert deltas.records(OFFER, held(3), wrong.encode, lambda *_: STEPS[0]) is None
    assert deltas.fallbacks[Fallback.MALFORMED] == 1
