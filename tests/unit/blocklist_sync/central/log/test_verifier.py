"""The approvals log against whoever would forge it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from blocklist_sync.central import canonical
from blocklist_sync.central.log import approvals, keys, proposals, verifier
from blocklist_sync.central.log.approvals import LogError
from blocklist_sync.central.log.proposals import ProposalError, Rail
from blocklist_sync.central.log.verifier import Verifier, verify_log
from tests.support.registry import (
    DELEGATED,
    EDITOR,
    FIRST,
    GAMBLING,
    NOW,
    SECOND,
    THIRD,
    LogBook,
    Member,
    approval,
    founded,
    proposal,
    text,
)


def refused(book: LogBook, reason: str, step: int | None = None) -> None:
    with pytest.raises(LogError) as caught:
        verify_log(book.steps, DELEGATED)
    assert reason in str(caught.value)
    assert caught.value.step == (step or len(book.steps)), str(caught.value)


def altered(book: LogBook, at: int, change: Callable[[dict[str, Any]], object]) -> LogBook:
    """The book with one step changed and the chain made whole again behind it, as a forger would."""
    forged = LogBook()
    for number, step in enumerate(book.steps, 1):
        held = json.loads(step)
        held["previous"] = forged.next[1].hex()
        if number == at:
            change(held)
        forged.steps.append(canonical.encode(held))
    return forged


def test_a_log_is_verified_and_folds_in_order() -> None:
    late = proposal(number=1, effective_from=NOW + 500)
    soon = proposal(number=2)
    careful = proposal(number=3, rails=(Rail("never-block", "1 name"),))
    book = founded().decide(late, EDITOR, approval(late, FIRST))
    book.decide(soon, EDITOR, approval(soon, SECOND, NOW + 300))
    book.decide(careful, EDITOR, approval(careful, THIRD, NOW + 90), approval(careful, FIRST, NOW + 100))
    log = verify_log(book.steps, DELEGATED)
    assert (log.length, log.head) == (7, approvals.hash_step(book.steps[-1]))
    assert {person.id for person in log.people} == {"editor", "first", "second", "third"}
    # The last one was approved by clocks that lag: it counts with the one before it, and behind that.
    assert [decision.effect_at - NOW for decision in log.decisions] == [500, 300, 300]
    assert [decision.index for decision in log.in_effect(NOW + 299)] == []
    assert [decision.index for decision in log.in_effect(NOW + 400)] == [6, 7]
    assert [decision.index for decision in log.in_effect(NOW + 500)] == [6, 7, 5]
    assert [step.approver for step in log.decisions[2].approvals] == ["third", "first"]


def test_a_clock_that_lags_takes_out_what_another_brought() -> None:
    lines = ("bad.example", GAMBLING)
    adding = proposal(text((*lines, True)), number=1)
    removing = proposal(text((*lines, False)), number=2)
    book = founded().decide(adding, EDITOR, approval(adding, FIRST, NOW + 90))
    book.decide(removing, EDITOR, approval(removing, SECOND, NOW + 60))
    log = verify_log(book.steps, DELEGATED)
    assert [decision.proposal.id for decision in log.in_effect(NOW + 90)] == [adding.id, removing.id]


def test_an_empty_log() -> None:
    assert verify_log([], DELEGATED).head == bytes(32)


def test_nobody_approves_their_own() -> None:
    own = proposal(proposer=FIRST.id)
    refused(founded().decide(own, FIRST, approval(own, FIRST)), "nobody approves what they proposed")


def test_nobody_approves_their_own_under_another_name() -> None:
    # The same key under a second name: it cannot even be enrolled.
    twin = Member("twin", ("approver",))
    object.__setattr__(twin, "signer", FIRST.signer)
    refused(founded().admit(twin, SECOND), "was enrolled before")
    # And were both known: the key decides.
    own = proposal(proposer=FIRST.id)
    with pytest.raises(ProposalError, match="nobody approves what they proposed"):
        verifier.check_approval(own, FIRST.key, approval(own, twin), twin.person, DELEGATED)


def test_two_approvers_are_two_people() -> None:
    header = proposal(rails=(Rail("never-block", "1 name"),))
    refused(founded().decide(header, EDITOR, approval(header, FIRST)), "2 are needed, 1 given")
    twice = [approval(header, FIRST), approval(header, FIRST, NOW + 70)]
    refused(founded().decide(header, EDITOR, *twice), "one person approves once")
    refused(founded().decide(proposal(), EDITOR), "1 are needed, 0 given")


def test_unknown_people_and_keys() -> None:
    header = proposal()
    stranger = Member("stranger", ("approver",))
    refused(founded().decide(header, EDITOR, approval(header, stranger)), "stranger is no enrolled approver")
    refused(founded().decide(header, EDITOR, approval(header, EDITOR)), "editor is no enrolled approver")
    refused(founded().decide(header, FIRST, approval(header, FIRST)), "not editor's under this header")
    by_approver = proposal(proposer=SECOND.id)
    refused(founded().decide(by_approver, SECOND, approval(by_approver, FIRST)), "second is no enrolled editor")
    # Enrolled by the rules, but never named by the offline keys.
    refused(founded().admit(stranger, FIRST), "must be delegated")
    forged = approval(header, Member("first", ("approver",), turn=1))
    refused(founded().decide(header, EDITOR, forged), "not first's under this header and time")


def test_an_approver_counts_only_while_delegated() -> None:
    header = proposal()
    book = founded().decide(header, EDITOR, approval(header, THIRD))
    verify_log(book.steps, DELEGATED)
    with pytest.raises(LogError, match=r"step 3: .* must be delegated"):
        verify_log(book.steps, DELEGATED - {THIRD.key})
    with pytest.raises(ProposalError, match="not delegated"):
        verifier.check_approval(header, EDITOR.key, approval(header, THIRD), THIRD.person, DELEGATED - {THIRD.key})


@pytest.mark.parametrize(
    ("field", "value"),
    [("changes_sha256", "0" * 64), ("added", 7), ("reason", "Another"), ("effective_from", 1), ("review_by", NOW * 2)],
)
def test_a_changed_header_shows(field: str, value: object) -> None:
    header = proposal()
    book = founded().decide(header, EDITOR, approval(header, FIRST))
    refused(altered(book, 5, lambda held: held["header"].update({field: value})), "signature: not editor's")


def test_a_changed_approval_shows() -> None:
    header = proposal()
    book = founded().decide(header, EDITOR, approval(header, FIRST, NOW + 60))
    refused(
        altered(book, 5, lambda held: held["approvals"][0].update(decided_at=NOW + 1)), "under this header and time"
    )
    refused(altered(book, 5, lambda held: held["approvals"][0].update(approver="second")), "not second's")
    refused(altered(book, 5, lambda held: held["approvals"][0].update(signature="zz" * 64)), "not first's")
    refused(altered(book, 5, lambda held: held["approvals"][0].update(signature=5)), "not first's")
    refused(altered(book, 5, lambda held: held.update(approvals=held["approvals"] * 17)), "at most 16")
    refused(altered(book, 5, lambda held: held.update(approvals={})), "a list of at most")
    early = approval(header, FIRST, NOW - 1)
    refused(founded().decide(header, EDITOR, early), "earlier than the proposal")
    both = [approval(header, FIRST, NOW + 60), approval(header, SECOND, NOW + 61)]
    book = founded().decide(header, EDITOR, *both)
    refused(altered(book, 5, lambda held: held["approvals"].reverse()), "in the order in which they were given")


def test_a_signature_under_another_proposal_does_not_count() -> None:
    header, other = proposal(), proposal(number=2)
    refused(founded().decide(header, EDITOR, approval(other, FIRST)), "not first's under this header and time")


def test_reordered_dropped_and_repeated_steps() -> None:
    one, two = proposal(), proposal(number=2)
    book = founded().decide(one, EDITOR, approval(one, FIRST)).decide(two, EDITOR, approval(two, FIRST))
    steps = book.steps
    swapped = LogBook()
    swapped.steps = [*steps[:4], steps[5], steps[4]]
    refused(swapped, "index: 5 is expected here", 5)
    dropped = LogBook()
    dropped.steps = [*steps[:4], *steps[5:]]
    refused(dropped, "index: 5 is expected here", 5)
    refused(renumbered(dropped, 5), "not the hash of the step before", 5)
    refused(founded().decide(one, EDITOR, approval(one, FIRST)).decide(one, EDITOR, approval(one, SECOND)), "already")


def renumbered(book: LogBook, at: int) -> LogBook:
    forged = LogBook()
    forged.steps = list(book.steps)
    forged.steps[at - 1] = canonical.encode(json.loads(book.steps[at - 1]) | {"index": at})
    return forged


def test_a_rewritten_log_has_another_head() -> None:
    one, two = proposal(), proposal(number=2)
    honest = founded().decide(one, EDITOR, approval(one, FIRST)).decide(two, EDITOR, approval(two, FIRST))
    rewritten = founded().decide(two, EDITOR, approval(two, FIRST)).decide(one, EDITOR, approval(one, FIRST))
    heads = [verify_log(book.steps, DELEGATED) for book in (honest, rewritten)]
    assert heads[0].length == heads[1].length
    assert heads[0].head != heads[1].head


def test_nobody_enrols_themselves() -> None:
    refused(LogBook().admit(FIRST, FIRST), "nobody signs their own")
    twin = Member("twin", ("editor",))
    object.__setattr__(twin, "signer", FIRST.signer)
    refused(LogBook().admit(twin, FIRST), "nobody signs their own")
    refused(founded().admit(Member("new", ("editor",)), EDITOR), "no delegated approver's key")
    refused(founded().retire(FIRST, FIRST), "nobody signs their own")


def test_founders_must_be_enrolled_before_anything_is_decided() -> None:
    header = proposal(proposer=FIRST.id)
    book = LogBook().admit(FIRST, SECOND).admit(THIRD, SECOND)
    verify_log(book.steps, DELEGATED)
    refused(book.decide(header, FIRST, approval(header, THIRD)), "not enrolled: second")
    # Nor may whoever signed turn out to be somebody else.
    late = Member("second", ("approver",), turn=1)
    book = LogBook().admit(FIRST, SECOND).admit(late, FIRST)
    with pytest.raises(LogError, match="signed as an approver with another key"):
        verify_log(book.steps, DELEGATED | {late.key})
    refused(LogBook().admit(FIRST, SECOND).admit(replace(SECOND, roles=("editor",)), FIRST), "with another key")
    alias = Member("alias", ("approver",))
    object.__setattr__(alias, "signer", SECOND.signer)
    refused(LogBook().admit(FIRST, SECOND).admit(THIRD, alias), "another with theirs")


def test_nobody_signs_as_somebody_unknown_later() -> None:
    header = proposal()
    book = LogBook().admit(FIRST, SECOND).admit(SECOND, FIRST).admit(EDITOR, FIRST)
    book.decide(header, EDITOR, approval(header, FIRST))
    refused(book.admit(Member("new", ("editor",)), THIRD), "third is not enrolled")


def test_whoever_retired_does_not_count_and_their_key_never_again() -> None:
    before, after = proposal(), proposal(number=2)
    book = founded().decide(before, EDITOR, approval(before, THIRD)).retire(THIRD, FIRST)
    log = verify_log(book.steps, DELEGATED)
    assert "third" not in {person.id for person in log.people}
    length = len(book.steps)
    refused(book.decide(after, EDITOR, approval(after, THIRD)), "third is no enrolled approver")
    del book.steps[length:]
    refused(book.admit(THIRD, FIRST), "was enrolled before")
    del book.steps[length:]
    refused(book.retire(THIRD, FIRST), "nobody enrolled is exactly this third")
    del book.steps[length:]
    renewed = Member("third", ("approver",), turn=1)
    book.admit(renewed, FIRST).decide(after, EDITOR, approval(after, renewed))
    assert verify_log(book.steps, DELEGATED | {renewed.key}).length == length + 2


def test_a_changed_person_shows() -> None:
    book = founded()
    refused(founded().admit(Member("editor", ("editor",), turn=1), FIRST), "enrolled already")
    refused(
        altered(book, 4, lambda held: held["admission"]["person"].update(roles=["custodian", "editor"])),
        "does not hold",
    )
    refused(altered(book, 4, lambda held: held["admission"].update(change="adopt")), "neither enrol nor retire")
    refused(altered(book, 4, lambda held: held["admission"].update(change=[])), "neither enrol nor retire")
    refused(altered(book, 4, lambda held: held["admission"]["person"].update(roles=[])), "admission.person.roles")
    refused(altered(book, 4, lambda held: held["admission"]["person"].update(roles=[{}])), "a list of texts")
    refused(altered(book, 4, lambda held: held["witness"].update(person="first")), "no approver with this key")
    refused(altered(book, 4, lambda held: held.update(kind="other")), "neither person nor proposal")
    refused(altered(book, 4, lambda held: held.update(more=1)), "step.more: is unknown")


def test_a_refused_step_leaves_no_trace() -> None:
    header = proposal()
    good = founded().decide(header, EDITOR, approval(header, FIRST))
    bad = founded().decide(header, EDITOR)
    verifier = Verifier(DELEGATED)
    for step in good.steps[:4]:
        assert verifier.add(step) is None
    with pytest.raises(LogError):
        verifier.add(bad.steps[4])
    decided = verifier.add(good.steps[4])
    assert decided is not None
    assert decided.proposal == header
    assert verifier.close() == verify_log(good.steps, DELEGATED)


def test_a_step_has_bounds_and_a_kind() -> None:
    long = LogBook()
    long.steps = [b"1" * (verifier.MAX_STEP_BYTES + 1)]
    refused(long, "longer than")
    long.steps = [b"[]"]
    refused(long, "neither person nor proposal")


def test_a_log_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "MAX_STEPS", 3)
    refused(founded(), "more than 3 steps", 4)


def test_an_approval_signs_its_time() -> None:
    header = proposal()
    given = approval(header, FIRST)
    message = proposals.approval_message(header.digest, given.decided_at)
    assert keys.holds(FIRST.key, proposals.APPROVAL, message, bytes.fromhex(given.signature))
