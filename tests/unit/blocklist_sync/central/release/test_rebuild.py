from __future__ import annotations

from pathlib import Path

import pytest

from blocklist_sync.artifact.errors import FingerprintCollisionError
from blocklist_sync.artifact.records import Encoder
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log.fold import Coordinates, State
from blocklist_sync.central.log.folder import fingerprint_key
from blocklist_sync.central.release import rebuild
from blocklist_sync.central.release.rebuild import Rules
from tests.support.clear_list import write_lines
from tests.support.registry import GAMBLING

SEED = bytes(range(32))


@pytest.fixture
def state(tmp_path: Path) -> State:
    names = [f"n{number:02}.example" for number in range(40)]
    counts = write_lines(tmp_path / "state", [GAMBLING], ((name, 0, 1) for name in names))
    return State(Coordinates(1, bytes(32), 1), tmp_path / "state", (GAMBLING,), tuple(counts))


def test_the_same_state_gives_the_same_records(state: State) -> None:
    release, draw = rebuild.encode(state, Rules(3, SEED, 1))
    assert (release.serial, release.names, draw) == (3, 40, 0)
    assert release.key == fingerprint_key(SEED, 1, 0)
    assert rebuild.encode(state, Rules(3, SEED, 1))[0].data == release.data
    assert rebuild.encode(state, Rules(3, SEED, 2))[0].key.epoch == 2


def test_a_collision_draws_the_next_key(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Encoder.release
    tried: list[bytes] = []

    def colliding(encoder: Encoder, serial: int) -> bytes:
        tried.append(encoder._key.key)
        if len(tried) < 3:
            raise FingerprintCollisionError("n01.example and n02.example")
        return real(encoder, serial)

    monkeypatch.setattr(Encoder, "release", colliding)
    release, draw = rebuild.encode(state, Rules(1, SEED, 1))
    assert (draw, len(set(tried)), release.key.key) == (2, 3, tried[2])
    monkeypatch.setattr(Encoder, "release", lambda *_: (_ for _ in ()).throw(FingerprintCollisionError("always")))
    with pytest.raises(CentralError, match="each of 16 keys"):
        rebuild.encode(state, Rules(1, SEED, 1))


def test_a_collision_with_a_protected_name_draws_the_next_key_too(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = rebuild.fingerprint
    first = fingerprint_key(SEED, 1, 0).key

    def unlucky(name: str, key: bytes) -> int:
        # Under the first key, the bank has a listed name's fingerprint.
        return real("n05.example" if (name, key) == ("bank.example", first) else name, key)

    monkeypatch.setattr(rebuild, "fingerprint", unlucky)
    _, draw = rebuild.encode(state, Rules(1, SEED, 1, ("bank.example", "other.example")))
    assert draw == 1
    # A protected name that is listed itself is no collision.
    assert rebuild.encode(state, Rules(1, SEED, 1, ("n01.example",)))[1] == 0


def test_a_state_that_is_gone_is_named(state: State) -> None:
    state.path.unlink()
    with pytest.raises(CentralError, match="state: No such file"):
        rebuild.encode(state, Rules(1, SEED, 1))
