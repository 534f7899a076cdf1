from __future__ import annotations

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.rails.survey import Parents, Survey
from tests.support.blocklist import MANDATE, OFFER

TREE = Kind(Scope.SUBTREE, False, Category.GAMBLING, MANDATE)
LIFTED = TREE._replace(exception=True)
SCAM = Kind(Scope.SUBTREE, False, Category.SCAM, OFFER)


def test_what_passes_is_counted() -> None:
    survey = Survey()
    listed = [("a.b.example", SCAM), ("a.b.example", TREE), ("c.b.example", TREE), ("d.b.example", LIFTED)]
    assert list(survey.watch(listed)) == listed
    state = survey.state()
    assert state.entries == 4
    assert state.of_order == {MANDATE.text: 3, OFFER.text: 1}
    # A name counts once, an exception not at all.
    assert state.parents.of_more_than(0) == {"b.example": 2}


def test_parents_are_counted_in_bounded_memory() -> None:
    parents = Parents(window=100)
    for number in range(3000):
        parents.add(f"n{number}.p{number}.example")
        if number % 3 == 0:
            parents.add(f"n{number}.many.example")
    many = parents.of_more_than(500)
    assert many.keys() == {"many.example"}
    # At most one in a window too low, never too high.
    assert 1000 - 4000 / 100 <= many["many.example"] <= 1000
    assert len(parents._counts) < 250
    other = parents.copy()
    other.add("x.many.example")
    assert parents.of_more_than(500) == many
    assert other.of_more_than(500)["many.example"] == many["many.example"] + 1
