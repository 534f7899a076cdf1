from __future__ import annotations

import json
from pathlib import Path

import pytest

from compliance_api.ledger import evidence, pack, verify
from compliance_api.ledger.evidence import Evidence, Piece
from compliance_api.ledger.pack import PackError
from compliance_api.ledger.verify import Flaw
from lachan import canonical, signing
from lachan.compliance.v1 import probe_service_pb2, report_pb2
from lachan.ledger.batch import signed
from lachan.ledger.leaf import Kind
from lachan.signing import SigningKey
from tests.support.evidence import told_of
from tests.support.ledger import NOON, Book, Parties

PARTIES = Parties()
LATER = NOON + 86_400
SEEN = probe_service_pb2.Observation(assignment_id=b"\x0a" * 16, index=3, asked_at_us=1)
NODE, PROBE = SigningKey.generate(), SigningKey.generate()
MESSAGE = report_pb2.Report(organisation="a", node="edge-1").SerializeToString()
REPORT = signed(MESSAGE, NODE.sign(signing.REPORT, MESSAGE), NODE.public.key_id)
OBSERVATION = signed(
    SEEN.SerializeToString(), PROBE.sign(signing.OBSERVATION, SEEN.SerializeToString()), PROBE.public.key_id
)
ASSIGNMENT = canonical.encode({"type": "assignment", "assignment": "0a" * 16, "operator": "a", "probe": "so/p1"})
NAMES = [evidence.reference(Kind.REPORT, REPORT), f"{'0a' * 16}/3"]
BOOK = Book(PARTIES)
ENTERED = [
    (Kind.LAW, b"{}"),
    (Kind.ENROLMENT, told_of("a/node/edge-1", NODE.public)),
    (Kind.ENROLMENT, told_of("so/probe/p1", PROBE.public)),
    (Kind.ASSIGNMENT, ASSIGNMENT),
    (Kind.REPORT, REPORT),
    (Kind.OBSERVATION, OBSERVATION),
]
for kind, content in ENTERED:
    BOOK.enter(kind, content)
LAW, TOLD, REPORTED, OBSERVED = 0, 1, 4, 5
FINDING = {"evidence": [{"kind": "report", "reference": NAMES[0]}, {"kind": "observation", "reference": NAMES[1]}]}
PIECES = [
    Piece(index=index, kind=kind, subject=subject, state="opened", reference=reference)
    for index, ((kind, _), (subject, reference)) in enumerate(
        zip(
            ENTERED,
            [("law/x", ""), ("a/edge-1", ""), ("so/p1", ""), ("assignment/", ""), ("a/edge-1", NAMES[0]),
             ("a/edge-1", NAMES[1])],
            strict=True,
        )
    )
]  # fmt: skip


def found(
    folder: Path, pieces: list[Piece], *, form: str = "full", erased: tuple[int, ...] = ()
) -> list[tuple[Flaw, str]]:
    told = Evidence(form=form, operator="a", finding="00", pieces=pieces)  # type: ignore[arg-type] # one of the two
    files = BOOK.files(range(len(ENTERED)), [len(ENTERED)], erased=erased)
    files |= {evidence.EVIDENCE: told.encode(), evidence.FINDING: json.dumps(FINDING).encode()}
    pack.write(folder, files.items())
    return [(one.flaw, one.place) for one in verify.verify(folder, PARTIES.policy, None, LATER).problems]


def changed(number: int, **values: object) -> list[Piece]:
    return [one.model_copy(update=values) if at == number else one for at, one in enumerate(PIECES)]


def test_a_whole_pack_holds(tmp_path: Path) -> None:
    assert NAMES[1] == evidence.reference(Kind.OBSERVATION, OBSERVATION)
    assert evidence.reference(Kind.LAW, b"{}") == ""
    assert found(tmp_path, PIECES) == []


def test_what_is_not_opened_in_a_full_pack_is_named_and_what_the_finding_cites_above_all(tmp_path: Path) -> None:
    leaf = pack.leaf_name(OBSERVED)
    cited = (Flaw.DROPPED, evidence.FINDING)
    whole = found(tmp_path / "1", changed(OBSERVED, state="missing"), erased=(OBSERVED,))
    assert whole == [(Flaw.DROPPED, leaf), cited]
    assert found(tmp_path / "3", changed(OBSERVED, state="erased"), erased=(OBSERVED,)) == [cited]
    assert found(tmp_path / "4", changed(LAW, state="erased"), erased=(LAW,)) == []
    assert found(tmp_path / "5", changed(OBSERVED, state="erased"), erased=(OBSERVED,), form="redacted") == []


def test_what_the_finding_cited_when_it_was_entered_is_asked_for_whatever_the_pack_says_now(tmp_path: Path) -> None:
    book = Book(PARTIES)
    book.enter(Kind.FINDING, json.dumps({"evidence": [["observation", NAMES[1]], ["tally", "x"]]}).encode())
    pieces = [Piece(index=0, kind=Kind.FINDING, subject="finding/00", state="opened")]
    told = Evidence(form="full", operator="a", finding="00", pieces=pieces)
    files = book.files([0], [1]) | {evidence.EVIDENCE: told.encode(), evidence.FINDING: b'{"evidence":[]}'}
    pack.write(tmp_path, files.items())
    problems = verify.verify(tmp_path, PARTIES.policy, None, LATER).problems
    assert [(one.flaw, one.place) for one in problems] == [(Flaw.DROPPED, pack.leaf_name(0))]


@pytest.mark.parametrize("content", [b"", b"[]", b"1", b'{"evidence":1}', b'{"evidence":[1]}', b"[" * 100_000, b"{}"])
def test_a_finding_s_leaf_of_another_form_cites_nothing(content: bytes) -> None:
    assert evidence.cited_at_opening(content) == set()


def test_a_pack_that_says_otherwise_than_its_leaves_is_named(tmp_path: Path) -> None:
    leaf = pack.leaf_name(REPORTED)
    for number, values in enumerate([{"reference": "00"}, {"kind": Kind.UNVERIFIED_REPORT}, {"state": "missing"}]):
        assert found(tmp_path / str(number), changed(REPORTED, **values), form="redacted") == [(Flaw.EDITED, leaf)]
    assert (Flaw.FILE, evidence.EVIDENCE) in found(tmp_path / "less", PIECES[:2])


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"evidence":1}', b'{"evidence":[{}]}', b"[" * 100_000, b"\xff"])
def test_what_is_no_finding_is_refused(data: bytes) -> None:
    with pytest.raises(PackError, match=r"finding\.json"):
        evidence.cited(data)


def test_a_signature_is_held_against_the_key_that_the_ledger_was_told_of(tmp_path: Path) -> None:
    place = (Flaw.UNKNOWN_KEY, pack.content_name(REPORTED))
    assert found(tmp_path, changed(TOLD, state="erased"), erased=(TOLD,)) == [place]


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\xff\x01", b"\xff" * 11, b"\x08\x01", b"\x0a\x02\x0a\x09"])
def test_contents_that_are_none_are_refused(data: bytes) -> None:
    with pytest.raises(PackError):
        evidence.reference(Kind.OBSERVATION, data)


def test_evidence_has_one_form() -> None:
    told = Evidence(form="full", operator="a", finding="00", pieces=PIECES).encode()
    assert evidence.parse(told).pieces == PIECES
    for data in (told + b" ", b"{}", told.replace(b'"opened"', b'"maybe"', 1)):
        with pytest.raises(PackError, match=r"evidence\.json"):
            evidence.parse(data)
