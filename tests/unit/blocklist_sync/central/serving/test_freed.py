from __future__ import annotations

from collections.abc import Sequence

import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.rules import Match, Rule, Scope
from blocklist_sync.central.release.removals import Removal
from blocklist_sync.central.serving.freed import Controls, Lookup, page, since, status, told

GAMBLING = Category.GAMBLING


def release(**listed: bool) -> Lookup:
    """A list of subtrees, by name with the dot written `_`: whether each binds everybody."""
    rules = {
        name.replace("_", "."): Rule(Scope.SUBTREE, False, False, GAMBLING, bound, 0) for name, bound in listed.items()
    }

    def lookup(name: str) -> Sequence[Match]:
        labels = name.split(".")
        suffixes = [".".join(labels[place:]) for place in range(len(labels))]
        return [Match(one, one.count(".") + 1, rules[one]) for one in suffixes if one in rules]

    return lookup


def removal(name: str, serial: int, *, bound: bool = True) -> Removal:
    return Removal(name, serial, 1, bound, GAMBLING, "12/QĐ")


def test_what_reaches_a_name_lists_it() -> None:
    lookup = release(bad_example=True, school_example=False)
    assert status("www.bad.example", lookup) == (True, True, ("bad.example",))
    assert status("school.example", lookup) == (True, False, ("school.example",))
    assert status("good.example", lookup) == (False, False, ())


def test_a_name_is_free_with_the_last_entry_that_reached_it() -> None:
    rows = [removal("www.bad.example", 5), removal("bad.example", 9), removal("other.example", 6)]
    assert [(*row[:2], row.listed) for row in told(rows, release())] == [
        (5, "www.bad.example", True),
        (6, "other.example", False),
        (9, "bad.example", False),
        (9, "www.bad.example", False),
    ]


def test_what_something_still_reaches_need_not_be_answered() -> None:
    rows = [removal("www.bad.example", 5), removal("again.example", 6)]
    lookup = release(bad_example=True, again_example=True)
    assert [(row.serial, row.listed) for row in told(rows, lookup)] == [(5, True), (6, True)]


def test_names_that_never_bound_everybody_are_not_told() -> None:
    rows = [removal("school.example", 5, bound=False), removal("www.school.example", 3)]
    assert [(*row[:2], row.listed) for row in told(rows, release())] == [
        (3, "www.school.example", True),
        (5, "www.school.example", False),
    ]


def test_pages_hold_every_row_once() -> None:
    rows = told([removal(f"n{number}.example", number // 2) for number in range(2, 9)], release())
    seen, token = [], ""
    while True:
        shown, token = page(rows, 1, token, 2)
        seen += shown
        if not token:
            break
    assert seen == [row for row in rows if row.serial > 1]
    assert page(rows, 9, "", 5) == ([], "")
    for wrong in ("x", "1 n2.example", "5 "):
        with pytest.raises(ValueError, match=r".*"):
            page(rows, 2, wrong, 2)


def test_controls_are_the_names_and_all_below_them() -> None:
    controls = Controls(["timing.example"])
    assert "timing.example" in controls
    assert "a.b.timing.example" in controls
    assert "mistiming.example" not in controls
    assert "example" not in Controls([])


def test_the_oldest_entry_dates_a_name() -> None:
    assert since(["bad.example", "www.bad.example"], {"bad.example": 4, "www.bad.example": 2}.__getitem__) == 2
    assert since(["unknown.example"], lambda _: 0) == 0
