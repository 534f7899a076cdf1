from __future__ import annotations

from blocklist_sync.artifact.categories import Category
from resolver.discretion import lie_within, told_blocked, told_queries

CSAM, DISTRESS, GAMBLING = int(Category.CSAM), int(Category.SELF_HARM), int(Category.GAMBLING)


def test_no_profile_is_told_by_its_name() -> None:
    counts = {(1, "default", 0): 9, (1, "school", 0): 5, (1, "truong-mau", 0): 2, (2, "truong-mau", 3): 1}
    assert dict(told_queries(counts)) == {(1, "default", 0): 9, (1, "filtered", 0): 7, (2, "filtered", 3): 1}


def test_what_points_at_a_child_is_told_together_where_nobody_but_schools_is_served() -> None:
    counts = {(CSAM, 1): 2, (DISTRESS, 1): 1, (DISTRESS, 2): 4, (GAMBLING, 1): 8, (0, 1): 99}
    assert dict(told_blocked(counts, schools_alone=True)) == {(0, 1): 3, (0, 2): 4, (GAMBLING, 1): 8}
    apart = dict(counts)
    del apart[0, 1]
    assert dict(told_blocked(counts, schools_alone=False)) == apart


def test_a_network_lies_within_another_of_its_family() -> None:
    schools = ["192.0.2.128/27", "2001:db8:5c00::/40"]
    assert lie_within(["192.0.2.128/28", "2001:db8:5c01::/48"], schools)
    assert not lie_within(["192.0.2.0/24"], schools)
    assert not lie_within(["192.0.2.128/28", "198.51.100.0/24"], schools)
    assert not lie_within(["::/0"], ["0.0.0.0/0"])
    assert not lie_within(["192.0.2.0/24"], [])
