from __future__ import annotations

import pytest

from compliance_api.domain.parties.bucket import Allowance
from compliance_api.usecases.membership import share
from compliance_api.usecases.membership.share import Share, Shares
from lachan.tls import Identity, Role

E1, E2, OTHER = Identity("a", Role.NODE, "e1"), Identity("a", Role.NODE, "e2"), Identity("b", Role.NODE, "e1")


def shares() -> Shares:
    party = Share(Allowance(1, 3), Allowance(10, 100))
    return Shares(party, Share(Allowance(1, 5), Allowance(10, 150)))


def test_a_party_has_its_calls_and_its_items() -> None:
    mine = shares()
    assert [mine.take(E1, 0, 0) for _ in range(3)] == [0, 0, 0]
    assert mine.take(E1, 0, 0) == 1
    assert mine.take(OTHER, 100, 0) == 0
    assert mine.take(OTHER, 10, 0) == 1


def test_the_parties_of_an_organisation_share_and_another_organisation_does_not_notice() -> None:
    mine = shares()
    assert [mine.take(E1, 0, 0) for _ in range(3)] + [mine.take(E2, 0, 0) for _ in range(2)] == [0] * 5
    assert mine.take(E2, 0, 0) == 1
    assert mine.take(OTHER, 0, 0) == 0


def test_a_refusal_takes_nothing_from_anybody() -> None:
    mine = shares()
    assert mine.take(E1, 100, 0) == 0
    # The organisation has 50 left, the other party 100.
    assert mine.take(E2, 90, 0) == 4
    assert mine.take(E2, 50, 0) == 0


def test_who_has_not_called_for_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "MAX_HOLDERS", 4)
    mine = shares()
    for _ in range(3):
        mine.take(E1, 0, 0)
    mine.take(OTHER, 0, 0)
    assert mine.take(E1, 0, 0) == 1
    for name in ("x", "y", "z"):
        mine.take(Identity(name, Role.NODE, "e1"), 0, 0)
    assert mine.take(E1, 0, 0) == 0
