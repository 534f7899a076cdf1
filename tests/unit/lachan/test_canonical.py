from __future__ import annotations

import pytest

from lachan.canonical import STRICT, encode


def test_one_value_has_one_form() -> None:
    assert encode({"b": [1, None, True], "a": "chặn"}) == '{"a":"chặn","b":[1,null,true]}'.encode()


@pytest.mark.parametrize("value", [0.5, {"a": [1, 2.0]}, {1: "a"}, {"a": b"x"}, {"a": {1}}])
def test_what_has_no_one_form_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"^(the value|a)"):
        encode(value)


@pytest.mark.parametrize("value", [True, None, [1, False], {"a": {"b": None}}])
def test_what_may_be_there_or_not_is_refused_where_that_matters(value: object) -> None:
    encode(value)
    with pytest.raises(ValueError, match="no canonical form"):
        encode(value, STRICT)


def test_a_text_is_unicode() -> None:
    with pytest.raises(ValueError, match="not Unicode"):
        encode("\ud800")
