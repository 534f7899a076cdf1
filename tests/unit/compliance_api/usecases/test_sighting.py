from __future__ import annotations

import pytest

from compliance_api.domain.observation import Outcome
from compliance_api.usecases.sighting import exchange
from lachan.compliance.v1 import probe_service_pb2 as pb
from tests.support.compliance import packets

QUERY, BLOCKED = packets("Listed.example", 1, blocked=True)
_, ALIVE = packets("listed.example", 1, blocked=False)


def raw(query: bytes, response: bytes, outcome: pb.Outcome.ValueType = pb.OUTCOME_ANSWERED) -> pb.Exchange:
    return pb.Exchange(outcome=outcome, query=query, response=response, tries=2)


def test_an_answer_is_read_from_its_packets() -> None:
    blocked = exchange(raw(QUERY, BLOCKED), "listed.example", 1)
    assert blocked.answer is not None
    assert (blocked.outcome, blocked.tries, blocked.answer.rcode) == (Outcome.ANSWERED, 2, 3)
    assert blocked.answer.extended_errors == {16}
    alive = exchange(raw(QUERY, ALIVE), "listed.example", 1)
    assert alive.answer is not None
    assert (alive.answer.addresses, alive.answer.records) == (("192.0.2.1",), 1)


@pytest.mark.parametrize(
    ("query", "response", "qname", "qtype"),
    [
        (QUERY, ALIVE, "other.example", 1),
        (QUERY, ALIVE, "listed.example", 28),
        (QUERY, b"\0\1" + ALIVE[2:], "listed.example", 1),
        (QUERY, QUERY, "listed.example", 1),
        (QUERY, packets("other.example", 1, blocked=False)[1], "listed.example", 1),
        (QUERY, b"", "listed.example", 1),
        (b"junk", ALIVE, "listed.example", 1),
    ],
)
def test_what_answers_something_else_is_malformed(query: bytes, response: bytes, qname: str, qtype: int) -> None:
    found = exchange(raw(query, response), qname, qtype)
    assert (found.outcome, found.answer) == (Outcome.MALFORMED, None)


@pytest.mark.parametrize(
    ("outcome", "meaning"),
    [
        (pb.OUTCOME_TIMEOUT, Outcome.TIMEOUT),
        (pb.OUTCOME_UNREACHABLE, Outcome.UNREACHABLE),
        (pb.OUTCOME_MALFORMED, Outcome.MALFORMED),
        (pb.OUTCOME_UNSPECIFIED, Outcome.MALFORMED),
    ],
)
def test_an_exchange_without_an_answer_has_none_whatever_it_carries(
    outcome: pb.Outcome.ValueType, meaning: Outcome
) -> None:
    found = exchange(raw(QUERY, ALIVE, outcome), "listed.example", 1)
    assert (found.outcome, found.answer) == (meaning, None)
