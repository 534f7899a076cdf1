from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

import pytest

from blocklist_sync.artifact import policy, records
from blocklist_sync.artifact.categories import Action, Category
from blocklist_sync.artifact.errors import FingerprintCollisionError
from blocklist_sync.artifact.records import Entry, FingerprintKey
from blocklist_sync.central.build import Built, Source, build
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.formats import Refusal
from blocklist_sync.central.release import Published, ReleaseFolder


def make(folder: ReleaseFolder, *names: str, refused: list[Refusal] | None = None, **settings: object) -> Built:
    source = folder.folder.parent / "source"
    source.write_text("\n".join(names), "utf-8")
    extra = {key: settings.pop(key) for key in ("category", "mandated") if key in settings}
    wanted = {"category": Category.GAMBLING, "mandated": True} | extra
    with folder.locked():
        return build(
            folder,
            Source([source], order="12/QĐ", **wanted),  # type: ignore[arg-type]  # overrides by name
            refuse=([] if refused is None else refused).append,
            **settings,  # type: ignore[arg-type]  # overrides by name
        )


def publish(folder: ReleaseFolder, at: int = 1000) -> None:
    candidate = folder.candidate()
    assert candidate is not None
    folder.mark_published(
        Published(
            candidate.serial, candidate.records_digest, candidate.content_digest, at, candidate.records, urgent=False
        )
    )


@pytest.fixture
def folder(tmp_path: Path) -> ReleaseFolder:
    return ReleaseFolder(tmp_path / "release")


def test_building_twice_gives_the_same(folder: ReleaseFolder) -> None:
    first = make(folder, "b.example", "a.example", "A.Example.")
    assert make(folder, "a.example", "b.example").candidate == first.candidate
    assert (first.candidate.serial, first.candidate.names, first.accepted, first.added) == (1, 2, 3, 2)
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in folder.folder.iterdir() if p.is_file())
    assert stat.S_IMODE(folder.folder.stat().st_mode) == 0o700


def test_serials_rise_by_published_releases_only(folder: ReleaseFolder) -> None:
    assert make(folder, "a.example").candidate.serial == 1
    assert make(folder, "b.example").candidate.serial == 1
    publish(folder)
    again = make(folder, "b.example")
    assert (again.candidate.serial, again.unchanged, again.added) == (1, True, 0)
    more = make(folder, "b.example", "c.example")
    assert (more.candidate.serial, more.unchanged, more.added) == (2, False, 1)
    # What comes back to the published content comes back to the published release.
    assert make(folder, "b.example").candidate == again.candidate


def test_extending_keeps_what_is_there_with_its_date(folder: ReleaseFolder) -> None:
    make(folder, "a.example")
    publish(folder)
    built = make(folder, "s.example", category=Category.SCAM, mandated=False, extend=True)
    assert (built.candidate.serial, built.entries, built.added) == (2, 2, 1)
    dated = {name: serial for names in folder.entries().kinds.values() for name, serial in names.items()}
    assert dated == {"a.example": 1, "s.example": 2}
    # Left out of a candidate and taken in again, an entry is as old as it was.
    make(folder, "x.example")
    make(folder, "a.example", extend=True)
    dated = {name: serial for names in folder.entries().kinds.values() for name, serial in names.items()}
    assert dated == {"a.example": 1, "x.example": 2}


def test_a_changed_policy_is_a_change(folder: ReleaseFolder) -> None:
    make(folder, "a.example")
    publish(folder)
    bundle = policy.PolicyBundle(policy.default().profiles, {**policy.default().actions, Category.SCAM: Action.REFUSED})
    built = make(folder, "a.example", bundle=bundle)
    assert (built.candidate.serial, built.unchanged) == (2, False)
    assert folder.policy() == bundle
    # It is carried from then on.
    make(folder, "b.example")
    assert folder.policy() == bundle


def test_refused_names_are_told_with_line_and_reason(folder: ReleaseFolder) -> None:
    refused: list[Refusal] = []
    built = make(folder, "a.example", "co.uk", "b b", refused=refused)
    assert (built.accepted, built.refused) == (1, 2)
    assert [(r.line, r.text, r.reason) for r in refused] == [
        (2, "co.uk", "a public suffix: everybody under it would be blocked"),
        (3, "b b", "more than a name on the line"),
    ]


def test_an_empty_source_is_no_empty_list(folder: ReleaseFolder) -> None:
    make(folder, "a.example")
    before = folder.release().digest
    with pytest.raises(CentralError, match="no name was accepted"):
        make(folder, "co.uk")
    assert folder.release().digest == before


def test_what_is_mandated_by_category_is_never_offered(folder: ReleaseFolder) -> None:
    with pytest.raises(CentralError, match="csam is mandated"):
        make(folder, "a.example", category=Category.CSAM, mandated=False)


def test_a_new_epoch_has_a_new_key(folder: ReleaseFolder) -> None:
    make(folder, "a.example")
    first = folder.release()
    publish(folder)
    built = make(folder, "a.example", new_key_epoch=True)
    second = folder.release()
    assert (built.candidate.serial, built.candidate.key_epoch) == (2, 2)
    assert first.key.key != second.key.key
    # The epoch stays until the next is asked for, and two folders never share keys.
    assert make(folder, "b.example").candidate.key_epoch == 2
    other = ReleaseFolder(folder.folder.parent / "other")
    make(other, "a.example")
    assert other.release().key.key != first.key.key


def test_a_collision_draws_the_next_key(folder: ReleaseFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    real = records.encode
    tried: list[bytes] = []

    def colliding(entries: Iterable[Entry], serial: int, key: FingerprintKey) -> bytes:
        tried.append(key.key)
        if len(tried) < 3:
            raise FingerprintCollisionError("two names")
        return real(entries, serial, key)

    monkeypatch.setattr(records, "encode", colliding)
    built = make(folder, "a.example", "b.example")
    assert built.candidate.key_draw == 2
    assert len(set(tried)) == 3
    assert folder.release().key.key == tried[2] == folder.key(1, 2).key

    tried.clear()
    monkeypatch.setattr(records, "encode", lambda *_: (_ for _ in ()).throw(FingerprintCollisionError("always")))
    with pytest.raises(CentralError, match="each of 16 keys"):
        make(folder, "a.example", "b.example")


def test_damaged_folders_are_named(folder: ReleaseFolder) -> None:
    with pytest.raises(CentralError, match="nothing was built"):
        folder.release()
    make(folder, "a.example")
    good = folder.records_path.read_bytes()
    folder.records_path.write_bytes(good + b"x")
    with pytest.raises(CentralError, match=r"records\.bin: records, byte"):
        folder.release()
    make(folder, "b.example")
    folder.records_path.write_bytes(good)
    with pytest.raises(CentralError, match="not the records that were built"):
        folder.release()
    for path in (folder.history_path, folder.folder / "release.json"):
        path.write_text("{")
        with pytest.raises(CentralError, match=f"{path.name}: not JSON"):
            (folder.history if path == folder.history_path else folder.candidate)()
        path.write_text('[{"x": 1}]' if path == folder.history_path else '{"x": 1}')
        with pytest.raises(CentralError, match=path.name):
            (folder.history if path == folder.history_path else folder.candidate)()
    folder.policy_path.write_text("{}")
    with pytest.raises(CentralError, match="version"):
        folder.policy()
    (folder.folder / "fingerprint.seed").write_bytes(b"short")
    with pytest.raises(CentralError, match="32 bytes"):
        folder.key(1, 0)
