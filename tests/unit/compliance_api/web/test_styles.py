"""The colours hold WCAG AA's contrast in both schemes."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from tests.support.contrast import contrast

CSS = (resources.files("compliance_api.web") / "static" / "console.css").read_text()
LIGHT, DARK = (
    dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", block))
    for block in re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)[:2]
)

TEXT_PAIRS = [
    ("ink", "card"),
    ("ink", "ground"),
    ("soft", "card"),
    ("soft", "ground"),
    ("soft", "sunk"),
    ("link", "card"),
    ("link", "ground"),
    ("good", "card"),
    ("bad", "card"),
    ("good", "good-ground"),
    ("bad", "bad-ground"),
    ("open", "open-ground"),
    ("brand-ink", "brand"),
    ("brand-soft", "brand"),
]


@pytest.mark.parametrize("scheme", [LIGHT, LIGHT | DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXT_PAIRS)
def test_text_stands_out(scheme: dict[str, str], text: str, ground: str) -> None:
    assert contrast(scheme[text], scheme[ground]) >= 4.5


@pytest.mark.parametrize("scheme", [LIGHT, LIGHT | DARK], ids=["light", "dark"])
@pytest.mark.parametrize("part", ["good", "bad", "open"])
def test_bars_stand_out(scheme: dict[str, str], part: str) -> None:
    assert contrast(scheme[part], scheme["sunk"]) >= 3


def test_nothing_is_loaded_from_elsewhere() -> None:
    assert "url(" not in CSS
    assert "@import" not in CSS
