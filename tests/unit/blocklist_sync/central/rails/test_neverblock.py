from __future__ import annotations

import idna
import pytest

from blocklist_sync.central.rails.neverblock import NeverBlock, Protected, suffixes
from lachan import config

STATE = NeverBlock(id="state", why="the state's", trees=("gov.vn", "state.example"))
HOSTS = NeverBlock(id="hosts", why="of many", names=("host.example", "deep.names.example"))


@pytest.mark.parametrize(
    ("name", "subtree", "found"),
    [
        ("gov.vn", False, STATE),
        ("a.gov.vn", False, STATE),
        ("a.b.state.example", True, STATE),
        ("mystate.example", True, None),
        ("host.example", False, HOSTS),
        ("tenant.host.example", True, None),
        # A block of a name above reaches down to it; one of that name alone does not.
        ("names.example", True, HOSTS),
        ("names.example", False, None),
        ("other.example", True, None),
    ],
)
def test_what_a_block_would_hurt(name: str, subtree: bool, found: NeverBlock | None) -> None:
    assert Protected((STATE, HOSTS)).set_of(name, subtree) == found


def test_of_several_sets_the_first_counts() -> None:
    again = NeverBlock(id="again", why="too", trees=("state.example",))
    for sets in ((STATE, again), (again, STATE)):
        assert Protected(sets).set_of("a.state.example", subtree=True) == sets[0]


def test_lookalikes_of_protected_names_are_known() -> None:
    protected = Protected((STATE, HOSTS))
    spelled = idna.encode("hоst.example").decode()
    assert protected.looks_like(spelled) == protected.looks_like(f"login.{spelled}") == "host.example"
    for name in ("host.example", "h0st.example", idna.encode("höflich.example").decode()):
        assert protected.looks_like(name) is None
    # A protected name of another script is not its own lookalike.
    own = NeverBlock(id="own", why="ours", names=(spelled,))
    assert Protected((own,)).looks_like(spelled) is None


def test_names_are_checked_and_brought_into_form() -> None:
    text = "{id: a, why: b, names: [Ví-dụ.example], trees: [com.vn]}"
    held = config.parse(text, NeverBlock)
    assert (held.names, held.trees) == (("xn--v-d-rma6749a.example",), ("com.vn",))
    with pytest.raises(config.ConfigError, match=r"names\.0: .*an address"):
        config.parse("{id: a, why: b, names: [192.0.2.1]}", NeverBlock)


def test_suffixes_end_at_two_labels() -> None:
    assert list(suffixes("a.b.c.example")) == ["a.b.c.example", "b.c.example", "c.example"]
