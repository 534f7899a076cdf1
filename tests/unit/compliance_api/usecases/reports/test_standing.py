from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from compliance_api.domain.reports.chain import Head, Relation
from compliance_api.usecases.reports.standing import Place, Standing, unsigned_key
from tests.support.cases import NOW
from tests.support.claims import EPOCH, T0, chain, claim


def fresh() -> Standing:
    return Standing("a", "e1", None, None, None)


def known(sequence: int, ceiling: int | None) -> Standing:
    """A node whose chain has come to a number; `ceiling` is the highest one of the epoch, if that is known."""
    last = claim(sequence).link
    head = Head(EPOCH, b"", sequence, last.digest, last.window_end)
    return Standing("a", "e1", head, T0, None if ceiling is None else (EPOCH, ceiling))


def test_a_chain_is_followed_within_one_call() -> None:
    standing = fresh()
    claims = chain(3)
    decided = [standing.decide(one, NOW) for one in claims]
    assert [(place.relation, again) for place, again in decided] == [
        (Relation.BEGINS, False),
        (Relation.EXTENDS, False),
        (Relation.EXTENDS, False),
    ]
    assert [one.claim for one in standing.new] == claims
    assert standing.moved
    assert (standing.highest, standing.first_window) == (3, claims[0].link.window_start)
    assert standing.head is not None
    assert (standing.head.sequence, standing.head.digest) == (3, claims[2].link.digest)


def test_no_node_begins_in_the_future() -> None:
    """It owes what comes from its first window on, and would owe nothing before the year 2099."""
    standing, one = fresh(), claim(1)
    standing.decide(replace(one, link=replace(one.link, window_start=NOW + timedelta(days=27_000))), NOW)
    assert standing.first_window == NOW


def test_the_same_report_stands_where_it_stood_whoever_remembers_it() -> None:
    standing = known(2, 2)
    earlier = NOW - timedelta(hours=1)
    standing.recall(EPOCH, 2, claim(2).link.digest, Place(7, earlier, Relation.EXTENDS))
    place, again = standing.decide(claim(2), NOW)
    assert (place.index, place.accepted_at, place.relation, again) == (7, earlier, Relation.EXTENDS, True)
    third = claim(3, claim(2).link.digest)
    first_time, second_time = standing.decide(third, NOW), standing.decide(third, NOW)
    assert (first_time[1], second_time[1]) == (False, True)
    assert first_time[0] is second_time[0]
    assert len(standing.new) == 1


def test_another_report_under_a_used_number_is_kept_beside_the_first_and_moves_nothing() -> None:
    standing = known(2, 2)
    standing.recall(EPOCH, 2, claim(2).link.digest, Place(7, NOW, Relation.EXTENDS))
    before = standing.head
    place, again = standing.decide(claim(2, salt=b"x"), NOW)
    assert (place.relation, again) == (Relation.EQUIVOCATION, False)
    assert standing.new[0].rival == claim(2).link.digest
    assert (standing.head, standing.highest) == (before, 2)


def test_what_the_node_did_not_sign_takes_no_number() -> None:
    standing = known(2, 2)
    forged = claim(3, claim(2).link.digest, flaw="the signature does not hold")
    place, again = standing.decide(forged, NOW)
    assert (place.relation, again, standing.moved) == (None, False, False)
    assert standing.decide(forged, NOW) == (place, True)
    other_signature = replace(forged, signature=b"another")
    assert standing.decide(other_signature, NOW)[0] is not place
    assert unsigned_key(forged) != unsigned_key(other_signature)
    real, _ = standing.decide(replace(forged, flaw=""), NOW)
    assert real.relation is Relation.EXTENDS
    stored = fresh()
    stored.recall_unsigned(unsigned_key(forged), Place(4, NOW, None))
    assert stored.decide(forged, NOW)[0].index == 4


def test_a_number_above_the_ceiling_is_new_without_a_look_at_what_is_stored() -> None:
    standing = known(5, 8)
    assert [standing.is_certainly_new(claim(number)) for number in (5, 8, 9)] == [False, False, True]
    assert not standing.is_certainly_new(claim(9, epoch=b"f" * 16))
    assert not known(5, None).is_certainly_new(claim(9))
    assert not fresh().is_certainly_new(claim(1))


def test_the_ceiling_of_an_epoch_that_a_chain_comes_to_is_asked_for() -> None:
    standing = known(5, 8)
    assert not standing.ceiling_unknown
    newer = claim(1, claim(5).link.digest, epoch=b"f" * 16, after=EPOCH)
    standing.decide(newer, NOW)
    assert standing.ceiling_unknown
    assert standing.highest == 1, "nothing stored is known"
    standing.recall_highest(6)
    assert (standing.ceiling_unknown, standing.highest) == (False, 6)
    assert known(5, None).ceiling_unknown
    assert not fresh().ceiling_unknown
