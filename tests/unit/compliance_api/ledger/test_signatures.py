from __future__ import annotations

import pytest

from compliance_api.ledger import evidence
from compliance_api.ledger.outside import Outside
from compliance_api.ledger.pack import PackError
from compliance_api.ledger.signatures import ForgedError, Signers, UnknownKeyError
from lachan import canonical, signing
from lachan.compliance.v1 import challenge_service_pb2, probe_service_pb2, report_pb2
from lachan.ledger.batch import signed
from lachan.ledger.leaf import Kind
from lachan.signing import SigningKey
from tests.support.evidence import told_of

FORMER, NODE, PROBE = (SigningKey.generate() for _ in range(3))
ASSIGNED = {"type": "assignment", "assignment": "0a" * 16, "probe": "so/p1"}
SEEN = probe_service_pb2.Observation(assignment_id=b"\x0a" * 16).SerializeToString()


def report(key: SigningKey, organisation: str = "a", node: str = "edge-1") -> bytes:
    message = report_pb2.Report(organisation=organisation, node=node).SerializeToString()
    return signed(message, key.sign(signing.REPORT, message), key.public.key_id)


def observation(key: SigningKey) -> bytes:
    return signed(SEEN, key.sign(signing.OBSERVATION, SEEN), key.public.key_id)


def signers(outside: Outside | None = None) -> Signers:
    made = Signers(outside or Outside())
    made.learn(0, Kind.ENROLMENT, told_of("a/node/edge-1", FORMER.public))
    made.learn(1, Kind.ENROLMENT, told_of("so/probe/p1", PROBE.public))
    made.learn(2, Kind.ASSIGNMENT, canonical.encode(ASSIGNED))
    made.learn(5, Kind.ENROLMENT, told_of("a/node/edge-1", NODE.public))
    return made


def test_a_key_counts_from_the_leaf_on_that_told_of_it() -> None:
    known = signers()
    known.check(3, Kind.REPORT, report(FORMER), "a/edge-1")
    known.check(9, Kind.REPORT, report(NODE), "a/edge-1")
    # What was signed before the new key may come after it.
    known.check(9, Kind.REPORT, report(FORMER), "a/edge-1")
    known.check(3, Kind.OBSERVATION, observation(PROBE), "a/edge-1")
    with pytest.raises(ForgedError, match="signature of lachan://a/node/edge-1"):
        known.check(3, Kind.REPORT, report(NODE), "a/edge-1")
    with pytest.raises(UnknownKeyError, match="lachan://a/node/edge-1"):
        Signers(Outside()).check(3, Kind.REPORT, report(NODE), "a/edge-1")


def test_a_key_that_the_authority_alone_knows_of_is_none_of_the_operators() -> None:
    node = "lachan://a/node/edge-1"
    known = signers(Outside({node: frozenset({FORMER.public.raw})}))
    known.check(9, Kind.REPORT, report(FORMER), "a/edge-1")
    known.check(9, Kind.OBSERVATION, observation(PROBE), "a/edge-1")
    with pytest.raises(ForgedError, match=f"a key of {node} that is none of those you brought"):
        known.check(9, Kind.REPORT, report(NODE), "a/edge-1")
    dropped = signers(Outside({"lachan://so/probe/p2": frozenset({PROBE.public.raw})}))
    with pytest.raises(ForgedError, match="a key of lachan://so/probe/p1 that is none"):
        dropped.check(9, Kind.OBSERVATION, observation(PROBE), "a/edge-1")


