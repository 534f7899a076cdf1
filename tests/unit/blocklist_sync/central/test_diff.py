from __future__ import annotations

import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.diff import Change, Counts, Held, Spool, compare
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.errors import CentralError
from tests.support.blocklist import MANDATE, OFFER

TREE = Kind(Scope.SUBTREE, False, Category.GAMBLING, MANDATE)
ALONE = Kind(Scope.EXACT, False, Category.GAMBLING, MANDATE)
OTHER = Kind(Scope.SUBTREE, False, Category.SCAM, OFFER)

IN_FORCE = [Held("a.example", TREE), Held("b.example", OTHER), Held("b.example", TREE), Held("c.example", OTHER)]


def difference(wanted: list[Held], *, replace: bool = False) -> tuple[list[Change], Counts]:
    counts = Counts()
    belongs = (lambda kind: kind.order == MANDATE) if replace else None
    return list(compare(IN_FORCE, wanted, belongs, counts)), counts


def told(counts: Counts) -> tuple[int, int, int, int]:
    return counts.added, counts.removed, counts.changed, counts.unchanged


def test_adding_only() -> None:
    changes, counts = difference([Held("a.example", TREE), Held("b.example", ALONE), Held("d.example", TREE)])
    assert changes == [Change("b.example", ALONE, True), Change("d.example", TREE, True)]
    assert told(counts) == (1, 0, 1, 1)
    assert counts.first == {"added": ["d.example"], "removed": [], "changed": ["b.example"]}


def test_replacing_removes_what_is_the_sources_own() -> None:
    changes, counts = difference([Held("b.example", ALONE), Held("c.example", TREE)], replace=True)
    assert changes == [
        Change("a.example", TREE, False),
        Change("b.example", ALONE, True),
        Change("b.example", TREE, False),
        Change("c.example", TREE, True),
    ]
    # b stays listed, otherwise; c had another order's entry alone.
    assert told(counts) == (0, 1, 2, 0)
    assert counts.entries == {(TREE, False): 2, (ALONE, True): 1, (TREE, True): 1}


def test_losing_one_entry_of_two_is_a_change() -> None:
    changes, counts = difference([Held("a.example", TREE)], replace=True)
    assert changes == [Change("b.example", TREE, False)]
    assert told(counts) == (0, 0, 1, 1)


def test_the_same_again_is_nothing() -> None:
    changes, counts = difference(IN_FORCE, replace=True)
    assert changes == []
    assert counts.empty
    assert told(counts) == (0, 0, 0, 3)


@pytest.mark.parametrize("unsorted", [["b.example", "a.example"], ["a.example", "b.example", "a.example"]])
def test_what_is_not_sorted_is_refused(unsorted: list[str]) -> None:
    with pytest.raises(CentralError, match=r"the source: 'a\.example' stands behind 'b\.example'"):
        difference([Held(name, TREE) for name in unsorted])


def test_a_spool_gives_back_what_it_took_as_often_as_asked() -> None:
    changes = [Change("a.example", TREE, True), Change("a.example", ALONE, False), Change("b.example", OTHER, True)]
    with Spool() as spool:
        for change in changes:
            spool.add(change)
        assert list(spool) == list(spool) == changes
        assert spool.changes == 3
