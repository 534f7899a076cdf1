from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Targets

from blocklist_sync.artifact import policy
from blocklist_sync.artifact.categories import Category
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import approvals
from blocklist_sync.central.release.ceremony import next_targets
from blocklist_sync.central.release.publish import Documents
from blocklist_sync.central.release.sign import Memory, RefusedError, sign
from tests.support.list_authority import ListAuthority, person
from tests.support.registry import GAMBLING


@pytest.fixture
def authority(tmp_path: Path) -> ListAuthority:
    authority = ListAuthority(tmp_path / "authority")
    authority.publish("a.example", "b.example")
    authority.build("b.example", "c.example")
    return authority


def altered(authority: ListAuthority, change: Callable[[Targets], None]) -> Metadata[Targets]:
    document = copy.deepcopy(authority.release.document())
    change(document.signed)
    return document


def records(signed: Targets) -> dict[str, object]:
    return signed.targets["list/records.bin"].custom  # type: ignore[no-any-return]


def refuses(authority: ListAuthority, change: Callable[[Targets], None], message: str) -> None:
    with pytest.raises(CentralError, match=message):
        authority.examine(sources=authority.sources(altered(authority, change)))


def test_a_candidate_is_rebuilt_and_its_changes_are_shown(authority: ListAuthority) -> None:
    examined = authority.examine()
    assert (examined.offer.serial, examined.published and examined.published.serial) == (2, 1)
    assert (examined.difference.added, examined.difference.removed, examined.difference.kept) == (1, 1, 1)
    assert (examined.warnings, examined.signed_by, examined.threshold) == ((), (), 2)
    authority.sign(authority.keys.of_role["list"][1:2])
    assert authority.examine().signed_by == ("second",)


def test_another_digest_is_refused(authority: ListAuthority) -> None:
    def change(signed: Targets) -> None:
        signed.targets["list/records.bin"].hashes["sha256"] = "ab" * 32

    refuses(authority, change, "the candidate is not what the log says")


@pytest.mark.parametrize(
    ("custom", "message"),
    [
        ({"serial": 1}, "serial 1 does not follow"),
        ({"serial": 1 << 40}, "does not follow the published serial 1"),
        ({"serial": 3}, "the candidate is not what the log says"),
        ({"names": 5}, "other numbers of names"),
        ({"key_epoch": 3}, "key epoch 3 does not follow 1"),
        ({"as_of": 5}, "an earlier moment"),
        ({"as_of": 1 << 40}, "a moment that has not come"),
        ({"log_head": "ab" * 32}, "another log than this"),
        ({"log_length": 5}, "another log than this"),
        ({"log_length": 99}, "the log has 6 steps, where 99 are needed"),
        ({"content": "ab" * 32}, "content digest"),
        ({"rollback": {"serial": 1, "log_length": 5, "as_of": 9}}, "leaves nothing in force"),
    ],
)
def test_what_a_document_says_is_held_against_the_log(
    authority: ListAuthority, custom: dict[str, object], message: str
) -> None:
    refuses(authority, lambda signed: records(signed).update(custom), message)


def test_the_document_must_be_the_next_one(authority: ListAuthority) -> None:
    def version(signed: Targets) -> None:
        signed.version = 7

    def late(signed: Targets) -> None:
        signed.expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=5000)

    def over(signed: Targets) -> None:
        signed.expires = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)

    def manifest(signed: Targets) -> None:
        signed.targets["list/manifest"].hashes["sha256"] = "ab" * 32

    refuses(authority, version, "version 7 of the list does not follow")
    refuses(authority, late, "it would expire at")
    refuses(authority, over, "it would expire at")
    refuses(authority, manifest, "the manifest does not lead")


def test_a_policy_bundle_is_the_one_that_is_named(authority: ListAuthority) -> None:
    with pytest.raises(RefusedError, match="not the one that the document names"):
        authority.examine(sources=replace(authority.sources(), bundle=b"{}"))


def test_a_rewritten_log_is_seen(authority: ListAuthority) -> None:
    steps = list(approvals.read(authority.log.steps_path))
    # Everything again with the same people, but another first decision: all signatures hold, the chain does.
    approvals.write(authority.log.steps_path, steps[:4])
    authority.decide(("a.example", GAMBLING, True), ("evil.example", GAMBLING, True))
    authority.decide(("c.example", GAMBLING, True))
    with pytest.raises(CentralError, match="the log was rewritten: its step 5"):
        authority.examine()
    with pytest.raises(CentralError, match="the log was rewritten"):
        authority.build()
    approvals.write(authority.log.steps_path, steps[:4])
    with pytest.raises(CentralError, match="the log has 4 steps, where 6 are needed"):
        authority.examine()


def test_a_machine_remembers_what_it_signed_and_which_seed_it_saw(authority: ListAuthority) -> None:
    authority.sign(authority.keys.of_role["list"][:1])
    authority.release.document_path.unlink()
    authority.build("b.example", "d.example")
    assert authority.release.candidate().serial == 2  # type: ignore[union-attr]  # was built
    with pytest.raises(RefusedError, match="signed something else as serial 2"):
        authority.examine()
    authority.examine("second")
    authority.sign(authority.keys.of_role["list"][1:2])
    (authority.log.folder / "fingerprint.seed").write_bytes(bytes(32))
    with pytest.raises(RefusedError, match="another fingerprint seed"):
        authority.examine("second")
    (authority.memory("second").folder / "signer.json").write_text("[]")
    with pytest.raises(CentralError, match="malformed"):
        authority.examine("second")


