from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from resolver.delivery import Delivery, Later, Oldest


def test_a_batch_that_is_refused_is_halved_until_one_stands_alone() -> None:
    delivery = Delivery(8)
    sent = []
    for _ in range(3):
        step = delivery.next()
        assert isinstance(step, Oldest)
        sent.append(step.count)
        assert delivery.refused(list(range(1, step.count + 1))) is None
        assert delivery.searching
    assert sent == [8, 4, 2]
    assert delivery.next() == Oldest(1)


def test_batches_grow_again_after_success() -> None:
    delivery = Delivery(8)
    delivery.refused([1, 2])
    for count in (1, 2, 4, 8, 8):
        assert delivery.next() == Oldest(count)
        delivery.taken(list(range(100, 100 + count)))


def test_one_is_set_apart_only_after_a_later_one_was_taken() -> None:
    delivery = Delivery(8)
    assert delivery.refused([5]) is None
    assert not delivery.searching
    assert delivery.next() == Later(1)
    delivery.taken([6])
    assert delivery.next() == Oldest(1)
    assert delivery.refused([5]) == 5
    assert isinstance(delivery.next(), Oldest)


def test_what_lies_before_one_taken_is_set_apart_at_once() -> None:
    delivery = Delivery(8)
    delivery.taken([50])
    assert delivery.refused([10]) == 10
    assert delivery.refused([11]) == 11


def test_while_all_are_refused_nothing_is_set_apart_and_the_look_goes_further() -> None:
    delivery = Delivery(8)
    steps = []
    for _ in range(8):
        steps.append(delivery.next())
        position = 5 if isinstance(steps[-1], Oldest) else 5 + steps[-1].offset
        assert delivery.refused([position]) is None
    assert steps == [
        Oldest(8), Later(1), Oldest(1), Later(2), Oldest(1), Later(4), Oldest(1), Later(8),
    ]  # fmt: skip


def test_a_suspect_that_is_taken_after_all_is_one_no_more() -> None:
    delivery = Delivery(8)
    delivery.refused([5])
    delivery.next()
    delivery.refused([6])
    delivery.taken([5])
    assert delivery.next() == Oldest(2)
    assert delivery.refused([6]) is None


def test_a_suspect_that_is_gone_is_forgotten() -> None:
    delivery = Delivery(8)
    delivery.refused([5])
    delivery.refused([6])
    delivery.taken([7])
    assert delivery.next() == Oldest(2)


@given(st.integers(1, 8), st.lists(st.booleans(), min_size=1, max_size=60))
def test_every_good_report_arrives_and_only_bad_ones_are_set_apart(batch: int, good: list[bool]) -> None:
    """An authority that refuses every call with a bad report in it; the last report is good."""
    good[-1] = True
    waiting = list(range(1, len(good) + 1))
    taken: list[int] = []
    apart: list[int] = []
    delivery = Delivery(batch)
    for _ in range(40 * len(good)):
        if not waiting:
            break
        step = delivery.next()
        sent = waiting[: step.count] if isinstance(step, Oldest) else [waiting[min(step.offset, len(waiting) - 1)]]
        if all(good[position - 1] for position in sent):
            delivery.taken(sent)
            taken += sent
            waiting = [position for position in waiting if position not in sent]
        elif (settled := delivery.refused(sent)) is not None:
            apart.append(settled)
            waiting.remove(settled)
    assert waiting == []
    assert sorted(taken) == [place + 1 for place, ok in enumerate(good) if ok]
    assert apart == [place + 1 for place, ok in enumerate(good) if not ok]
