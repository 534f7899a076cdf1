"""Addresses that no reference gave."""

from __future__ import annotations

from dataclasses import replace

from compliance_api.domain.observations.observation import Answer, Exchange, Outcome, Result, Seen, Shape
from compliance_api.domain.observations.strange import StrangeAddress, shared, strange
from tests.support.cases import sighting

ANSWERED = Seen(Result.NOT_BLOCKED, Shape.ANSWER, True)


def answered(*addresses: str) -> Exchange:
    return Exchange(Outcome.ANSWERED, 1, Answer(0, False, len(addresses), addresses, frozenset()))


def test_what_a_reference_gave_is_not_strange() -> None:
    references = [answered("192.0.2.1", "192.0.2.2"), answered("192.0.2.3")]
    assert strange(answered("192.0.2.3", "192.0.2.1"), references, ANSWERED) == ()
    assert strange(answered("192.0.2.3", "203.0.113.1"), references, ANSWERED) == ("203.0.113.1",)
    # A name behind many addresses fills no row.
    assert len(strange(answered(*(f"203.0.113.{number}" for number in range(20))), references, ANSWERED)) == 4


def test_nothing_is_strange_where_nothing_can_be_said() -> None:
    assert strange(answered("203.0.113.1"), [answered("192.0.2.1")], replace(ANSWERED, reference_alive=False)) == ()
    blocked = Seen(Result.BLOCKED, Shape.SINKHOLE, True)
    assert strange(answered("203.0.113.1"), [answered("192.0.2.1")], blocked) == ()
    assert strange(Exchange(Outcome.TIMEOUT, 3, None), [], ANSWERED) == ()


def test_names_count_by_the_address_that_most_of_them_share() -> None:
    def missed(name: str, *addresses: str) -> list[object]:
        return [replace(sighting(name, 5, blocked=False), strange=addresses)]

    names = [missed("a", "203.0.113.1"), missed("b", "203.0.113.1", "203.0.113.2"), missed("c"), missed("d", "x")]
    assert shared(names) == 2  # type: ignore[arg-type]  # of Sighting
    assert shared([]) == 0


def test_a_proposal_is_an_entry_of_the_file_of_shapes() -> None:
    one = StrangeAddress("operator-a", "203.0.113.1", 40, 9, 0)
    assert one.proposal() == '- {operators: [operator-a], addresses: ["203.0.113.1"], source: "…"}'
