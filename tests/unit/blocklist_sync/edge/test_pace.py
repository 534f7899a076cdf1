from __future__ import annotations

import random
from pathlib import Path

import pytest

from blocklist_sync.edge.pace import BURST, REFILL, SPACING, Ending, Pace
from blocklist_sync.edge.settings import ClientCertificate, PushSettings, SyncSettings

OWN = ClientCertificate(certificate=Path("a"), key=Path("b"))


class Longest(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


def pace(rng: random.Random | None = None, **changes: object) -> Pace:
    push = PushSettings(target="list.example:7445", poll_interval=120, spread=2)
    fields = {"repository": "https://list.example", "root": Path("r"), "ca": Path("c"), "tls": OWN, "push": push}
    return Pace(SyncSettings.model_validate(fields | {"poll_interval": 30.0} | changes), rng or Longest())


def test_polling_is_spread_and_slower_while_a_stream_lives() -> None:
    drawn = pace(random.Random(1))
    waits = [drawn.after(Ending.WELL, streaming=False, behind=False) for _ in range(200)]
    assert 27 <= min(waits) < 28
    assert 32 < max(waits) <= 33
    assert pace().after(Ending.WELL, streaming=True, behind=False) == pytest.approx(132)
    assert pace(push=None).after(Ending.WELL, streaming=False, behind=False) == pytest.approx(33)


def test_each_kind_of_failure_waits_longer_each_time() -> None:
    one = pace()

    def waits(ending: Ending, count: int) -> list[float]:
        return [one.after(ending, streaming=True, behind=True) for _ in range(count)]

    assert waits(Ending.UNREACHABLE, 9) == [1, 2, 4, 8, 16, 32, 64, 120, 120]
    # Another kind begins anew.
    assert waits(Ending.REFUSED, 4) == [30, 60, 120, 120]
    assert waits(Ending.SLOW, 2) == [10, 20]
    assert waits(Ending.STORAGE, 2) == [5, 10]
    one.after(Ending.WELL, streaming=False, behind=False)
    assert waits(Ending.STORAGE, 1) == [5]
    # Where edges poll often, they also try again often.
    quick = pace(poll_interval=0.2, backoff_max=0.5)
    assert [quick.after(Ending.REFUSED, streaming=False, behind=False) for _ in range(4)] == [0.2, 0.4, 0.5, 0.5]


def test_what_was_announced_and_is_not_there_yet_is_asked_for_soon_but_ever_less() -> None:
    one = pace()
    waits = [one.after(Ending.WELL, streaming=True, behind=True) for _ in range(10)]
    # What never comes was never true.
    assert waits == [0.75, 1.25, 2.25, 4.25, 8.25, 15.25, 15.25, 15.25, pytest.approx(132), pytest.approx(132)]
    one.after(Ending.WELL, streaming=True, behind=False)
    assert one.after(Ending.WELL, streaming=True, behind=True) == 0.75


def test_news_are_followed_up_spread_out() -> None:
    one = pace()
    assert one.heard(urgent=False, since_round=100, now=1000) == 2
    assert one.heard(urgent=True, since_round=100, now=1000) == 0
    assert one.heard(urgent=True, since_round=0.25, now=1000) == SPACING - 0.25
    assert pace(push=None).heard(urgent=False, since_round=9, now=0) == 0


def test_a_stream_that_lies_all_the_time_brings_about_few_rounds() -> None:
    one, now, rounds = pace(), 5000.0, 0
    end = now + 3600
    while now < end:
        now += max(0.1, one.heard(urgent=True, since_round=100, now=now))
        rounds += 1
    assert rounds <= BURST + 3600 / REFILL + 1


def test_edges_whose_ring_may_take_a_release_at_the_same_moment_spread_out() -> None:
    assert pace().due(600) == 602
    assert pace(push=None).due(600) == 601
