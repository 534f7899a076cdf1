"""By which way a session went, from what its probe handed in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from compliance_api.domain.observation import Path
from compliance_api.domain.organisation import Jurisdiction, Label, Node, Organisation, OrganisationKind, Registry
from compliance_api.usecases.paths import Session, decide
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


def session(data: bytes | None, *egress: str, handed: bool = False, asked: bool = True) -> Session:
    word = (f"{NONCE}.{ZONE}", data) if data is not None else None
    return Session("a", b"i" * 16, "e1", AT, handed, "v", "n", "c", asked, word, egress)


@pytest.mark.parametrize(
    ("found", "path", "by"),
    [
        (session(told("a/e1"), "192.0.2.1"), Path.VERIFIED, "a/e1"),
        (session(told("a/e1"), "192.0.2.2"), Path.VERIFIED, "a/e1"),
        (session(told("a/e1"), "203.0.113.9"), Path.ELSEWHERE, "a/e1"),
        (session(told("a/e2")), Path.ELSEWHERE, "a/e2"),
        # A line's own resolver may be any of the operator's.
        (session(told("a/e2"), handed=True), Path.VERIFIED, "a/e2"),
        (session(told("b/e1"), handed=True), Path.ELSEWHERE, "b/e1"),
        # Somebody says that it is this node.
        (session(told("a/e1", key="b/e1")), Path.ELSEWHERE, ""),
        (session(told("a/e1", late=7200)), Path.ELSEWHERE, ""),
        # An answer to another nonce, kept from before.
        (session(told("a/e1", nonce="zzzzzzzz23456777")), Path.ELSEWHERE, ""),
        (session(told("a/e1", outcome=2)), Path.UNKNOWN, ""),
        (session(b"\xff"), Path.ELSEWHERE, ""),
        (session(None), Path.UNKNOWN, ""),
        (session(None, "192.0.2.1", asked=False), Path.VERIFIED, ""),
        (session(None, "203.0.113.9", asked=False), Path.ELSEWHERE, ""),
    ],
)
def test_a_path_is_decided(found: Session, path: Path, by: str) -> None:
    decided = decide(registry(), found)
    assert (decided.path, decided.answered_by) == (path, by)


def test_an_answer_without_a_word_is_somebody_elses() -> None:
    query = message.query(f"{NONCE}.{ZONE}", message.TXT, id=3)
    nothing = message.encode(replace(message.parse(query), is_response=True, rcode=message.NXDOMAIN))
    data = pb.Observation(
        resolver=pb.Exchange(outcome=pb.OUTCOME_ANSWERED, query=query, response=nothing)
    ).SerializeToString()
    assert decide(registry(), session(data)).path is Path.ELSEWHERE


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
