"""JSON of one form."""

from __future__ import annotations

from typing import Any

import pytest

from blocklist_sync.central import canonical
from blocklist_sync.central.canonical import CanonicalError


def test_one_value_has_one_form() -> None:
    data = canonical.encode({"b": [1, "ă"], "a": {}})
    assert data == '{"a":{},"b":[1,"ă"]}'.encode()
    assert canonical.parse(data) == {"a": {}, "b": [1, "ă"]}


@pytest.mark.parametrize(
    ("value", "place"),
    [(1.0, "the value"), ({"a": [1, None]}, "a[1]"), ({"a": {"b": True}}, "a.b"), ({1: "x"}, "the value")],
)
def test_what_has_no_form_is_refused(value: Any, place: str) -> None:
    with pytest.raises(CanonicalError) as caught:
        canonical.encode(value)
    assert str(caught.value).startswith(place + ":")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"a": 1}',
        b'{"b":1,"a":1}',
        b'{"a":1,"a":1}',
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":NaN}',
        b'{"a":-0}',
        b'{"a":null}',
        b'{"a":true}',
        b'"\\u0041"',
        b'"\xff"',
        b'"\\ud800"',
        b"[" * 100_000,
        b'"' + b"a" * canonical.MAX_BYTES + b'"',
    ],
)
def test_other_forms_are_refused(data: bytes) -> None:
    with pytest.raises(CanonicalError):
        canonical.parse(data)
