from __future__ import annotations

from compliance_api.domain.drawing.neighbourhood import LABELS, PARENTS, candidates
from compliance_api.domain.drawing.sampling import ListedName
from tests.support.cases import NOW


def listed(name: str, parent: str = "", category: int = 3) -> ListedName:
    return ListedName(name, category, "OR-1", 1, NOW, parent=parent)


def test_parents_and_siblings_stand_beside_the_listed_name() -> None:
    found = candidates([listed("bad.host.example", "host.example"), listed("alone.example")], b"seed")
    assert found == sorted(["host.example", *(f"{label}.host.example" for label in LABELS)])


def test_a_listed_name_is_no_neighbour_and_abuse_has_none() -> None:
    found = candidates(
        [listed("www.host.example", "host.example"), listed("x.other.example", "other.example", category=1)], b"seed"
    )
    assert "www.host.example" not in found
    assert "mail.host.example" in found
    assert not any("other" in one for one in found)


def test_a_draw_is_bounded_and_repeats() -> None:
    many = [listed(f"bad.h{number}.example", f"h{number}.example") for number in range(3 * PARENTS)]
    found = candidates(many, b"seed")
    assert len(found) == PARENTS * (1 + len(LABELS))
    assert found == candidates(many[::-1], b"seed")
    assert found != candidates(many, b"other")
    long = ".".join(["x" * 60] * 3 + ["x" * 61]) + ".example"
    assert candidates([listed(f"bad.{long}", long)], b"seed") == [long]
