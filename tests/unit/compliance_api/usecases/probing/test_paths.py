"""By which way a session went, from what its probe handed in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from compliance_api.domain.observations.observation import Path
from compliance_api.domain.observations.path import Whoami
from compliance_api.domain.parties.organisation import (
    Jurisdiction,
    Label,
    Node,
    Organisation,
    OrganisationKind,
    Registry,
    Transport,
)
from compliance_api.usecases.probing.paths import Said, Session, answered_by, decide
from lachan import message
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.signing import SigningKey
from resolver import whoami

AT = datetime(2026, 6, 1, 5, tzinfo=UTC)
NAME = Label("x", "x")
KEYS = {name: SigningKey.generate() for name in ("a/e1", "a/e2", "b/e1")}
NONCE = "abcdefgh23456777"
ZONE = "whoami.dns.a.test"


def registry() -> Registry:
    def node(owner: str, name: str) -> Node:
        egress = (f"192.0.2.{name[1]}/32",) if owner == "a" else ()
        return Node(name, KEYS[f"{owner}/{name}"].public.raw, (), frozenset({"hcm"}), 0, egress)

    return Registry(
        (Jurisdiction("hcm", NAME),),
        (
            Organisation("a", OrganisationKind.OPERATOR, NAME, frozenset({"hcm"}), (node("a", "e1"), node("a", "e2"))),
            Organisation("b", OrganisationKind.OPERATOR, NAME, frozenset({"hcm"}), (node("b", "e1"),)),
        ),
    )


def told(signer: str, *, key: str = "", late: float = 0, nonce: str = NONCE, outcome: int = 1) -> bytes:
    """What a probe hands in where `signer` answers with the key of `key`."""
    query = message.query(f"{nonce}.{ZONE}", message.TXT, id=3)
    response = whoami.answer(query, ZONE, signer, KEYS[key or signer], AT.timestamp() + late) or b""
    return pb.Observation(
        asked_at_us=int(AT.timestamp() * 1e6),
        resolver=pb.Exchange(outcome=pb.Outcome.ValueType(outcome), query=query, response=response, tries=1),
    ).SerializeToString()


def session(
    data: bytes | None, *egress: str, handed: bool = False, asked: bool = True, transport: Transport = Transport.UDP
) -> Session:
    word = Said(f"{NONCE}.{ZONE}", data, AT, transport) if data is not None else None
    return Session("a", b"i" * 16, "e1", AT, handed, "v", "n", "c", asked, word, egress)


def said(rcode: int, *, certificate: bool | None = None) -> bytes:
    """What a probe hands in where nobody signs."""
    query = message.query(f"{NONCE}.{ZONE}", message.TXT, id=3)
    response = message.encode(replace(message.parse(query), is_response=True, rcode=rcode, edns=None))
    told = pb.Exchange(outcome=pb.OUTCOME_ANSWERED, query=query, response=response, tries=1)
    if certificate is not None:
        told.certificate_sha256, told.certificate_holds = bytes(32), certificate
    return pb.Observation(resolver=told).SerializeToString()


@pytest.mark.parametrize(
    ("found", "path", "by"),
    [
        (session(told("a/e1"), "192.0.2.1"), Path.VERIFIED, "a/e1"),
        (session(told("a/e1"), "192.0.2.2"), Path.VERIFIED, "a/e1"),
        (session(told("a/e1"), "203.0.113.9"), Path.VERIFIED, "a/e1"),
        (session(told("a/e2")), Path.ELSEWHERE, "a/e2"),
        (session(told("a/e2"), "192.0.2.2"), Path.ELSEWHERE, "a/e2"),
        # A line's own resolver may be any of the operator's.
        (session(told("a/e2"), handed=True), Path.VERIFIED, "a/e2"),
        (session(told("b/e1"), handed=True), Path.ELSEWHERE, "b/e1"),
        # Somebody says that it is this node: nobody signed.
        (session(told("a/e1", key="b/e1")), Path.UNKNOWN, ""),
        (session(told("a/e1", key="b/e1"), "203.0.113.9"), Path.ELSEWHERE, ""),
        (session(told("a/e1", late=7200)), Path.UNKNOWN, ""),
        # An answer to another nonce, kept from before.
        (session(told("a/e1", nonce="zzzzzzzz23456777")), Path.UNKNOWN, ""),
        (session(told("a/e1", outcome=2)), Path.UNKNOWN, ""),
        (session(b"\xff"), Path.UNKNOWN, ""),
        (session(None), Path.UNKNOWN, ""),
        (session(None, "192.0.2.1", asked=False), Path.VERIFIED, ""),
        (session(None, "203.0.113.9", asked=False), Path.ELSEWHERE, ""),
    ],
)
def test_a_path_is_decided(found: Session, path: Path, by: str) -> None:
    decided = decide(registry(), found)
    assert (decided.path, decided.answered_by) == (path, by)


@pytest.mark.parametrize("rcode", [message.NOERROR, message.FORMERR, message.SERVFAIL, message.NOTIMP, message.REFUSED])
def test_a_refusal_a_failure_or_nothing_is_silence(rcode: int) -> None:
    """A stranger who floods whoami has everybody refused: that says nothing against anybody."""
    assert answered_by(registry(), session(said(rcode))) == (Whoami.SILENT, "")
    assert decide(registry(), session(said(rcode))).path is Path.UNKNOWN
    assert decide(registry(), session(said(rcode), "192.0.2.1")).path is Path.VERIFIED


def test_an_answer_without_a_word_is_nobodys_and_says_nothing_alone() -> None:
    assert answered_by(registry(), session(said(message.NXDOMAIN))) == (Whoami.UNSIGNED, "")
    assert decide(registry(), session(said(message.NXDOMAIN))).path is Path.UNKNOWN


def test_a_certificate_that_holds_is_the_node_where_the_transport_has_one() -> None:
    def way(*, holds: bool, transport: Transport) -> Path:
        data = said(message.NXDOMAIN, certificate=holds)
        return decide(registry(), session(data, "203.0.113.9", transport=transport)).path

    assert way(holds=True, transport=Transport.DOT) is Path.VERIFIED
    assert way(holds=False, transport=Transport.DOH) is Path.ELSEWHERE
    assert way(holds=True, transport=Transport.UDP) is Path.ELSEWHERE


def test_the_time_is_the_service_s_and_not_the_probe_s() -> None:
    one = session(told("a/e1"))
    assert one.whoami is not None
    wrong = pb.Observation.FromString(one.whoami.observation)
    wrong.asked_at_us = 0
    data = wrong.SerializeToString()
    assert decide(registry(), session(data)).path is Path.VERIFIED


def test_who_nobody_enrolled_is_named() -> None:
    assert decide(registry(), session(told("a/e1"), "192.0.2.1", "203.0.113.9")).foreign == ("203.0.113.9",)


def without(name: str) -> Registry:
    """The registry after one of the first operator's nodes has left."""
    first, second = registry().organisations
    gone = tuple(one for one in first.nodes if one.name == name)
    nodes = tuple(one for one in first.nodes if one.name != name)
    return Registry(registry().jurisdictions, (replace(first, nodes=nodes, former=gone), second))


def test_a_session_with_a_node_that_has_left_since_is_decided_as_before() -> None:
    decided = decide(without("e1"), session(told("a/e1"), "192.0.2.1"))
    assert (decided.path, decided.answered_by, decided.foreign) == (Path.VERIFIED, "a/e1", ())


def test_where_another_node_that_has_left_still_answers_it_is_nobodys() -> None:
    decided = decide(without("e2"), session(told("a/e2"), "192.0.2.2", handed=True))
    assert (decided.path, decided.answered_by, decided.foreign) == (Path.ELSEWHERE, "", ("192.0.2.2",))
    assert decided.enrolled is False
