from __future__ import annotations

import pytest

from compliance_api.domain.canonical import encode


def test_one_value_has_one_form() -> None:
    assert encode({"b": [1, None, True], "a": "chặn"}) == '{"a":"chặn","b":[1,null,true]}'.encode()


@pytest.mark.parametrize("value", [0.5, {"a": [1, 2.0]}, {1: "a"}, {"a": b"x"}, {"a": {1}}])
def test_what_has_no_one_form_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"^\$"):
        encode(value)
