"""Templates: what is not ours is escaped, and the colours hold WCAG AA's contrast in both schemes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.pages import templates
from resolver.pages.templates import Markup, both, code, escaped, link, rows
from resolver.pages.words import Saying
from tests.support.contrast import contrast

LIGHT, DARK = (
    dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", block))
    for block in re.findall(r":root \{(.*?)\}", templates.style(), re.DOTALL)[:2]
)
PAIRS = [
    ("ink", "card"),
    ("ink", "ground"),
    ("soft", "card"),
    ("soft", "ground"),
    ("link", "card"),
    ("link", "ground"),
    ("link", "bad-ground"),
    ("ink", "bad-ground"),
    ("ink", "good-ground"),
    ("ink", "open-ground"),
    ("ink", "call-ground"),
    ("soft", "call-ground"),
    ("call", "call-ground"),
    ("good", "good-ground"),
    ("bad", "bad-ground"),
    ("open", "open-ground"),
]


@pytest.mark.parametrize("scheme", [LIGHT, LIGHT | DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_stands_out(scheme: dict[str, str], text: str, ground: str) -> None:
    assert contrast(scheme[text], scheme[ground]) >= 4.5


@given(st.text())
def test_text_stays_text(text: str) -> None:
    for made in (escaped(text), both(Saying(text, text)), code(text), rows([(text, text)]), link(text, text)):
        shown = re.sub(r"</?(?:code|dl|div|dt|dd|span|a)(?: (?:lang|href)=\"[^\"<>]*\")?>", "", made)
        assert not set("<>\"'") & set(shown)


def test_what_is_markup_already_is_left_as_it_is() -> None:
    assert escaped(Markup("<b>")) == "<b>"
    assert escaped(escaped("<b>")) == "&lt;b&gt;"
    assert rows([]) == ""


def test_the_style_names_nothing_to_be_fetched() -> None:
    assert not re.search(r"url\(|@import|expression|</", templates.style())
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", templates.style_source())
