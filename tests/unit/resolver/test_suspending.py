from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from blocklist_sync.artifact import policy
from blocklist_sync.edge.activate import ReleaseStore
from blocklist_sync.edge.suspension import SuspensionError
from blocklist_sync.edge.verify import InForce, Offer, Verified
from lachan.durable import FileError
from resolver.errors import ResolverError
from resolver.suspending import Suspending
from tests.support.blocklist import entry, release

NOW = 1_764_738_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Place:
    """An edge's folder of releases."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.changes = 0
        self._store = ReleaseStore(folder)
        self.digests: dict[int, bytes] = {}

    def take(self, serial: int, *names: str) -> None:
        made = release(*(entry(name) for name in names), serial=serial)
        digest = self.digests[serial] = hashlib.sha256(made.data).digest()
        offer = Offer(serial, digest, len(made.data), 1, int(NOW) - 900, urgent=False)
        before = InForce(serial - 1, self.digests[serial - 1]) if serial - 1 in self.digests else InForce()
        passing = frozenset(one.records_digest for one in self.suspending().live())
        self._store.put_in_force(Verified(offer, made, policy.default()), before, int(NOW) - 600, passing)
        self._store.prune()

    def suspending(self) -> Suspending:
        def changed() -> None:
            self.changes += 1

        made = Suspending(self.folder, changed, self.clock)
        made.recover()
        return made


def suspend(one: Suspending, **changed: Any) -> dict[str, Any]:
    asked = {"code": "technical_fault", "reason": "broke a bank", "hours": 1, "serial": None}
    answer, _ = one.handlers()["release-suspend"](asked | changed, [])
    return answer


def serial(one: Suspending) -> int:
    found = one.enforced()
    assert found is not None
    return found.serial


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.take(1, "bad.example")
    place.take(2, "bad.example", "bank.example")
    return place


def test_the_release_before_is_in_force_until_the_end(place: Place) -> None:
    one = place.suspending()
    assert serial(one) == 2
    answer = suspend(one)
    assert (answer["instead"], answer["suspension"]["serial"], answer["revision"], place.changes) == (1, 2, 1, 1)
    assert one.turned()
    found = one.enforced()
    assert found is not None
    assert (found.serial, found.activated_at) == (1, NOW)
    # Until every worker has it, there is something to tell.
    assert one.turned()
    one.settled(answer["revision"])
    assert not one.turned()
    assert one.status()["announced"] == 1
    assert one.holds(place.digests[2])
    [told] = one.within(int(NOW), int(NOW) + 300)
    assert (told.serial, told.records_digest) == (2, place.digests[2])
    assert one.status()["live"][0]["reason"] == "broke a bank"
    # After a restart too.
    assert serial(place.suspending()) == 1
    place.clock.now += 3601
    assert one.turned()
    assert serial(one) == 2
    assert not one.live()
    assert len(one.within(int(NOW), int(NOW) + 300)) == 1


def test_it_is_taken_back(place: Place) -> None:
    one = place.suspending()
    with pytest.raises(SuspensionError):
        one.handlers()["release-resume"]({}, [])
    suspend(one)
    one.handlers()["release-resume"]({}, [])
    assert (serial(one), one.revision) == (2, 2)


def test_what_comes_later_is_in_force_and_may_be_suspended_too(place: Place) -> None:
    one = place.suspending()
    suspend(one)
    place.take(3, "bad.example", "other.example")
    assert serial(one) == 3
    # The release before it is suspended: the one before that was kept.
    assert suspend(one, serial=3)["instead"] == 1
    assert serial(one) == 1


def test_without_a_release_before_it_nothing_is_suspended(tmp_path: Path) -> None:
    place = Place(tmp_path)
    one = place.suspending()
    with pytest.raises(ResolverError, match="never been a list"):
        suspend(one)
    place.take(1)
    with pytest.raises(ResolverError, match="no release before it"):
        suspend(one)
    place.take(2, "bad.example")
    with pytest.raises(ResolverError, match="lists nothing"):
        suspend(one)
    place.take(3, "bad.example", "bank.example")
    suspend(one)
    with pytest.raises(ResolverError, match="no release before it"):
        suspend(one)
    assert serial(one) == 2
    assert place.changes == 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"code": "because"}, "is no code"), ({"hours": 73}, "72 hours"), ({"serial": 1}, "serial 2 is in force")],
)
def test_what_is_refused(place: Place, wrong: dict[str, object], says: str) -> None:
    one = place.suspending()
    with pytest.raises((ResolverError, SuspensionError), match=says):
        suspend(one, **wrong)
    assert (serial(one), place.changes) == (2, 0)


def test_what_cannot_be_kept_is_not_in_force(place: Place) -> None:
    one = place.suspending()
    (place.folder / "suspensions.json").mkdir()
    with pytest.raises(FileError):
        suspend(one)
    assert (serial(one), place.changes) == (2, 0)


def test_a_damaged_file_is_put_aside(place: Place) -> None:
    suspend(place.suspending())
    (place.folder / "suspensions.json").write_bytes(b"{")
    assert serial(place.suspending()) == 2
    assert (place.folder / "suspensions.damaged").read_bytes() == b"{"
