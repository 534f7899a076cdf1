from __future__ import annotations

import pytest

from compliance_api.domain.observations.observation import Path
from compliance_api.domain.observations.path import Hints, Whoami, foreign, met_enrolled, path

OURS = ("192.0.2.1",)
THEIRS = ("203.0.113.9",)
BOTH = (*OURS, *THEIRS)


@pytest.mark.parametrize(
    ("whoami", "egress", "strange", "enrolled", "expected"),
    [
        (Whoami.OWN, (), (), False, Path.VERIFIED),
        (Whoami.OWN, OURS, (), True, Path.VERIFIED),
        # Whose key signed has answered, wherever it asked from.
        (Whoami.OWN, THEIRS, THEIRS, True, Path.VERIFIED),
        (Whoami.OWN, THEIRS, THEIRS, False, Path.VERIFIED),
        (Whoami.OTHER, (), (), True, Path.ELSEWHERE),
        (Whoami.SIBLING, OURS, (), True, Path.ELSEWHERE),
        # The operator's own address asked: whatever was said of who answers, the operator did.
        (Whoami.OTHER, OURS, (), True, Path.VERIFIED),
        (Whoami.UNSIGNED, OURS, (), True, Path.VERIFIED),
        (Whoami.SILENT, OURS, (), True, Path.VERIFIED),
        (Whoami.NOT_ASKED, OURS, (), True, Path.VERIFIED),
        # Whoever sees a nonce may ask for it, too.
        (Whoami.SILENT, BOTH, THEIRS, True, Path.VERIFIED),
        # A spoilt or a missing answer alone says nothing.
        (Whoami.UNSIGNED, (), (), False, Path.UNKNOWN),
        (Whoami.UNSIGNED, (), (), True, Path.UNKNOWN),
        (Whoami.SILENT, (), (), True, Path.UNKNOWN),
        (Whoami.UNSIGNED, THEIRS, THEIRS, True, Path.ELSEWHERE),
        (Whoami.SILENT, THEIRS, THEIRS, True, Path.ELSEWHERE),
        (Whoami.NOT_ASKED, THEIRS, THEIRS, True, Path.ELSEWHERE),
        # Nobody enrolled anything, so nothing is strange about it.
        (Whoami.NOT_ASKED, THEIRS, THEIRS, False, Path.UNKNOWN),
        (Whoami.NOT_ASKED, (), (), True, Path.UNKNOWN),
    ],
)
def test_hints_amount_to_a_path(
    whoami: Whoami, egress: tuple[str, ...], strange: tuple[str, ...], enrolled: bool, expected: Path
) -> None:
    assert path(Hints(whoami, egress, strange, enrolled)) is expected


def test_a_certificate_that_holds_is_the_node_and_one_that_does_not_is_a_hint_where_nobody_signs() -> None:
    assert path(Hints(Whoami.UNSIGNED, THEIRS, THEIRS, True, certificate=True)) is Path.VERIFIED
    assert path(Hints(Whoami.UNSIGNED, (), (), True, certificate=False)) is Path.ELSEWHERE
    assert path(Hints(Whoami.SILENT, (), (), True, certificate=False)) is Path.UNKNOWN
    assert path(Hints(Whoami.OWN, (), (), True, certificate=False)) is Path.VERIFIED


@pytest.mark.parametrize(
    ("whoami", "egress", "strange", "enrolled", "handed", "direct"),
    [
        (Whoami.OWN, OURS, (), True, True, True),
        (Whoami.SILENT, BOTH, THEIRS, True, True, True),
        # A farm fetches its signatures from the node; an honest node may ask from an address that was not enrolled yet.
        (Whoami.OWN, THEIRS, THEIRS, True, False, True),
        (Whoami.UNSIGNED, THEIRS, THEIRS, True, False, False),
        (Whoami.NOT_ASKED, THEIRS, THEIRS, True, False, False),
        # An operator that enrolled no address.
        (Whoami.OWN, THEIRS, THEIRS, False, True, True),
        (Whoami.OTHER, THEIRS, THEIRS, False, False, False),
        (Whoami.UNSIGNED, THEIRS, THEIRS, False, False, None),
        (Whoami.SILENT, THEIRS, THEIRS, False, None, None),
        (Whoami.NOT_ASKED, THEIRS, THEIRS, False, None, None),
        (Whoami.UNSIGNED, (), (), True, None, None),
    ],
)
def test_whether_whoever_answered_is_enrolled(
    whoami: Whoami,
    egress: tuple[str, ...],
    strange: tuple[str, ...],
    enrolled: bool,
    handed: bool | None,
    direct: bool | None,
) -> None:
    hints = Hints(whoami, egress, strange, enrolled)
    assert (met_enrolled(hints, handed=True), met_enrolled(hints, handed=False)) == (handed, direct)


def test_an_address_is_foreign_that_no_network_holds() -> None:
    networks = ("192.0.2.0/28", "2001:db8::/48", "198.51.100.7/32")
    seen = ["192.0.2.15", "192.0.2.16", "2001:db8::1", "2001:db9::1", "198.51.100.7"]
    assert foreign(seen, networks) == ("192.0.2.16", "2001:db9::1")
    assert foreign(["192.0.2.1"], ()) == ("192.0.2.1",)