def test_nobody_signs_for_another() -> None:
    known = signers()
    with pytest.raises(ForgedError, match="signature of lachan://so/probe/p1"):
        known.check(9, Kind.OBSERVATION, observation(NODE), "a/edge-1")
    with pytest.raises(ForgedError, match="report of 'a/edge-1'"):
        known.check(9, Kind.REPORT, report(NODE), "b/edge-1")
    with pytest.raises(UnknownKeyError, match="lachan://b/node/edge-1"):
        known.check(9, Kind.REPORT, report(NODE, "b"), "b/edge-1")
    with pytest.raises(UnknownKeyError, match="its assignment"):
        Signers(Outside()).check(9, Kind.OBSERVATION, observation(PROBE), "a/edge-1")
    own = report(NODE)
    changed = own.replace(b"edge-1", b"edge-2")
    with pytest.raises(UnknownKeyError):
        known.check(9, Kind.REPORT, changed, "a/edge-2")
    # The right name of the key does not make the signature another's.
    stolen = signed(SEEN, observation(NODE)[-98:-34], PROBE.public.key_id)
    with pytest.raises(ForgedError):
        known.check(9, Kind.OBSERVATION, stolen, "a/edge-1")


def test_a_report_whose_signature_holds_is_not_called_unverified() -> None:
    known = signers()
    with pytest.raises(ForgedError, match="its signature holds"):
        known.check(9, Kind.UNVERIFIED_REPORT, report(NODE), "a/edge-1")
    known.check(9, Kind.UNVERIFIED_REPORT, report(PROBE), "a/edge-1")
    # By a key that counted once and does not count any more.
    known.check(9, Kind.UNVERIFIED_REPORT, report(FORMER), "a/edge-1")
    known.check(9, Kind.UNVERIFIED_REPORT, report(NODE), "unheard-of/edge-1")


@pytest.mark.parametrize(
    "content",
    [b"", b"[", b"[]", b'{"event":"confirmed"}', b'{"event":"confirmed","party":"x","key":"00"}', b"[" * 100_000],
)
def test_leaves_that_tell_of_nobody_are_passed_over(content: bytes) -> None:
    known = Signers(Outside())
    known.learn(0, Kind.ENROLMENT, content)
    known.learn(1, Kind.ASSIGNMENT, content.replace(b"event", b"type").replace(b"confirmed", b"assignment"))
    with pytest.raises(UnknownKeyError):
        known.check(2, Kind.REPORT, report(NODE), "a/edge-1")


def test_what_is_no_signed_message_is_refused() -> None:
    with pytest.raises(PackError):
        signers().check(9, Kind.REPORT, b"\x0a\xff", "a/edge-1")


ASKED = {"type": "challenge", "challenge": "0c" * 16, "operator": "a", "node": "edge-1"}


def opened(key: SigningKey, node: str = "edge-1", challenge: bytes = b"\x0c" * 16) -> bytes:
    message = challenge_service_pb2.Opening(challenge_id=challenge, organisation="a", node=node).SerializeToString()
    return signed(message, key.sign(signing.OPENING, message), key.public.key_id)


def test_an_opening_is_of_the_node_that_was_challenged() -> None:
    known = signers()
    with pytest.raises(UnknownKeyError, match="its challenge"):
        known.check(9, Kind.OPENING, opened(NODE), "challenge/x")
    known.learn(3, Kind.CHALLENGE, canonical.encode(ASKED))
    known.learn(4, Kind.CHALLENGE, canonical.encode({"type": "seed", "operator": "a"}))
    known.check(9, Kind.OPENING, opened(NODE), "challenge/x")
    with pytest.raises(ForgedError, match="'a/edge-1' was challenged"):
        known.check(9, Kind.OPENING, opened(NODE, "edge-2"), "challenge/x")
    with pytest.raises(ForgedError, match="signature of lachan://a/node/edge-1"):
        known.check(9, Kind.OPENING, opened(PROBE), "challenge/x")
    assert evidence.reference(Kind.OPENING, opened(NODE)) == "0c" * 16
    assert evidence.reference(Kind.CHALLENGE, canonical.encode(ASKED)) == "0c" * 16
    assert evidence.reference(Kind.CHALLENGE, canonical.encode({"type": "seed"})) == ""
    assert evidence.reference(Kind.CHALLENGE, b"[]") == ""
