from __future__ import annotations

import pytest

from compliance_api.probe.assignment import MAX_PROBLEMS, MAX_QUESTIONS, Arm, check, parse
from compliance_api.probe.errors import AssignmentError
from lachan.asking import Transport
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.compliance.v1 import report_pb2
from lachan.line import Line


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
    assignment = parse(message().SerializeToString(), Line.CONSUMER)
    assert assignment.resolver.address == "192.0.2.1"
    assert assignment.resolver.transport is Transport.UDP
    assert [one.transport for one in assignment.references] == [Transport.TCP]
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
        check(bad, Line.CONSUMER)
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
        check(message(questions=questions), Line.CONSUMER)


def test_the_number_of_problems_is_bounded() -> None:
    with pytest.raises(AssignmentError) as caught:
        check(message(questions=[pb.Question(index=index) for index in range(500)]), Line.CONSUMER)
    assert len(caught.value.problems) == MAX_PROBLEMS


def test_bytes_that_are_no_assignment_are_refused() -> None:
    with pytest.raises(AssignmentError, match="not a serialised assignment"):
        parse(b"\xff\xff\xff", Line.CONSUMER)


@pytest.mark.parametrize("line", list(Line))
def test_abuse_of_children_is_never_asked_about_from_a_schools_or_a_volunteers_line(line: Line) -> None:
    # The service says of a name that it may be asked anywhere; where it says nothing, it may not.
    asked = [
        pb.Question(index=0, qname="a.example", qtype=1, arm=pb.ARM_LISTED, any_line=True),
        pb.Question(index=1, qname="control.example", qtype=1, arm=pb.ARM_CONTROL),
        pb.Question(index=2, qname="secret.example", qtype=1, arm=pb.ARM_LISTED),
    ]
    assert len(check(message(questions=asked[:2]), line).questions) == 2
    if line in {Line.AUTHORITY, Line.CONSUMER}:
        assert len(check(message(questions=asked), line).questions) == 3
        return
    with pytest.raises(AssignmentError) as caught:
        check(message(questions=asked), line)
    assert caught.value.problems == [f"questions[2].any_line: may not be asked from a {line} line"]
    assert "secret" not in str(caught.value)


def test_encrypted_transports_and_two_references_are_taken_over() -> None:
    assignment = check(
        message(
            resolver=pb.Endpoint(port=853, transport=report_pb2.TRANSPORT_DOT, server_name="DNS.Example"),
            second_reference=pb.Endpoint(address="192.0.2.9", port=443, transport=report_pb2.TRANSPORT_DOH, path="/q"),
            questions=[pb.Question(index=0, qname="n1.whoami.example", qtype=16, arm=pb.ARM_WHOAMI, dnssec_ok=True)],
        ),
        Line.SCHOOL,
    )
    # Without an address: whatever the line is handed out.
    assert (assignment.resolver.address, assignment.resolver.server_name) == ("", "dns.example")
    assert [(one.transport, one.path) for one in assignment.references] == [(Transport.TCP, ""), (Transport.DOH, "/q")]
    (question,) = assignment.questions
    assert (question.dnssec_ok, question.arm.needs_references) == (True, False)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"server_name": "a..b"}, "resolver.server_name"),
        ({"path": "no-slash"}, "resolver.path"),
        ({"path": "/" + "x" * 128}, "resolver.path"),
        ({"path": "/a\r\nb"}, "resolver.path"),
        ({"transport": report_pb2.TRANSPORT_DOQ}, "resolver.transport"),
    ],
)
def test_an_endpoint_is_bounded(changes: dict[str, object], place: str) -> None:
    fields: dict[str, object] = {"address": "192.0.2.1", "port": 443, "transport": report_pb2.TRANSPORT_DOH}
    resolver = pb.Endpoint(**(fields | changes))  # type: ignore[arg-type]  # protobuf checks the values
    with pytest.raises(AssignmentError, match=place):
        check(message(resolver=resolver), Line.CONSUMER)


def test_a_reference_is_never_left_to_the_line() -> None:
    empty = pb.Endpoint(port=53, transport=report_pb2.TRANSPORT_UDP)
    with pytest.raises(AssignmentError, match=r"reference.address.*second_reference.address"):
        check(message(reference=empty, second_reference=empty), Line.CONSUMER)
