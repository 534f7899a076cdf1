from __future__ import annotations

import os
from datetime import timedelta

import pytest

from compliance_api.errors import InvalidRequestError
from compliance_api.usecases.probing.stamp import MAX_COMMITMENTS, Stamper
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.signing import SigningKey
from lachan.stamp import StampError
from tests.support.cases import NOW

KEY = SigningKey.generate()
AT = NOW + timedelta(microseconds=123_457)
STAMPER = Stamper(KEY, lambda: AT, os.urandom)


def test_a_stamp_says_the_services_time_to_the_microsecond() -> None:
    (bare,) = STAMPER.take([])
    assert STAMPER.time(bare) == AT
    first, second = STAMPER.take([b"a" * 32, b"b" * 32])
    assert STAMPER.time(first, b"a" * 32) == STAMPER.time(second, b"b" * 32) == AT
    assert len({bare.nonce, first.nonce, second.nonce}) == 3


def test_a_stamp_over_something_else_is_refused() -> None:
    (stamp,) = STAMPER.take([b"a" * 32])
    with pytest.raises(StampError, match="commitment"):
        STAMPER.time(stamp, b"b" * 32)
    stamp.time_us -= 1
    with pytest.raises(StampError, match="signature"):
        STAMPER.time(stamp)


def test_a_stamp_with_another_key_says_nothing() -> None:
    (foreign,) = Stamper(SigningKey.generate(), lambda: AT, os.urandom).take([])
    assert STAMPER.time(foreign) is None
    assert STAMPER.time(pb.Stamp()) is None


def test_commitments_are_bounded_and_named() -> None:
    with pytest.raises(InvalidRequestError) as error:
        STAMPER.take([b"a" * 32, b"short", b""])
    assert [one.field for one in error.value.violations] == ["commitments[1]", "commitments[2]"]
    with pytest.raises(InvalidRequestError):
        STAMPER.take([bytes(32)] * (MAX_COMMITMENTS + 1))
