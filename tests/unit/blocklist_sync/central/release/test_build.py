from __future__ import annotations

import stat
import time
from pathlib import Path
from typing import Any

import pytest

from blocklist_sync.artifact import policy
from blocklist_sync.artifact.categories import Action, Category
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log.folder import fingerprint_key
from blocklist_sync.central.rails import rails
from blocklist_sync.central.rails.rails import RailError, Rails, RailSettings
from blocklist_sync.central.release import rebuild
from blocklist_sync.central.release.build import Built, Wish, build
from blocklist_sync.central.release.candidate import ReleaseFolder
from blocklist_sync.central.release.repository import Repository
from lachan import config
from tests.support import clear_list
from tests.support.list_authority import ListAuthority
from tests.support.registry import GAMBLING

SCAM = GAMBLING._replace(category=Category.SCAM)


@pytest.fixture
def authority(tmp_path: Path) -> ListAuthority:
    return ListAuthority(tmp_path / "authority")


def dated(folder: ReleaseFolder) -> dict[str, int]:
    held = clear_list.read(folder.entries_path)
    return {name: serial for names in held.kinds.values() for name, serial in names.items()}


def test_building_twice_gives_the_same(authority: ListAuthority) -> None:
    first = authority.build("b.example", "a.example")
    data = authority.release.records_path.read_bytes()
    again = authority.build(now=int(time.time()) + 60)
    assert (again.candidate, again.unchanged, again.to_sign) == (first.candidate, False, True)
    assert authority.release.records_path.read_bytes() == data
    assert (first.candidate.serial, first.candidate.names, first.difference.added) == (1, 2, 2)
    files = [path for path in authority.release.folder.iterdir() if path.is_file()]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    assert stat.S_IMODE(authority.release.folder.stat().st_mode) == 0o700


def test_the_same_log_gives_the_same_bytes_elsewhere(authority: ListAuthority, tmp_path: Path) -> None:
    built = authority.build("a.example", "b.example")
    here = authority.release.records_path.read_bytes()
    authority.release = ReleaseFolder(tmp_path / "elsewhere")
    assert authority.build(now=int(time.time()) + 5).candidate.records_digest == built.candidate.records_digest
    assert authority.release.records_path.read_bytes() == here


def test_serials_rise_by_published_releases_only(authority: ListAuthority) -> None:
    assert authority.build("a.example").candidate.serial == 1
    assert authority.build("b.example").candidate.serial == 1
    authority.publish()
    again = authority.build("b.example")
    assert (again.candidate.serial, again.unchanged, again.to_sign) == (1, True, False)
    more = authority.build("b.example", "c.example")
    assert (more.candidate.serial, more.unchanged, more.difference.added) == (2, False, 1)
    # What comes back to the published content comes back to the published release.
    assert authority.build("b.example").candidate.records_digest == again.candidate.records_digest


def test_a_signed_candidate_keeps_its_serial_to_itself(authority: ListAuthority) -> None:
    authority.build("a.example")
    authority.sign(authority.keys.of_role["list"][:1])
    same = authority.build("a.example")
    assert len(authority.release.document().signatures) == 1
    other = authority.build("b.example")
    assert (same.candidate.serial, other.candidate.serial) == (1, 2)
    assert not authority.release.document().signatures
    assert authority.build("c.example", above=6).candidate.serial == 7


def test_entries_keep_the_serial_that_brought_them(authority: ListAuthority) -> None:
    authority.publish("a.example")
    authority.decide(("s.example", SCAM, True))
    built = authority.build()
    assert (built.candidate.serial, built.entries, built.difference.added) == (2, 2, 1)
    assert dated(authority.release) == {"a.example": 1, "s.example": 2}
    # Left out of a candidate and taken in again, an entry is as old as it was.
    authority.build("x.example")
    authority.build("a.example", extend=True)
    assert dated(authority.release) == {"a.example": 1, "x.example": 2}


def test_a_changed_policy_is_a_change(authority: ListAuthority) -> None:
    authority.publish("a.example")
    bundle = policy.PolicyBundle(policy.default().profiles, {**policy.default().actions, Category.SCAM: Action.REFUSED})
    built = authority.build("a.example", bundle=bundle)
    assert (built.candidate.serial, built.unchanged, built.difference.empty) == (2, False, True)
    # It is carried from then on.
    authority.build("b.example")
    assert authority.release.policy() == bundle


def test_what_is_decided_later_is_not_in_force_yet(authority: ListAuthority) -> None:
    now = int(time.time())
    authority.build("a.example")
    authority.decide(("b.example", GAMBLING, True), at=now + 500)
    assert authority.build(now=now + 499).entries == 1
    assert authority.build(now=now + 500).entries == 2
    with pytest.raises(CentralError, match="not of what will be"):
        authority.build(now=now, as_of=now + 1)


def test_no_list_is_of_an_earlier_moment_than_the_published_one(authority: ListAuthority) -> None:
    authority.publish("a.example")
    with pytest.raises(CentralError, match="of a later moment"):
        authority.build("b.example", as_of=int(time.time()) - 60)


def test_nothing_in_force_is_no_release(authority: ListAuthority) -> None:
    authority.build("a.example")
    authority.decide(("a.example", GAMBLING, False))
    with pytest.raises(CentralError, match="an empty list is never released"):
        authority.build()


