from __future__ import annotations

from pathlib import Path

import pytest
from tuf.api.metadata import TargetFile

from blocklist_sync.artifact import delta
from blocklist_sync.artifact.manifest import Manifest
from blocklist_sync.artifact.records import FingerprintKey
from blocklist_sync.central.release import deltas
from tests.support.blocklist import KEY, entry, release
from tests.support.list_authority import ListAuthority

MANY = [entry(f"n{n}.example") for n in range(500)]


@pytest.fixture
def authority(tmp_path: Path) -> ListAuthority:
    return ListAuthority(tmp_path / "authority")


def listed(authority: ListAuthority) -> dict[str, TargetFile]:
    return authority.listed().targets


def files(authority: ListAuthority) -> set[str]:
    return {path.name for path in (authority.repository / "targets" / "list").glob("*.delta")}


def test_each_release_adds_a_step(authority: ListAuthority) -> None:
    names = [f"n{n}.example" for n in range(500)]
    for serial in range(1, 5):
        authority.publish(*names[serial:])
    chain = deltas.after(authority.repository / "targets", listed(authority), release(*MANY, serial=9))
    assert chain.held is not None
    assert (chain.held.base, chain.held.serial, len(chain.held.steps)) == (1, 4, 3)
    # Publishing again is no release.
    authority.publish()
    assert files(authority) == {step.name for step in chain.held.steps}


def test_old_deltas_are_removed_and_those_on_their_way_are_not(tmp_path: Path) -> None:
    targets = tmp_path / "targets"
    chain = deltas.Chain(Manifest(1))
    stored = []
    for serial in range(2, 100):
        extended = chain.manifest.extended(serial, b"%d" % serial)
        chain = deltas.Chain(extended, b"%d" % serial, chain.manifest)
        deltas.store(targets, chain)
        stored.append(extended.steps[-1].name)
    assert {path.name for path in (targets / "list").iterdir()} == set(stored[-65:])


def test_a_chain_begins_anew_where_a_step_is_not_worth_it() -> None:
    before = release(*MANY, serial=3)
    held = Manifest(2).extended(3, b"x")
    new = Manifest(4)
    assert deltas.link(None, None, release(*MANY, serial=4)) == deltas.Chain(new)
    # Another key, everything changed, not newer.
    assert deltas.link(before, held, release(*MANY, serial=4, key=FingerprintKey(2, bytes(16)))) == deltas.Chain(new)
    other = release(*(entry(f"m{n}.example") for n in range(500)), serial=4)
    assert deltas.link(before, held, other) == deltas.Chain(new)
    assert deltas.link(before, held, release(*MANY, serial=3)) == deltas.Chain(Manifest(3))


def test_a_chain_begins_with_the_release_before_where_that_had_none() -> None:
    before, after = release(*MANY, serial=3), release(*MANY[1:], serial=4)
    for held in (None, Manifest(2)):
        chain = deltas.link(before, held, after)
        assert (chain.manifest.base, chain.manifest.serial) == (3, 4)
        assert chain.delta == delta.encode(before, after)


def test_what_is_missing_or_damaged_begins_anew(authority: ListAuthority) -> None:
    authority.publish("a.example")
    authority.publish("b.example")
    targets, after = authority.repository / "targets", release(entry("c.example"), serial=3)
    signed = listed(authority)
    assert deltas.after(targets, {}, after) == deltas.Chain(Manifest(3))
    path = targets / "list" / f"{signed['list/manifest'].hashes['sha256']}.manifest"
    path.write_bytes(path.read_bytes() + b"x")
    assert deltas.after(targets, signed, after).held is None
    authority.records.write_bytes(b"x")
    assert deltas.after(targets, signed, after) == deltas.Chain(Manifest(3))
    authority.records.unlink()
    assert deltas.after(targets, signed, after) == deltas.Chain(Manifest(3))


def test_the_same_repository_gives_the_same_chain(authority: ListAuthority) -> None:
    authority.publish("a.example", "b.example")
    key = authority.release.release().key
    assert key != KEY
    after = release(entry("a.example"), serial=2, key=key)
    chains = [deltas.after(authority.repository / "targets", listed(authority), after) for _ in range(2)]
    assert chains[0] == chains[1]
    assert chains[0].delta is not None
