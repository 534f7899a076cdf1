from __future__ import annotations

from typing import Annotated

from compliance_api.domain.law.law_history import content
from compliance_api.domain.law.law_text import Added, form
from lachan.config import Settings
from tests.support.cases import law


class Inner(Settings):
    old: float = 1.0
    new: Annotated[float, Added()] = 2.0


class Outer(Settings):
    inner: Inner = Inner()
    name: str = "x"


def test_a_field_added_later_is_part_of_the_text_only_where_it_says_something() -> None:
    assert form(Outer()) == '{"inner":{"old":1.0},"name":"x"}'
    assert form(Outer(inner=Inner(new=3.0))) == '{"inner":{"new":3.0,"old":1.0},"name":"x"}'
    assert Outer.model_validate_json(form(Outer(inner=Inner(new=3.0)))).inner.new == 3.0


def test_a_law_without_a_catch_up_of_its_own_reads_as_before() -> None:
    assert "catch_up" not in content(law())
    assert '"catch_up":5.0' in content(law(list={"catch_up": "5s"}))
