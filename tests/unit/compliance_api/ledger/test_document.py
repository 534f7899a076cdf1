from __future__ import annotations

import pytest

from compliance_api.ledger import document


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"1", b"\xff", b"[" * 100_000, b'{"a":1,"a":2}', b'{"a":{"b":1,"b":1}}', b'{"a":NaN}',
        b'{"a":1e999}', b'{"a":-Infinity}', b'{"a":0.5}', b'{"a":' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_is_no_object(content: bytes) -> None:
    assert document.read(content) == {}


def test_an_object_is_read() -> None:
    assert document.read(b'{"a":[1,{"b":"c"}],"d":null}') == {"a": [1, {"b": "c"}], "d": None}
