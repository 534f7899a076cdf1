from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from compliance_api.domain.observations.observation import Shape
from compliance_api.domain.observations.shapes import BLOCKING, DEFAULT, ShapeBook, ShapesError, ShapeText
from tests.support.cases import NOW


def text(version: str = "v1", **changes: Any) -> dict[str, Any]:
    return {"version": version, "effective_from": NOW, **changes}


def test_the_text_in_force_is_the_one_of_the_moment() -> None:
    later = NOW + timedelta(days=1)
    book = ShapeBook.model_validate({"shapes": [text("v2", effective_from=later), text("v1")]})
    assert book.in_force(NOW).version == "v1"
    assert book.in_force(later).version == "v2"
    with pytest.raises(ShapesError, match="no text"):
        book.in_force(NOW - timedelta(seconds=1))


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [text("v1"), text("v2")],
        [text("v1"), text("v1", effective_from=NOW + timedelta(days=1))],
        [text("V 1")],
        [text(blocking=["refused"])],
        [text(blocking=[])],
        [text(pages=[{"operators": ["a"]}])],
        [text(pages=[{"addresses": ["192.0.2.1/24"]}])],
        [text(pages=[{"names": ["chặn.example"]}])],
        [text(references=3)],
    ],
)
def test_what_cannot_be_meant_is_refused(texts: list[dict[str, Any]]) -> None:
    with pytest.raises(ValidationError):
        ShapeBook.model_validate({"shapes": texts})


def test_a_page_is_known_at_its_operators_resolvers_alone() -> None:
    made = ShapeText.model_validate(
        text(
            pages=[
                {"addresses": ["192.0.2.80"]},
                {"operators": ["b"], "addresses": ["2001:DB8::/64"], "names": ["P.Example."]},
            ]
        )
    )
    here, there = made.shapes("a"), made.shapes("b")
    assert [str(one) for one in here.page_addresses] == ["192.0.2.80/32"]
    assert here.page_names == frozenset()
    assert [str(one) for one in there.page_addresses] == ["192.0.2.80/32", "2001:db8::/64"]
    assert there.page_names == {"p.example"}


def test_the_built_in_text_asks_for_two_references_and_three_tries() -> None:
    shapes = DEFAULT.in_force(NOW).shapes("a")
    assert (shapes.references, shapes.reference_within, shapes.tries) == (2, 600.0, 3)
    assert shapes.extended_errors == {15, 16, 17}
    assert shapes.blocking == frozenset(BLOCKING)
    assert Shape.REFUSED not in shapes.blocking
    assert not shapes.page_addresses


def test_one_text_has_one_form() -> None:
    one = ShapeText.model_validate(text(pages=[{"names": ["P.Example."], "source": "Công văn"}]))
    other = ShapeText.model_validate_json(one.content())
    assert other == one
    assert other.content() == one.content()
    assert b'"names":["p.example"]' in one.content()
