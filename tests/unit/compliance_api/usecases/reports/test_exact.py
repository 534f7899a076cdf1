from __future__ import annotations

import pytest

from compliance_api.usecases.reports.exact import is_exact
from lachan.compliance.v1 import report_pb2 as pb

OWN = pb.Report(organisation="a", window_start=300, queries=[pb.QueryCount(profile="default", count=1)])
DATA = OWN.SerializeToString(deterministic=True)


def test_what_was_written_down_says_all_of_it() -> None:
    assert is_exact(pb.Report.FromString(DATA), DATA)
    assert is_exact(pb.Report(), b"")


@pytest.mark.parametrize(
    "data",
    [
        # A field that nobody knows, at the top and within another.
        DATA + b"\xc2\x3e\x0bkid.example",
        DATA + pb.Report(list=pb.ListState()).SerializeToString()[:-1] + b"\x0e\xc2\x3e\x0bkid.example",
        # A value that a later one takes the place of.
        b"\x0a\x0bkid.example" + DATA,
        # A number that is longer than it has to be.
        DATA.replace(b"\xac\x02", b"\xac\x82\x00"),
        # Another order.
        DATA[3:] + DATA[:3],
    ],
)
def test_what_is_in_the_bytes_beside_it_is_seen(data: bytes) -> None:
    assert not is_exact(pb.Report.FromString(data), data)
