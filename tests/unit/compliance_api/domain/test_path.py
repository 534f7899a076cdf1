from __future__ import annotations

import pytest

from compliance_api.domain.observation import Path
from compliance_api.domain.path import Hints, Whoami, foreign, path

OURS = ("192.0.2.1",)


@pytest.mark.parametrize(
    ("whoami", "egress", "strange", "enrolled", "expected"),
    [
        (Whoami.OWN, (), (), False, Path.VERIFIED),
        (Whoami.OWN, OURS, (), True, Path.VERIFIED),
        (Whoami.OWN, OURS, OURS, True, Path.ELSEWHERE),
        # Nobody enrolled anything, so nothing is strange about it.
        (Whoami.OWN, OURS, OURS, False, Path.VERIFIED),
        (Whoami.OTHER, OURS, (), True, Path.ELSEWHERE),
        (Whoami.UNSIGNED, (), (), False, Path.ELSEWHERE),
        (Whoami.SILENT, OURS, (), True, Path.UNKNOWN),
        (Whoami.SILENT, OURS, OURS, True, Path.ELSEWHERE),
        (Whoami.NOT_ASKED, OURS, (), True, Path.VERIFIED),
        (Whoami.NOT_ASKED, (), (), True, Path.UNKNOWN),
        (Whoami.NOT_ASKED, OURS, OURS, False, Path.UNKNOWN),
        (Whoami.NOT_ASKED, OURS, OURS, True, Path.ELSEWHERE),
    ],
)
def test_hints_amount_to_a_path(
    whoami: Whoami, egress: tuple[str, ...], strange: tuple[str, ...], enrolled: bool, expected: Path
) -> None:
    assert path(Hints(whoami, egress, strange, enrolled)) is expected


def test_an_address_is_foreign_that_no_network_holds() -> None:
    networks = ("192.0.2.0/28", "2001:db8::/48", "198.51.100.7/32")
    seen = ["192.0.2.15", "192.0.2.16", "2001:db8::1", "2001:db9::1", "198.51.100.7"]
    assert foreign(seen, networks) == ("192.0.2.16", "2001:db9::1")
    assert foreign(["192.0.2.1"], ()) == ("192.0.2.1",)
