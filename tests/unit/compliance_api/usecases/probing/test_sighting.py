from __future__ import annotations

import pytest

from compliance_api.domain.observations.observation import Exchange, Outcome, Result, Shape, classify
from compliance_api.domain.observations.shapes import ShapeText
from compliance_api.usecases.probing.sighting import exchange
from lachan import message
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.labels import wire_name
from lachan.reply import Reply, address_record, name_record, record, respond, soa_record
from tests.support.cases import NOW
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


NAME = "listed.example"
PAGES = ShapeText.model_validate(
    {
        "version": "v1",
        "effective_from": NOW,
        "pages": [{"addresses": ["192.0.2.80", "2001:db8::80"], "names": ["page.isp.example"]}],
    }
).shapes("a")
SOA_OF_IT = soa_record(NAME, 10, "ns.example", "host.example", (1, 2, 3, 4, 5))


def on_the_wire(reply: Reply, qtype: int = 1, *, do: bool = False, without_question: bool = False) -> Exchange:
    """What a service reads out of the packets of one exchange."""
    asked = message.query(NAME, qtype, id=99, edns=message.Edns(do=do))
    answered = respond(asked, reply)
    if without_question:
        answered = answered[:4] + bytes(8)
    return exchange(pb.Exchange(outcome=pb.OUTCOME_ANSWERED, query=asked, response=answered, tries=1), NAME, qtype)


def address(text: str, owner: str = NAME) -> message.Record:
    return address_record(owner, 60, text)


def alias(target: str) -> message.Record:
    return name_record(NAME, message.CNAME, 60, target)


def https(target: str = "") -> message.Record:
    return record(NAME, 65, 60, b"\0\1" + (wire_name(target) if target else b"\0"))


EDE = tuple(message.ExtendedError(code) for code in (15, 16, 17, 22))


@pytest.mark.parametrize(
    ("seen", "shape", "result"),
    [
        (on_the_wire(Reply(message.NXDOMAIN, authority=(SOA_OF_IT,))), Shape.NXDOMAIN, Result.BLOCKED),
        (on_the_wire(Reply(message.NXDOMAIN), 28, do=True), Shape.NXDOMAIN, Result.BLOCKED),
        (on_the_wire(Reply(authority=(SOA_OF_IT,))), Shape.NODATA, Result.BLOCKED),
        (on_the_wire(Reply(), 65), Shape.NODATA, Result.BLOCKED),
        (on_the_wire(Reply(answers=(address("0.0.0.0"),))), Shape.NULL_ADDRESS, Result.BLOCKED),
        (on_the_wire(Reply(answers=(address("127.0.0.1"),))), Shape.NULL_ADDRESS, Result.BLOCKED),
        (on_the_wire(Reply(answers=(address("::"),)), 28), Shape.NULL_ADDRESS, Result.BLOCKED),
        (on_the_wire(Reply(answers=(address("192.0.2.80"),))), Shape.SINKHOLE, Result.BLOCKED),
        (on_the_wire(Reply(answers=(address("2001:db8::80"),)), 28), Shape.SINKHOLE, Result.BLOCKED),
        (
            on_the_wire(Reply(answers=(alias("A7.Page.ISP.example"), address("198.51.100.1", "a7.page.isp.example")))),
            Shape.FORGED_CNAME,
            Result.BLOCKED,
        ),
        (on_the_wire(Reply(answers=(alias("page.isp.example"),))), Shape.FORGED_CNAME, Result.BLOCKED),
        # An alias to nowhere denies the name as well as no alias does.
        (on_the_wire(Reply(message.NXDOMAIN, answers=(alias("gone.example"),))), Shape.NXDOMAIN, Result.BLOCKED),
        *(
            (on_the_wire(Reply(rcode, errors=(error,))), Shape.EDE, Result.BLOCKED)
            for rcode in (message.NOERROR, message.NXDOMAIN, message.REFUSED, message.SERVFAIL)
            for error in EDE[:3]
        ),
        (on_the_wire(Reply(message.SERVFAIL, errors=EDE[3:])), Shape.FAILURE, Result.INCONCLUSIVE),
        (on_the_wire(Reply(message.SERVFAIL)), Shape.FAILURE, Result.INCONCLUSIVE),
        (on_the_wire(Reply(message.REFUSED)), Shape.REFUSED, Result.INCONCLUSIVE),
        (on_the_wire(Reply(message.REFUSED), without_question=True), Shape.REFUSED, Result.INCONCLUSIVE),
        (on_the_wire(Reply(message.NXDOMAIN), without_question=True), Shape.MALFORMED, Result.INCONCLUSIVE),
        (on_the_wire(Reply(message.NOTIMP)), Shape.FAILURE, Result.INCONCLUSIVE),
        (on_the_wire(Reply(answers=(address("198.51.100.7"),))), Shape.ANSWER, Result.NOT_BLOCKED),
        (
            on_the_wire(Reply(answers=(address("192.0.2.80"), address("198.51.100.7")))),
            Shape.ANSWER,
            Result.NOT_BLOCKED,
        ),
        (
            on_the_wire(Reply(answers=(alias("www.example"), address("198.51.100.7", "www.example")), errors=EDE[:1])),
            Shape.ANSWER,
            Result.NOT_BLOCKED,
        ),
        (on_the_wire(Reply(answers=(https(),)), 65, do=True), Shape.ANSWER, Result.NOT_BLOCKED),
    ],
)
def test_every_shape_is_known_by_its_packets(seen: Exchange, shape: Shape, result: Result) -> None:
    alive = on_the_wire(Reply(answers=(address("198.51.100.7"),)))
    found = classify(seen, [alive, alive], PAGES)
    assert (found.shape, found.result) == (shape, result)


def test_what_never_came_has_a_shape_too() -> None:
    alive = on_the_wire(Reply(answers=(address("198.51.100.7"),)))
    for outcome, tries, shape in (
        (pb.OUTCOME_TIMEOUT, 3, Shape.TIMEOUT),
        (pb.OUTCOME_TIMEOUT, 2, Shape.FEW_TRIES),
        (pb.OUTCOME_UNREACHABLE, 3, Shape.UNREACHABLE),
        (pb.OUTCOME_MALFORMED, 3, Shape.MALFORMED),
    ):
        found = classify(exchange(pb.Exchange(outcome=outcome, tries=tries), NAME, 1), [alive, alive], PAGES)
        assert (found.shape, found.result) == (shape, Result.INCONCLUSIVE)


def test_a_reference_asked_too_long_after_says_nothing() -> None:
    raw_alive = raw(*packets(NAME, 1, blocked=False))
    soon = exchange(raw_alive, NAME, 1)
    raw_alive.asked_after_us = 600_000_001
    late = exchange(raw_alive, NAME, 1)
    blocked = on_the_wire(Reply(message.NXDOMAIN))
    assert classify(blocked, [soon, soon], PAGES).reference_alive
    assert not classify(blocked, [soon, late], PAGES).reference_alive
