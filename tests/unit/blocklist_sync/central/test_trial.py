from __future__ import annotations

import json
from pathlib import Path

import pytest

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.intake.formats import Refusal
from blocklist_sync.central.log.approvals import ENROL, RETIRE, Admission, LogError
from blocklist_sync.central.log.folder import Checkpoint, LogFolder
from blocklist_sync.central.log.verifier import Delegated
from blocklist_sync.central.trial import TrialLog, listed
from tests.support.registry import DELEGATED, EDITOR, FIRST, GAMBLING, NOW, ORDER, SECOND, Member

KEYS = Delegated(DELEGATED)


@pytest.fixture
def log(tmp_path: Path) -> TrialLog:
    log = TrialLog(LogFolder(tmp_path), KEYS)
    log.admit(Admission(ENROL, FIRST.person, NOW), SECOND.id, SECOND.signer)
    log.admit(Admission(ENROL, SECOND.person, NOW), FIRST.id, FIRST.signer)
    assert log.admit(Admission(ENROL, EDITOR.person, NOW), FIRST.id, FIRST.signer) == 3
    return log


def propose(log: TrialLog, *names: str, by: Member = EDITOR) -> str:
    entries = [(name, GAMBLING, True) for name in names]
    return log.propose(entries, ORDER, by.id, by.signer, reason="As the order says", now=NOW)[0].id


def test_what_is_approved_enters_the_log(log: TrialLog, tmp_path: Path) -> None:
    identifier = propose(log, "a.example", "b.example")
    assert [one.id for one in log.pending()] == [identifier]
    assert log.approve(identifier, SECOND.id, SECOND.signer, now=NOW + 5) == 4
    assert log.pending() == []
    (decision,) = LogFolder(tmp_path).verified(KEYS, Checkpoint()).decisions
    assert (decision.proposal.added, decision.effect_at) == (2, NOW + 5)


def test_nobody_approves_their_own_and_nothing_is_written_then(log: TrialLog, tmp_path: Path) -> None:
    identifier = propose(log, "a.example", by=FIRST)
    before = (tmp_path / "steps.jsonl").read_bytes()
    with pytest.raises(LogError, match="nobody approves what they proposed"):
        log.approve(identifier, FIRST.id, FIRST.signer, now=NOW + 5)
    stranger = Member("stranger", ("approver",))
    with pytest.raises(LogError, match="no enrolled approver"):
        log.approve(identifier, stranger.id, stranger.signer, now=NOW + 5)
    assert (tmp_path / "steps.jsonl").read_bytes() == before
    assert len(log.pending()) == 1


def test_an_overridden_rail_waits_for_a_second_approver(log: TrialLog, tmp_path: Path) -> None:
    identifier = propose(log, "a.example")
    path = tmp_path / "pending" / f"{identifier}.json"
    document = json.loads(path.read_bytes())
    document["header"]["rails"] = [{"rail": "change", "detail": "half of the list"}]
    path.write_text(json.dumps(document))
    assert log.approve(identifier, FIRST.id, FIRST.signer, now=NOW + 5) == 0
    # The header is not the one that was signed any more.
    with pytest.raises(LogError, match="not editor's under this header"):
        log.approve(identifier, SECOND.id, SECOND.signer, now=NOW + 5)


def test_somebody_leaves(log: TrialLog) -> None:
    assert log.admit(Admission(RETIRE, EDITOR.person, NOW), SECOND.id, SECOND.signer) == 4
    with pytest.raises(LogError, match="no enrolled editor"):
        log.approve(propose(log, "a.example"), SECOND.id, SECOND.signer, now=NOW + 5)


def test_proposals_are_named_by_their_ids(log: TrialLog, tmp_path: Path) -> None:
    with pytest.raises(CentralError, match="no proposal's id"):
        log.approve("../steps", FIRST.id, FIRST.signer, now=NOW)
    (tmp_path / "pending").mkdir()
    (tmp_path / "pending" / "x.json").write_text("{")
    with pytest.raises(CentralError, match="not JSON"):
        log.approve("x", FIRST.id, FIRST.signer, now=NOW)


def test_names_come_from_source_files(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("||bad.example^\n@@||ok.bad.example^\n||co.uk^\n")
    refused: list[Refusal] = []
    found = list(listed([tmp_path / "list"], GAMBLING, refused.append))
    assert found == [
        ("bad.example", GAMBLING, True),
        ("ok.bad.example", GAMBLING._replace(exception=True), True),
    ]
    assert [refusal.line for refusal in refused] == [3]
