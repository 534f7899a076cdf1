from __future__ import annotations

from compliance_api.domain.parties.organisation import (
    Endpoint,
    Label,
    Node,
    Organisation,
    OrganisationKind,
    Probe,
    Registry,
    Transport,
)
from lachan.line import Line

NAME = Label("x", "x")
NODE = Node("e1", b"", (), frozenset({"hcm"}))
PROBE = Probe("p1", b"", "v", "n", "so", Line.CONSUMER, frozenset({"a"}))
REGISTRY = Registry(
    (),
    (
        Organisation("so", OrganisationKind.AUTHORITY, NAME, frozenset(), probes=(PROBE,)),
        Organisation("a", OrganisationKind.OPERATOR, NAME, frozenset({"hcm"}), (NODE,)),
    ),
)


def test_parties_are_found_by_the_names_in_their_certificates() -> None:
    assert REGISTRY.node("a", "e1") is NODE
    assert REGISTRY.probe("so", "p1") is PROBE
    for organisation, name in (("a", "e2"), ("so", "e1"), ("nobody", "e1")):
        assert REGISTRY.node(organisation, name) is None
    for organisation, name in (("so", "p2"), ("a", "p1"), ("nobody", "p1")):
        assert REGISTRY.probe(organisation, name) is None
    assert [one.identifier for one in REGISTRY.operators()] == ["a"]


def test_a_node_that_left_is_judged_and_nothing_else() -> None:
    gone = Node("e0", b"k", (), frozenset({"hcm"}))
    owner = Organisation("a", OrganisationKind.OPERATOR, NAME, frozenset({"hcm"}), (NODE,), former=(gone,))
    registry = Registry((), (owner,))
    assert owner.judged == (NODE, gone)
    assert (owner.node("e0"), registry.node("a", "e0")) == (None, None)
    assert registry.judged_node("a", "e0") is gone
    assert registry.judged_node("a", "e1") is NODE


def test_a_probe_reaches_all_operators_or_the_named_ones() -> None:
    assert (PROBE.reaches("a"), PROBE.reaches("b")) == (True, False)
    assert Probe("p", b"", "v", "n", "so", Line.CONSUMER).reaches("b")


def test_an_endpoint_is_written_as_people_write_it() -> None:
    assert str(Endpoint("192.0.2.1", 53, Transport.UDP)) == "udp://192.0.2.1:53"
    assert str(Endpoint("2001:db8::1", 853, Transport.DOT)) == "dot://[2001:db8::1]:853"


def test_a_line_is_handed_resolvers_by_the_one_operator_whose_customer_it_is() -> None:
    assert PROBE.is_handed("a")
    assert not PROBE.is_handed("b")
    for line, operators in ((Line.AUTHORITY, {"a"}), (Line.CONSUMER, {"a", "b"}), (Line.CONSUMER, set())):
        assert not Probe("p", b"", "v", "n", "so", line, frozenset(operators)).is_handed("a")
    assert Endpoint("", 53, Transport.UDP).family == 0
    assert Endpoint("2001:db8::1", 53, Transport.UDP).family == 6
