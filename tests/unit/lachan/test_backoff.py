from __future__ import annotations

import random

from lachan.backoff import Backoff


def test_waits_double_to_a_bound_with_full_jitter() -> None:
    class Longest(random.Random):
        def uniform(self, a: float, b: float) -> float:
            assert a == 0
            return b

    backoff = Backoff(1.0, 10.0, Longest())
    assert [backoff.failed() for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    assert backoff.failed(at_least=100) == 110
    backoff.succeeded()
    assert backoff.failed() == 1
    drawn = Backoff(1.0, 10.0, random.Random(1))
    assert all(0 <= drawn.failed() <= 10 for _ in range(100))
