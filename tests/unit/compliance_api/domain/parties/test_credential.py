from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from compliance_api.domain.parties.credential import Membership, Objection, Shown
from compliance_api.domain.parties.organisation import (
    Label,
    Node,
    Organisation,
    OrganisationKind,
    Person,
    Probe,
    Registry,
)
from lachan.line import Line
from lachan.tls import Identity, Role

NAME = Label("x", "x")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
NODE, PROBE, PERSON = (
    Identity("a", Role.NODE, "e1"),
    Identity("so", Role.PROBE, "p1"),
    Identity("a", Role.PERSON, "an"),
)
REGISTRY = Registry(
    (),
    (
        Organisation("a", OrganisationKind.OPERATOR, NAME, frozenset(), (Node("e1", b"k", (), frozenset()),), (), b"R"),
        Organisation(
            "so",
            OrganisationKind.AUTHORITY,
            NAME,
            frozenset(),
            probes=(Probe("p1", b"k", "v", "n", "so", Line.CONSUMER),),
        ),
    ),
)
NOW = Membership(1, REGISTRY)


def shown(who: Identity, fingerprint: bytes = b"f", before: datetime = T0) -> Shown:
    return Shown(who, fingerprint, before)


def test_whoever_is_in_the_registry_may_call_under_their_role() -> None:
    for who in (NODE, PROBE, PERSON, Identity("so", Role.SERVICE, "lists")):
        assert NOW.objection(shown(who)) is None
    for who in (
        Identity("a", Role.NODE, "p1"),
        Identity("so", Role.NODE, "p1"),
        Identity("a", Role.PROBE, "e1"),
        Identity("nobody", Role.PERSON, "an"),
    ):
        assert NOW.objection(shown(who)) is Objection.UNKNOWN


def test_each_organisation_has_its_authorities() -> None:
    assert (NOW.roots("a"), NOW.roots("so"), NOW.roots("nobody")) == (b"R", b"", None)


def test_an_enrolled_party_is_known_by_what_it_was_issued_alone() -> None:
    enrolled = replace(NOW, issued={NODE: frozenset({b"f", b"g"})})
    assert enrolled.objection(shown(NODE)) is enrolled.objection(shown(NODE, b"g")) is None
    # Well signed, by whoever has the authority's key.
    assert enrolled.objection(shown(NODE, b"minted")) is Objection.NOT_ISSUED
    # Its organisation's people are not enrolled this way.
    assert enrolled.objection(shown(PERSON, b"own")) is None


def test_a_revoked_party_is_out_with_every_certificate() -> None:
    revoked = replace(NOW, revoked=frozenset({NODE}), revoked_at={NODE: T0})
    assert revoked.objection(shown(NODE, b"new", T0 + timedelta(days=1))) is Objection.REVOKED
    assert revoked.objection(shown(PERSON)) is None


def test_after_it_came_back_what_was_made_before_stays_out() -> None:
    back = replace(NOW, revoked_at={NODE: T0})
    assert back.objection(shown(NODE, b"old", T0 - timedelta(days=1))) is Objection.REVOKED
    assert back.objection(shown(NODE, b"same", T0)) is Objection.REVOKED
    assert back.objection(shown(NODE, b"new", T0 + timedelta(seconds=1))) is None


def test_one_certificate_can_be_revoked() -> None:
    one = replace(NOW, revoked_certificates=frozenset({b"f"}))
    assert one.objection(shown(NODE)) is Objection.REVOKED
    assert one.objection(shown(NODE, b"g")) is None


def test_where_people_are_enrolled_nobody_speaks_as_another() -> None:
    a, so = REGISTRY.organisations
    enrolled = replace(NOW, registry=Registry((), (replace(a, people=(Person("an", b"k"),)), so)))
    assert enrolled.objection(shown(PERSON)) is None
    assert enrolled.objection(shown(Identity("a", Role.PERSON, "binh"))) is Objection.UNKNOWN
    # Where nobody is yet: whoever an organisation's own authorities vouch for, and nobody by ours alone.
    assert NOW.objection(shown(Identity("a", Role.PERSON, "binh"))) is None
    assert NOW.objection(shown(Identity("so", Role.PERSON, "binh"))) is Objection.UNKNOWN