def test_a_new_epoch_has_a_new_key(authority: ListAuthority) -> None:
    authority.publish("a.example")
    first = authority.release.release()
    built = authority.build("a.example", new_key_epoch=True)
    assert (built.candidate.serial, built.candidate.key_epoch) == (2, 2)
    assert first.key.key != authority.release.release().key.key
    # The epoch stays until the next is asked for.
    assert authority.build("b.example").candidate.key_epoch == 2


def test_signatures_are_renewed_in_time_and_when_asked(authority: ListAuthority) -> None:
    now = int(time.time())
    authority.publish("a.example")
    assert not authority.build(now=now + 60).to_sign
    assert authority.build(renew=True).to_sign
    due = authority.build(now=now + 16 * 86_400)
    assert (due.unchanged, due.to_sign, due.candidate.serial) == (True, True, 1)
    assert authority.release.document().signed.version == 2
    outcome = authority.publish()
    assert (outcome.new, outcome.release.serial, len(authority.release.history())) == (False, 1, 1)


def test_a_roll_back_is_a_new_serial_with_old_content(authority: ListAuthority) -> None:
    authority.publish("a.example")
    authority.publish("b.example")
    built = authority.build(rollback=1)
    assert (built.candidate.serial, built.candidate.rollback, built.difference.added) == (3, 1, 1)
    assert dated(authority.release) == {"a.example": 3}
    assert authority.examine().warnings == ("ROLL-BACK: the content of serial 1 comes back",)
    assert authority.publish().release.serial == 3
    # A roll-back of a roll-back goes to the same content; the log itself is followed again by the next build.
    assert authority.build(rollback=2).candidate.serial == 4
    authority.publish()
    assert authority.build(rollback=3).candidate.content_digest == built.candidate.content_digest
    assert authority.build().unchanged
    with pytest.raises(CentralError, match="serial 9 was never published"):
        authority.build(rollback=9)


def test_a_state_of_another_log_is_not_gone_on_from(authority: ListAuthority) -> None:
    authority.build("a.example")
    state = authority.release.state.load()
    assert state is not None
    assert state.entries == 1
    note = authority.release.folder / "state.json"
    note.write_text(note.read_text().replace(state.at.head.hex(), "00" * 32))
    authority.release.state.path.write_bytes(authority.release.state.path.read_bytes().replace(b"a.exa", b"z.exa"))
    authority.build()
    assert dated(authority.release) == {"a.example": 1}
    note.write_text("{")
    assert authority.release.state.load() is None


def test_without_approvers_nothing_is_built(authority: ListAuthority) -> None:
    authority.documents = type(authority.documents)()
    with pytest.raises(CentralError, match="who the approvers are"):
        authority.build("a.example")


def guarded(authority: ListAuthority, guarding: Rails, *names: str, **wish: Any) -> Built:
    """Builds with these names more, held against rails."""
    if names:
        authority.decide(*((name, GAMBLING, True) for name in names))
    folder, now = authority.release, int(time.time())
    with folder.locked():
        return build(
            folder,
            authority.log,
            Repository(authority.repository),
            Wish(now, **wish),
            now=now,
            delegations=authority.documents.targets.signed if authority.documents.targets else None,
            guarding=guarding,
        )


def test_a_rail_that_refuses_leaves_nothing_to_sign(authority: ListAuthority) -> None:
    def made(*names: str) -> Built:
        return guarded(authority, rails.load(None), *names)

    assert [finding.rail for finding in made("a.example", "youtube.com").findings] == ["never-block-platforms"]
    before = authority.release.candidate()
    with pytest.raises(RailError, match=r"never-block-government \(refuse\): a name of the state: a\.gov\.vn"):
        made("a.gov.vn")
    assert authority.release.candidate() == before


def test_a_name_that_this_authority_protects_is_not_blocked_by_chance(
    authority: ListAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signers know nothing of it: it takes the next key epoch, which the document says."""
    text = "never_block: [{id: own, why: ours, names: [ours.example]}]"
    guarding = rails.prepare(config.parse(text, RailSettings))
    real = rebuild.fingerprint
    seed = authority.log.drawn_seed()
    unlucky = {fingerprint_key(seed, 1, 0).key}

    def chance(name: str, key: bytes) -> int:
        return real("bad.example" if name == "ours.example" and key in unlucky else name, key)

    monkeypatch.setattr(rebuild, "fingerprint", chance)
    assert guarded(authority, guarding, "bad.example").candidate.key_epoch == 2
    authority.publish()
    # From then on it stays in that epoch.
    assert guarded(authority, guarding, "worse.example").candidate.key_epoch == 2
    authority.publish()
    # What comes back is made by the key of now, and was never held against the names of now.
    unlucky |= {fingerprint_key(seed, 2, 0).key}
    back = guarded(authority, guarding, rollback=1)
    assert (back.candidate.key_epoch, back.candidate.rollback, back.findings) == (3, 1, ())
    assert "ROLL-BACK" in authority.examine().warnings[0]
    unlucky |= {fingerprint_key(seed, 3, 0).key}
    with pytest.raises(CentralError, match=r"ours\.example: collides under two key epochs"):
        guarded(authority, guarding, "third.example")
