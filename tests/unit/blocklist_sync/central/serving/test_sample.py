from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind, kind_rank
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.serving.sample import Index
from tests.support.blocklist import MANDATE, OFFER
from tests.support.clear_list import Entries, write_lines

Listed = Callable[[Entries], Path]
SEED = b"sixteen bytes or more"
DAY = 86_400
DATES = {1: 0, 2: 100 * DAY, 3: 101 * DAY}


@pytest.fixture
def listed(tmp_path: Path) -> Listed:
    """Writes a list as releases have it: by name."""

    def write(entries: Entries) -> Path:
        kinds = sorted(entries.kinds, key=kind_rank)
        rows = [
            (name, kinds.index(kind), serial) for kind, names in entries.kinds.items() for name, serial in names.items()
        ]
        path = tmp_path / "entries.tsv"
        write_lines(path, kinds, sorted(rows))
        return path

    return write


def kind(category: Category, order: Order = MANDATE, *, exception: bool = False, scope: Scope = Scope.SUBTREE) -> Kind:
    return Kind(scope, exception, category, order)


def large() -> Entries:
    entries = Entries()
    entries.add(kind(Category.GAMBLING), [f"g{i}.example" for i in range(1000)], 1)
    entries.add(kind(Category.GAMBLING), [f"new{i}.example" for i in range(5)], 3)
    entries.add(kind(Category.SCAM), [f"s{i}.example" for i in range(20)], 2)
    return entries


def test_a_seed_draws_the_same_and_no_name_twice(listed: Listed) -> None:
    first = Index(listed(large()), 3, DATES).draw(50, SEED)
    assert first == Index(listed(large()), 3, DATES).draw(50, SEED)
    assert len({drawn.name for drawn in first}) == 50
    assert first != Index(listed(large()), 3, DATES).draw(50, SEED + b"!")


def test_small_strata_are_not_drowned_by_large_ones(listed: Listed) -> None:
    drawn = Index(listed(large()), 3, DATES).draw(45, SEED)
    assert Counter(d.name[0] for d in drawn) == {"n": 5, "s": 20, "g": 20}


def test_all_there_are_where_more_is_asked(listed: Listed) -> None:
    assert len(Index(listed(large()), 3, DATES).draw(5000, SEED)) == 1025
    assert Index(listed(Entries()), 3, DATES).draw(5, SEED) == []


def test_only_what_was_added_after_a_serial(listed: Listed) -> None:
    assert {d.added_serial for d in Index(listed(large()), 3, DATES).draw(900, SEED, added_after=1)} == {2, 3}
    assert Index(listed(large()), 3, DATES).draw(900, SEED, added_after=3) == []


def test_only_what_was_in_force_by_a_serial(listed: Listed) -> None:
    assert {d.added_serial for d in Index(listed(large()), 3, DATES).draw(2000, SEED, added_until=2)} == {1, 2}
    assert {d.added_serial for d in Index(listed(large()), 3, DATES).draw(900, SEED, 1, 2)} == {2}
    assert Index(listed(large()), 3, DATES).draw(900, SEED, added_until=0) == []


def test_what_the_release_in_force_does_not_have_is_not_drawn(listed: Listed) -> None:
    assert {d.added_serial for d in Index(listed(large()), 2, DATES).draw(2000, SEED)} == {1, 2}


def test_exceptions_and_what_they_lift_are_not_drawn(listed: Listed) -> None:
    entries = Entries()
    entries.add(kind(Category.SCAM), ["a.example", "b.example"], 1)
    entries.add(kind(Category.SCAM, OFFER), ["c.example"], 1)
    entries.add(kind(Category.SCAM, exception=True), ["a.example", "ok.b.example"], 1)
    entries.add(kind(Category.SCAM, OFFER, exception=True), ["b.example", "c.example"], 1)
    # b is mandated: an exception of less authority does not lift it.
    assert [d.name for d in Index(listed(entries), 1, DATES).draw(10, SEED)] == ["b.example"]


def test_draws_are_even(listed: Listed) -> None:
    entries = Entries()
    entries.add(kind(Category.SCAM), [f"s{i}.example" for i in range(10)], 1)
    index = Index(listed(entries), 1, DATES)
    seen = Counter(d.name for n in range(2000) for d in index.draw(3, n.to_bytes(16, "big")))
    assert len(seen) == 10
    # 600 expected of each, standard deviation 20.5.
    assert all(500 < count < 700 for count in seen.values())


def test_what_is_drawn_says_whether_it_binds_everybody(listed: Listed) -> None:
    entries = Entries()
    entries.add(kind(Category.CSAM, OFFER, scope=Scope.EXACT), ["a.example"], 1)
    [drawn] = Index(listed(entries), 1, DATES).draw(1, SEED)
    assert (drawn.mandated, drawn.subtree) == (True, False)


def test_a_parent_is_told_where_nothing_blocks_it(listed: Listed) -> None:
    entries = Entries()
    names = [
        "www.bad.example",
        "deep.www.worse.example",
        "x.listed.example",
        "listed.example",
        "bad.co.uk",
        "a.b.co.uk",
    ]
    entries.add(kind(Category.SCAM, scope=Scope.EXACT), names, 1)
    index = Index(listed(entries), 1, DATES)
    assert dict(zip(names, map(index.parent, names), strict=True)) == {
        "www.bad.example": "bad.example",
        "deep.www.worse.example": "www.worse.example",
        "x.listed.example": "",
        # A public suffix.
        "listed.example": "",
        "bad.co.uk": "",
        "a.b.co.uk": "b.co.uk",
    }


def test_the_authoritys_own_names_are_drawn_alone(listed: Listed) -> None:
    index = Index(listed(large()), 3, DATES, {"g3.example", "s2.example", "unknown.example"})
    assert {d.name for d in index.draw(50, SEED, controls_only=True)} == {"g3.example", "s2.example"}
    assert {d.name for d in index.draw(50, SEED, added_after=1, controls_only=True)} == {"s2.example"}
    assert Index(listed(large()), 3, DATES).draw(50, SEED, controls_only=True) == []


def test_it_is_drawn_by_name_scope_and_order_whatever_the_file_says(listed: Listed) -> None:
    """As draws always were: a seed that was committed to keeps its names."""
    entries = Entries()
    names = [f"n{number}.example" for number in range(40)]
    kinds = [
        kind(Category.SCAM, order, scope=scope) for order in (Order("9", True), Order("12", True)) for scope in Scope
    ]
    for place, one in enumerate(kinds):
        entries.add(one, names[place::2], 1)
    members = sorted(
        ((name, one) for one, held in entries.kinds.items() for name in held),
        key=lambda entry: (entry[0], entry[1].scope.value, entry[1].order),
    )
    index = Index(listed(entries), 1, DATES)
    [stratum] = index._strata
    assert [index._drawn(at)[:2] for at in stratum.at] == members


def test_the_file_may_go_and_columns_may_be_steps(listed: Listed) -> None:
    path = listed(large())
    index = Index(path, 3, DATES, serials={1: 2, 2: 2, 3: 3})
    path.unlink()
    drawn = index.draw(2000, SEED)
    assert (len(drawn), {one.added_serial for one in drawn}) == (1025, {2, 3})
    assert index.brought("g3.example") == 2
    assert index.brought("unknown.example") == 0


def test_what_is_no_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "entries.tsv"
    with pytest.raises(CentralError, match="No such file"):
        Index(path, 1, DATES)
    write_lines(path, [kind(Category.SCAM)], [("bäd.example", 0, 1)])
    with pytest.raises(CentralError, match="a name that is none"):
        Index(path, 1, DATES)
