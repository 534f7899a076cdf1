"""Where a name may be listed, and with which release a decision came."""

from __future__ import annotations

from dataclasses import replace

from blocklist_sync.central.registry.history import first_with, with_parents
from blocklist_sync.central.registry.record import Outcome, Record
from blocklist_sync.central.registry.releases import Released
from tests.support.registry import EDITOR, NOW, proposal

RELEASES = [Released(1, NOW, 4, NOW), Released(2, NOW + 50, 7, NOW + 40), Released(3, NOW + 90, 7, NOW + 80)]


def test_a_rule_may_stand_on_a_name_and_above_it() -> None:
    assert with_parents("a.b.example") == ["a.b.example", "b.example"]
    assert with_parents("b.example") == ["b.example"]


def test_a_decision_comes_with_the_first_with_that_has_it_and_its_time() -> None:
    outcome = Outcome("approved", "first", "x", NOW, log_index=5, effect_at=NOW + 60)
    found = Record(1, proposal(), b"", b"", EDITOR.key, NOW, (), outcome, 0, 0)
    assert first_with(RELEASES, found) == RELEASES[2]
    assert first_with(RELEASES, replace(found, outcome=replace(outcome, effect_at=NOW))) == RELEASES[1]
    assert first_with(RELEASES, replace(found, outcome=replace(outcome, log_index=8))) is None
    assert first_with(RELEASES, replace(found, outcome=None)) is None
    assert replace(found, outcome=None).state == "proposed"
