from __future__ import annotations

import pytest

from compliance_api.ledger.pack import PackError
from compliance_api.ledger.wire import Message
from lachan.compliance.v1 import report_pb2


def test_fields_are_read_as_protobuf_wrote_them() -> None:
    made = Message(report_pb2.Report(organisation="a", sequence=300, queries=[{"count": 1}]).SerializeToString())
    assert (made.data(1), made.number(5), made.data(2), made.number(99)) == (b"a", 300, b"", 0)
    with pytest.raises(PackError, match="field 1 is bytes"):
        made.number(1)
    with pytest.raises(PackError, match="field 5 is a number"):
        made.data(5)
    # The last of several counts.
    assert Message(b"\x0a\x01a\x0a\x01b").data(1) == b"b"


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\xff\x01", b"\xff" * 11, b"\x0a\x02\x0a"])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(PackError):
        Message(data)


def test_a_form_that_is_not_needed_ends_the_reading() -> None:
    assert Message(b"\x0a\x01a\x15\x00\x00\x00\x00\x12\x01b").data(2) == b""
