from __future__ import annotations

import json

import pytest

from compliance_api.ledger.removed import Removed, digest
from lachan import canonical
from lachan.ledger.leaf import Kind

NAMES = [("a.example", True), ("b.example", False)]


def told() -> Removed:
    found = Removed()
    for names in (NAMES[:1], NAMES):
        leaf = {"type": "removals", "serial": 7, "names": len(names), "sha256": digest(names)}
        found.learn(Kind.RELEASE, canonical.encode(leaf))
    found.learn(Kind.RELEASE, b'{"serial":8}')
    found.learn(Kind.LAW, canonical.encode({"type": "removals", "serial": 9, "sha256": digest(NAMES)}))
    return found


def test_what_the_ledger_was_told_is_shown_whole() -> None:
    assert list(told().contradicting(json.dumps({"7": NAMES}).encode())) == []
    assert list(told().contradicting(json.dumps({"7": NAMES[:1]}).encode())) == []


@pytest.mark.parametrize(
    "shown",
    [
        b"{}",
        b"[]",
        b'{"7":[]}',
        b'{"7":1}',
        b'{"7":[1]}',
        b'{"7":[["a.example",true]],"7":[]}',
        b'{"7":[["a.example",false]]}',
    ],
)
def test_anything_else_is_named(shown: bytes) -> None:
    assert len(list(told().contradicting(shown))) == 1


def test_a_release_that_the_ledger_was_told_nothing_of_is_named() -> None:
    shown = json.dumps({"7": NAMES, "8": [], "9": NAMES}).encode()
    assert len(list(told().contradicting(shown))) == 2