def test_one_serial_is_never_signed_with_two_policy_bundles(authority: ListAuthority) -> None:
    authority.sign(authority.keys.of_role["list"][:1])
    authority.release.document_path.unlink()
    default = policy.default()
    other = replace(default, profiles={**default.profiles, "library": frozenset({Category.GAMBLING})})
    before = authority.release.document_path.parent.joinpath("records.bin").read_bytes()
    authority.build(bundle=other)
    assert authority.release.document_path.parent.joinpath("records.bin").read_bytes() == before
    with pytest.raises(RefusedError, match="signed something else as serial 2"):
        authority.examine()
    assert "the policy: profile library comes: gambling" in authority.examine("second").warnings


def test_what_comes_back_was_published_as_it_is_said(authority: ListAuthority) -> None:
    authority.publish()
    authority.build(rollback=1)
    first = "ROLL-BACK: the content of serial 1 comes back"
    assert authority.examine().warnings == (first,)
    # The log as it was between two releases: never published by anybody.
    held = dict(records(authority.release.document().signed)["rollback"])  # type: ignore[call-overload]  # is a dictionary
    between = {**held, "as_of": held["as_of"] + 1}
    refuses(authority, lambda signed: records(signed).update(rollback=between), "not what serial 1 was published with")
    unknown = altered(authority, lambda signed: records(signed).update(rollback={**held, "serial": 7}))
    told = authority.examine(sources=authority.sources(unknown)).warnings
    assert "that serial 7 was ever published cannot be seen from here" in told


def test_a_decision_of_the_future_is_nothing_to_sign_on(authority: ListAuthority) -> None:
    authority.decide(("d.example", GAMBLING, True))
    authority.decide(("e.example", GAMBLING, True), at=int(time.time()) + 3600)
    authority.build()
    with pytest.raises(RefusedError, match="the log has a decision of a moment that has not come"):
        authority.examine()


def test_targets_older_than_the_published_ones_say_nothing_of_approvers(authority: ListAuthority) -> None:
    held = authority.sources().repository.held("targets", 1)
    again = next_targets(held.signed, None, 0, held.signed.expires)
    authority.documents = Documents(targets=authority.signed(again, "targets"))
    authority.publish()
    authority.build("z.example")
    with pytest.raises(RefusedError, match="version 2 is published, and 1 is older"):
        authority.examine(sources=replace(authority.sources(), pending=held))


def test_only_approvers_sign_and_each_once(authority: ListAuthority) -> None:
    sources, memory = authority.sources(), authority.memory("first")
    examined = authority.examine(sources=sources)
    with pytest.raises(RefusedError, match="stranger is no approver"):
        sign(examined, sources, memory, person("stranger"))
    sign(examined, sources, memory, authority.keys.of_role["list"][0])
    with pytest.raises(CentralError, match="has signed this already"):
        sign(examined, sources, memory, authority.keys.of_role["list"][0])


def test_a_repository_that_does_not_verify_is_no_ground_to_sign_on(authority: ListAuthority, tmp_path: Path) -> None:
    other = ListAuthority(tmp_path / "other", turn=1)
    other.publish("x.example")
    with pytest.raises(CentralError, match="timestamp"):
        authority.examine(sources=replace(authority.sources(), root=other.sources().root))


def test_the_first_release_needs_signed_targets(tmp_path: Path) -> None:
    authority = ListAuthority(tmp_path / "first")
    authority.build("a.example", urgent=True)
    sources = authority.sources()
    with pytest.raises(RefusedError, match="top-level targets are needed"):
        authority.examine(sources=replace(sources, pending=None))
    assert sources.pending is not None
    examined = authority.examine(sources=sources)
    assert [warning.partition(":")[0] for warning in examined.warnings] == [
        "urgent",
        "the approvers themselves change with this release",
    ]
    sources.pending.signatures.clear()
    with pytest.raises(RefusedError, match="targets: 0 of 2"):
        authority.examine(sources=sources)


def test_a_renewal_and_a_new_epoch_are_said(authority: ListAuthority) -> None:
    authority.publish()
    authority.build(renew=True)
    assert authority.examine().warnings == ("a renewal: the same release, signed for longer",)
    authority.build("z.example", new_key_epoch=True, now=int(time.time()) + 1)
    assert "a new fingerprint key epoch: 2" in authority.examine().warnings
    # Asked for again before anybody signed, it is still the epoch that signers follow to.
    assert authority.build("y.example", new_key_epoch=True, now=int(time.time()) + 1).candidate.key_epoch == 2
    assert "a new fingerprint key epoch: 2" in authority.examine().warnings


def test_a_machine_remembers_the_last_serials_and_signs_none_before_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blocklist_sync.central.release.sign.REMEMBERED", 3)
    memory, seed = Memory(tmp_path), bytes(32)
    for serial in (1, 2, 9, 10, 11):
        memory.check(seed, serial, "digest")
        memory.note(seed, serial, "digest")
    assert sorted(json.loads((tmp_path / "signer.json").read_bytes())["signed"]) == ["10", "11", "9"]
    memory.check(seed, 10, "digest")
    with pytest.raises(RefusedError, match="signed something else as serial 10"):
        memory.check(seed, 10, "other")
    with pytest.raises(RefusedError, match="serial 2 is older than any that this machine remembers"):
        memory.check(seed, 2, "digest")
    (tmp_path / "signer.json").write_text('{"seed_sha256": "", "signed": {"x": "digest"}}')
    with pytest.raises(CentralError, match="malformed"):
        memory.check(seed, 12, "digest")
