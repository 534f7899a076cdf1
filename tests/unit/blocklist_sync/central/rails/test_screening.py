from __future__ import annotations

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.diff import Change, Held
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.rails import rails
from blocklist_sync.central.rails.rails import RailSettings
from blocklist_sync.central.rails.screening import Pending, Screening, screen
from blocklist_sync.central.rails.survey import Parents, State, Survey
from lachan import config

TREE = Kind(Scope.SUBTREE, False, Category.GAMBLING, Order("12/QĐ", True))
TEXT = """
shipped_names: false
change: {at_least: 3}
removal: {at_least: 2}
parent: {listed_below: 2}
never_block:
  - {id: state, why: a name of the state, trees: [state.example]}
"""
READY = rails.prepare(config.parse(TEXT, RailSettings))


def listed(count: int) -> State:
    survey = Survey()
    list(survey.watch([Held(f"n{number:03}.example", TREE) for number in range(count)]))
    return survey.state()


def changed(count: int, *, added: bool) -> list[Change]:
    return [Change(f"n{number:03}.example", TREE, added) for number in range(count)]


def test_what_was_decided_before_counts_where_the_list_does_not_show_it_yet() -> None:
    screened = screen(changed(6, added=True), listed(100), READY)
    assert screened.against(Pending()) == []
    [finding] = screened.against(Pending(added=3, removed=2))
    assert finding.rail == "change"
    assert finding.why == "11 entries come or go (5 of them decided before), more than 10 % of the 100 in force"
    # What only comes is not blamed for what went before.
    assert [one.rail for one in screened.against(Pending(removed=6))] == ["change"]
    gone = screen(changed(2, added=False), listed(100), READY)
    assert gone.against(Pending()) == []
    assert {one.rail for one in gone.against(Pending(removed=4))} == {"removal"}
    assert screen(changed(6, added=True), State(), READY).against(Pending(900, 900)) == []


def test_what_an_order_loses_by_several_proposals_is_what_it_loses() -> None:
    gone = screen(changed(8, added=False), listed(20), READY)
    assert not {one.rail for one in gone.against(Pending(lost={"12/QĐ": 2}))} & {"emptied", "halved"}
    found = {one.rail: one.why for one in gone.against(Pending(lost={"12/QĐ": 3, "13/QĐ": 90}))}
    assert found["halved"] == "11 of 20 entries of 12/QĐ go (3 of them decided before), more than 50 %"
    found = {one.rail: one.why for one in gone.against(Pending(lost={"12/QĐ": 12}))}
    assert found["emptied"] == "all 20 entries of 12/QĐ go (12 of them decided before)"
    # What comes by somebody's word alone makes nothing good, and what only comes takes nothing.
    large = screen(changed(11, added=False), listed(20), READY)
    assert "halved" in {one.rail for one in large.against(Pending(lost={"12/QĐ": -50}))}
    come = screen(changed(8, added=True), listed(20), READY)
    assert not {one.rail for one in come.against(Pending(lost={"12/QĐ": 19}))} & {"emptied", "halved"}


def test_one_pass_finds_what_two_find() -> None:
    names = ["a.broad.example", "b.broad.example", "broad.example", "c.broad.example", "com.vn", "x.state.example"]
    changes = [Change(name, TREE, True) for name in names]
    whole = screen(changes, State(), READY)
    passing = Screening(READY, Parents(), [TREE])
    for name in names:
        passing.come([name], [0])
    assert passing.broad() == {"broad.example": 3}
    passing.add_broad("broad.example", 3)
    assert passing.screened(State()).against(Pending()) == whole.against(Pending())
    assert [one.rail for one in whole.against(Pending())] == ["never-block-state", "public-suffix", "parent"]
