from __future__ import annotations

from datetime import timedelta

import pytest

from compliance_api.domain.observations.observation import Arm
from compliance_api.domain.parties.organisation import Endpoint, Transport
from compliance_api.probe.assignment import Arm as ProbeArm
from compliance_api.probe.assignment import check
from compliance_api.probe.errors import AssignmentError
from compliance_api.rpc.probe import message
from compliance_api.usecases.probing.assignment import Assignment, Question, Work
from lachan.asking import Transport as Asked
from lachan.line import Line
from tests.support.cases import NOW


def test_a_probe_understands_its_assignment() -> None:
    assignment = Assignment("a", b"i" * 16, b"r" * 16, "so", "p1", NOW, NOW + timedelta(minutes=1), (0, 1, 2))
    questions = (
        Question("listed.example", 1, Arm.LISTED, 1, "OR-1", 1, NOW),
        Question("control.example", 28, Arm.CONTROL),
        Question("near.example", 65, Arm.NEIGHBOUR),
    )
    resolver, reference = Endpoint("192.0.2.1", 53, Transport.UDP), Endpoint("2001:db8::1", 5353, Transport.TCP)
    second = Endpoint("192.0.2.53", 443, Transport.DOH, "dns.example", "/ask")
    sent = message(Work(assignment, resolver, reference, second, questions, 30.0))
    read = check(sent, Line.CONSUMER)
    assert [(one.index, one.qname, one.qtype, one.arm) for one in read.questions] == [
        (0, "listed.example", 1, ProbeArm.LISTED),
        (1, "control.example", 28, ProbeArm.CONTROL),
        (2, "near.example", 65, ProbeArm.NEIGHBOUR),
    ]
    assert (read.resolver.address, read.resolver.transport) == ("192.0.2.1", Asked.UDP)
    assert [(one.address, one.port, one.transport, one.server_name, one.path) for one in read.references] == [
        ("2001:db8::1", 5353, Asked.TCP, "", ""),
        ("192.0.2.53", 443, Asked.DOH, "dns.example", "/ask"),
    ]
    with pytest.raises(AssignmentError, match=r"questions\[0\].any_line: may not be asked from a school line"):
        check(sent, Line.SCHOOL)
    assert (read.spread_s, read.expires_at) == (30, int(NOW.timestamp()) + 60)
    assert [one.any_line for one in sent.questions] == [False, True, True], "abuse of children is for few lines"
    assert b"OR-1" not in sent.SerializeToString(), "a probe is not told why a name is listed"
