from __future__ import annotations

import ipaddress

import pytest

from compliance_api.probe.linecheck import CANARY, Asked, Check, Purpose, Result, State, Subject, judge
from lachan import message
from lachan.asking import Outcome, Transport
from lachan.exchange import Exchange
from lachan.reply import Reply, address_record, respond, txt_record
from lachan.signing import SigningKey
from lachan.whoami import Whoami

EGRESSES = (ipaddress.ip_network("203.0.113.0/28"),)
NONCE = "4f9a1c2e7b"
NAME = f"{NONCE}.line.example"
ALIVE = Reply(answers=(txt_record(NAME, 0, b"egress=203.0.113.5"),))
ELSEWHERE = Reply(answers=(txt_record(NAME, 0, b"egress=198.51.100.1"),))
NODE = Whoami.make(SigningKey.generate(), NONCE, "operator-a/hcm-1", 1_700_000_000)


def asked(
    purpose: Purpose,
    reply: Reply | None,
    transport: Transport = Transport.UDP,
    address: str = "203.0.113.53",
    qname: str = NAME,
    *,
    holds: bool = True,
) -> Asked:
    query = message.query(qname, message.TXT, id=1)
    if reply is None:
        return Asked(purpose, address, qname, Exchange(Outcome.TIMEOUT, transport, query, b"", None, 3, 0.1))
    said = respond(query, reply)
    done = Exchange(Outcome.ANSWERED, transport, query, said, message.parse(said), 1, 0.1, certificate_holds=holds)
    return Asked(purpose, address, qname, done)


OWN = asked(Purpose.OWN, ALIVE, address="192.0.2.1")
SIGNAL = asked(Purpose.CANARY, Reply(message.NXDOMAIN), qname=CANARY)


def states(*more: Asked) -> dict[Subject, State]:
    return {check.subject: check.state for check in judge(more, EGRESSES).checks}


def test_a_closed_line() -> None:
    result = judge([OWN, SIGNAL, asked(Purpose.OTHER, None), asked(Purpose.SILENT, None)], EGRESSES)
    assert [check.state for check in result.checks] == [
        State.WORKS,
        State.CLOSED,
        State.CLOSED,
        State.CLOSED,
        State.NONE,
        State.SET,
    ]
    assert (result.open, result.decided) == (False, True)


@pytest.mark.parametrize(
    ("transport", "subject"),
    [
        (Transport.UDP, Subject.OTHER_UDP_53),
        (Transport.TCP, Subject.OTHER_TCP_53),
        (Transport.DOT, Subject.OTHER_TLS_853),
    ],
)
def test_another_resolver_is_reached(transport: Transport, subject: Subject) -> None:
    result = judge([OWN, SIGNAL, asked(Purpose.OTHER, ALIVE, transport)], EGRESSES)
    assert [check for check in result.checks if check.state is State.OPEN] == [
        Check(subject, State.OPEN, ("203.0.113.53",))
    ]
    assert result.open
    # An answer without a word on who asked is an answer all the same, whatever it says.
    for reply in (Reply(message.NXDOMAIN), Reply(message.REFUSED), Reply(answers=(txt_record(NAME, 0, b"egress=x"),))):
        assert states(OWN, asked(Purpose.OTHER, reply, transport))[subject] is State.OPEN


def test_who_answers_in_anothers_place_is_no_way_round() -> None:
    between = [asked(Purpose.SILENT, ALIVE, address="203.0.113.54"), asked(Purpose.OTHER, ALIVE)]
    found = states(OWN, *between)
    assert (found[Subject.OTHER_UDP_53], found[Subject.INTERCEPTION]) == (State.INTERCEPTED, State.INTERCEPTED)
    assert found[Subject.OTHER_TCP_53] is State.CLOSED
    # The authority's name server was asked by somebody else than the resolver that was.
    assert states(OWN, asked(Purpose.OTHER, ELSEWHERE))[Subject.OTHER_UDP_53] is State.INTERCEPTED
    # The certificate is somebody else's.
    forged = asked(Purpose.OTHER, ALIVE, Transport.DOT, holds=False)
    assert states(OWN, forged)[Subject.OTHER_TLS_853] is State.INTERCEPTED


def test_whoever_answers_is_named_where_they_name_themselves() -> None:
    told = Reply(answers=(txt_record(NAME, 0, *NODE.strings()),))
    result = judge(
        [
            OWN,
            asked(Purpose.WHOAMI, told, address="192.0.2.1"),
            asked(Purpose.SILENT, ALIVE, address="203.0.113.54"),
            asked(Purpose.WHOAMI, told, address="203.0.113.54"),
            asked(Purpose.WHOAMI, ALIVE, address="203.0.113.54"),
        ],
        EGRESSES,
    )
    details = {check.subject: check.details for check in result.checks}
    assert details[Subject.OWN_RESOLVER] == ("192.0.2.1 (operator-a/hcm-1)",)
    assert details[Subject.INTERCEPTION] == ("203.0.113.54 (operator-a/hcm-1)",)


def test_on_a_dead_line_silence_says_nothing() -> None:
    result = judge([asked(Purpose.OWN, None), asked(Purpose.OTHER, None), asked(Purpose.SILENT, None)], EGRESSES)
    assert {check.state for check in result.checks} == {State.UNKNOWN}
    assert (result.open, result.decided) == (False, False)
    assert judge([], EGRESSES) == Result(tuple(Check(subject, State.UNKNOWN) for subject in Subject))


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (Reply(message.NXDOMAIN), State.SET),
        (Reply(), State.SET),
        (Reply(answers=(address_record(CANARY, 60, "192.0.2.7"),)), State.NOT_SET),
        (Reply(message.SERVFAIL), State.UNKNOWN),
        (None, State.UNKNOWN),
    ],
)
def test_the_signal_to_browsers(reply: Reply | None, state: State) -> None:
    signal = asked(Purpose.CANARY, reply, qname=CANARY)
    result = judge([OWN, signal], EGRESSES)
    assert result.checks[-1] == Check(Subject.CANARY, state)
    assert result.open == (state is State.NOT_SET)
