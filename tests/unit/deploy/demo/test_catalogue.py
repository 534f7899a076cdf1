from __future__ import annotations

from blocklist_sync.artifact.names import canonical
from deploy.demo import catalogue
from deploy.demo.catalogue import CONTROLS, NEIGHBOURS, NEW_NAME, OLD_NAME, RELEASE_1, RELEASE_2, SCHOOL_NAME, names


def test_the_names_shown_are_in_the_releases_they_are_said_to_be_in() -> None:
    old, new = set(names(RELEASE_1)), set(names(RELEASE_2))
    assert OLD_NAME in old
    assert NEW_NAME in new
    assert not old & new
    assert SCHOOL_NAME in names([source for source in RELEASE_1 if not source.mandated])


def test_names_measured_as_clean_are_not_listed() -> None:
    blocked = set(names((*RELEASE_1, *RELEASE_2)))
    # One lies below a listed name: the exception in its own list lifts it.
    excepted = {"tin-tuc.game-ban-sung.example"}
    for name in {*CONTROLS, *NEIGHBOURS} - excepted:
        assert canonical(name) == name
        assert not any(name == one or name.endswith(f".{one}") for one in blocked)
    assert "@@||tin-tuc.game-ban-sung.example^" in RELEASE_1[2].file.read_text()


def test_all_three_forms_and_several_orders_are_there() -> None:
    sources = (*RELEASE_1, *RELEASE_2)
    assert {one.file.name.partition(".")[2] for one in sources} == {"hosts", "txt", "adblock.txt"}
    assert len({one.order for one in sources}) == len(sources)
    assert len({one.category for one in sources}) >= 4
    assert all(one.file.is_relative_to(catalogue.LISTS) for one in sources)


def test_lines_that_are_no_names_are_left_out() -> None:
    assert "somewhere.example" not in names(RELEASE_1)
    assert "test" not in names(RELEASE_1)
    assert "xn--kim-tin-nhanh-3mbf.test" in names(RELEASE_1) or any(
        name.startswith("xn--") for name in names(RELEASE_1)
    )
