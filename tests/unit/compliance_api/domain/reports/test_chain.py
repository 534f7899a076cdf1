from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from compliance_api.domain.reports.chain import MAX_PAST, Head, Link, Relation, follow

T0 = datetime(2025, 1, 1, tzinfo=UTC)
E1, E2, E3 = (bytes([number]) * 16 for number in (1, 2, 3))


def link(sequence: int, *, epoch: bytes = E1, before: bytes = b"", previous: bytes = b"", lost: bool = False) -> Link:
    digest = epoch + sequence.to_bytes(16, "big")
    return Link(epoch, before, sequence, digest, previous, lost, T0 + timedelta(minutes=sequence), 60)


FIRST = link(1)
SECOND = link(2, previous=FIRST.digest)


def head(of: Link) -> Head:
    return follow(None, of).head


def test_a_chain_begins_and_goes_on_across_boots() -> None:
    begun = follow(None, FIRST)
    assert begun.relation is Relation.BEGINS
    second = follow(begun.head, SECOND)
    assert second.relation is Relation.EXTENDS
    rebooted = replace(link(1, epoch=E2, before=E1, previous=SECOND.digest), window_start=T0 + timedelta(hours=1))
    assert follow(second.head, rebooted).relation is Relation.EXTENDS


@pytest.mark.parametrize(
    ("following", "relation"),
    [
        (link(3, previous=SECOND.digest), Relation.GAP),
        (link(2, previous=b"x" * 32), Relation.WRONG_DIGEST),
        (link(2), Relation.WRONG_DIGEST),
        (link(1, epoch=E2, before=E3, previous=FIRST.digest), Relation.WRONG_EPOCH),
        (link(2, epoch=E2, before=E1, previous=FIRST.digest), Relation.GAP),
        (link(1, epoch=E2, before=E1, lost=True), Relation.DECLARED_LOSS),
        (link(1, epoch=E3, before=E2, lost=True), Relation.DECLARED_LOSS),
        (link(2, previous=b"x" * 32, lost=True), Relation.WRONG_DIGEST),
        (replace(SECOND, window_start=T0), Relation.BACKWARDS),
    ],
)
def test_each_break_has_its_name(following: Link, relation: Relation) -> None:
    step = follow(head(FIRST), following)
    assert step.relation is relation
    assert replace(step.head, past=()) == head(following), "one lost link is one break"


def test_a_number_below_the_last_one_moves_nothing() -> None:
    fifth = head(link(5))
    assert follow(fifth, link(3)) == follow(fifth, link(3))
    assert follow(fifth, link(3)).relation is Relation.LATE
    assert follow(fifth, link(3)).head is fifth
    second_epoch = head(replace(link(1, epoch=E2, before=E1), window_start=T0 + timedelta(hours=1)))
    assert follow(second_epoch, link(9)).relation is Relation.LATE


def boots(number: int) -> tuple[Head, list[Link]]:
    """A node that was started so many times, an hour apart, with one report each."""
    links = [FIRST]
    at = head(FIRST)
    for boot in range(2, number + 1):
        before = links[-1]
        one = link(1, epoch=bytes([boot]) * 16, before=before.boot_epoch, previous=before.digest)
        links.append(replace(one, window_start=T0 + timedelta(hours=boot)))
        step = follow(at, links[-1])
        assert step.relation is Relation.EXTENDS
        at = step.head
    return at, links


def test_a_late_report_of_two_boots_ago_is_late_and_moves_nothing() -> None:
    at, links = boots(5)
    late = replace(link(2, previous=links[0].digest), window_start=T0 + timedelta(minutes=2))
    step = follow(at, late)
    assert (step.relation, step.head) == (Relation.LATE, at)
    following = link(2, epoch=at.boot_epoch, before=at.previous_boot_epoch, previous=at.digest)
    assert follow(step.head, replace(following, window_start=at.window_end)).relation is Relation.EXTENDS


def test_the_epochs_remembered_are_bounded() -> None:
    at, links = boots(MAX_PAST + 5)
    assert len(at.past) == MAX_PAST
    assert at.past == tuple(one.boot_epoch for one in links[-2 : -2 - MAX_PAST : -1])
    assert follow(at, replace(links[0], sequence=2)).relation is Relation.WRONG_EPOCH


def test_an_epoch_that_was_followed_by_another_does_not_go_on() -> None:
    """Whoever leaves a chain for a new one, and goes on with the old: nobody would look at the old one's links."""
    at, _ = boots(2)
    forked = replace(link(2, previous=FIRST.digest), window_start=at.window_end)
    step = follow(at, forked)
    assert step.relation is Relation.WRONG_EPOCH
    assert follow(step.head, replace(forked, sequence=4, digest=b"x" * 32)).relation is Relation.GAP


def test_a_machine_that_was_replaced_begins_anew_and_what_the_old_one_still_has_is_late() -> None:
    old = link(2, previous=FIRST.digest)
    anew = replace(link(1, epoch=E2), window_start=T0 + timedelta(hours=1))
    step = follow(head(FIRST), anew)
    assert (step.relation, step.head.past) == (Relation.DECLARED_LOSS, (E1,))
    assert follow(step.head, old).relation is Relation.LATE
    # A copy of it that goes on beside is told from it.
    beside = replace(old, window_start=step.head.window_end)
    assert follow(step.head, beside).relation is Relation.WRONG_EPOCH


def test_an_epoch_left_by_a_break_is_not_past() -> None:
    strange = replace(link(1, epoch=E3, before=E2), window_start=T0 + timedelta(hours=1))
    left = follow(head(FIRST), strange)
    assert (left.relation, left.head.past) == (Relation.WRONG_EPOCH, ())
    assert follow(left.head, SECOND).relation is Relation.WRONG_EPOCH


def test_a_node_that_starts_in_the_middle_hides_something_unless_it_says_so() -> None:
    assert follow(None, SECOND).relation is Relation.UNKNOWN_START
    assert follow(None, link(1, before=E2)).relation is Relation.UNKNOWN_START
    assert follow(None, link(1, before=E2, lost=True)).relation is Relation.DECLARED_LOSS


def test_only_breaks_are_broken() -> None:
    assert {relation for relation in Relation if relation.broken} == {
        Relation.GAP,
        Relation.WRONG_DIGEST,
        Relation.WRONG_EPOCH,
        Relation.UNKNOWN_START,
    }
