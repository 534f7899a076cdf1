from __future__ import annotations

import unicodedata

import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind, kind_line, kind_rank, order_number, parse_kind
from tests.support.blocklist import MANDATE, OFFER

BLOCK = Kind(Scope.SUBTREE, False, Category.SCAM, OFFER)
EXCEPT = Kind(Scope.EXACT, True, Category.GAMBLING, MANDATE)


def test_a_number_is_one_however_its_letters_are_spelled() -> None:
    number = "45/CV-Sở"
    assert order_number(unicodedata.normalize("NFD", number)) == order_number(number) == number
    with pytest.raises(ArtifactError, match="printable"):
        order_number("45\u200b/CV")


def test_a_kind_comes_back_from_its_line() -> None:
    assert kind_line(BLOCK) == "\tsubtree\tblock\tscam\tprofile-only\t34/QĐ"
    assert kind_line(EXCEPT) == "\texact\texcept\tgambling\tmandated\t12/QĐ"
    for kind in (BLOCK, EXCEPT):
        assert parse_kind(kind_line(kind)) == kind
    assert sorted([BLOCK, EXCEPT], key=kind_rank) == [EXCEPT, BLOCK]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "not enough values"),
        ("\tsubtree\tblock\tpiracy\tmandated\tx", "piracy"),
        ("\tsubtree\tblock\tscam\tmandated", "not enough values"),
        ("\tsubtree\tblock\tscam\tmandated\t ", "order"),
        ("\tsubtree\tblock\tscam\tsometimes\tx", "sometimes"),
        ("\tsubtree\tlift\tscam\tmandated\tx", "lift"),
        ("\tall\tblock\tscam\tmandated\tx", "all"),
    ],
)
def test_a_line_that_describes_no_kind_is_refused(line: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_kind(line)
