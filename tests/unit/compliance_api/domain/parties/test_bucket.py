from __future__ import annotations

from compliance_api.domain.parties.bucket import Allowance, Bucket


def test_what_is_taken_comes_back_with_time_and_never_beyond_the_burst() -> None:
    bucket = Bucket(Allowance(rate=2, burst=10), now=100)
    assert bucket.wait(10, 100) == 0
    bucket.take(10)
    assert bucket.wait(4, 100) == 2
    assert bucket.wait(4, 101) == 1
    assert bucket.wait(4, 102) == 0
    assert bucket.wait(10, 1000) == 0
    bucket.take(10)
    assert bucket.wait(10, 1000) == 5


def test_more_than_the_burst_waits_for_a_full_bucket_and_is_paid_for_later() -> None:
    bucket = Bucket(Allowance(rate=1, burst=10), now=0)
    assert bucket.wait(25, 0) == 0
    bucket.take(25)
    assert bucket.wait(1, 0) == 16
