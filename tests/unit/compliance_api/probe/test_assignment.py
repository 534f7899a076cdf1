from __future__ import annotations

import pytest

from compliance_api.probe.assignment import MAX_PROBLEMS, MAX_QUESTIONS, Arm, check, parse
from compliance_api.probe.errors import AssignmentError
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.compliance.v1 import report_pb2


def message(**changes: object) -> pb.Assignment:
    fields: dict[str, object] = {
        "assignment_id": bytes(16),
        "organisation": "operator-a",
        "resolver": pb.Endpoint(address="192.0.2.1", port=53, transport=report_pb2.TRANSPORT_UDP),
        "reference": pb.Endpoint(address="2001:db8::1", port=53, transport=report_pb2.TRANSPORT_TCP),
        "questions": [pb.Question(index=0, qname="Bad.Example", qtype=1, arm=pb.ARM_LISTED)],
        "spread_seconds": 600,
        "expires_at": 2_000_000_000,
    }
    return pb.Assignment(**(fields | changes))  # type: ignore[arg-type]  # protobuf checks the values


def test_a_good_assignment_is_taken_over() -> None:
    assignment = parse(message().SerializeToString())
    assert assignment.resolver.address == "192.0.2.1"
    assert not assignment.resolver.tcp
    assert assignment.reference.tcp
    assert assignment.questions[0].qname == "bad.example"
    assert assignment.questions[0].arm is Arm.LISTED


def test_every_problem_is_named_at_once() -> None:
    bad = message(
        assignment_id=b"short",
        organisation="No Such",
        resolver=pb.Endpoint(address="resolver.example", port=70000),
        questions=[pb.Question(index=3, qname="a..b", qtype=0), pb.Question(index=3, qname="x" * 64, qtype=1, arm=9)],
        spread_seconds=1_000_000,
    )
    with pytest.raises(AssignmentError) as caught:
        check(bad)
    places = " ".join(caught.value.problems)
    for place in (
        "assignment_id",
        "organisation",
        "resolver.address",
        "resolver.port",
        "resolver.transport",
        "questions[3].qname",
        "questions[3].qtype",
        "questions[3].arm",
        "spread_seconds",
        "index is given twice",
    ):
        assert place in places


@pytest.mark.parametrize("count", [0, MAX_QUESTIONS + 1])
def test_the_number_of_questions_is_bounded(count: int) -> None:
    questions = [pb.Question(index=index, qname="a.example", qtype=1, arm=pb.ARM_LISTED) for index in range(count)]
    with pytest.raises(AssignmentError, match="questions"):
        check(message(questions=questions))


def test_the_number_of_problems_is_bounded() -> None:
    with pytest.raises(AssignmentError) as caught:
        check(message(questions=[pb.Question(index=index) for index in range(500)]))
    assert len(caught.value.problems) == MAX_PROBLEMS


def test_bytes_that_are_no_assignment_are_refused() -> None:
    with pytest.raises(AssignmentError, match="not a serialised assignment"):
        parse(b"\xff\xff\xff")
