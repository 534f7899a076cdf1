from __future__ import annotations

import json
from pathlib import Path

import pytest

from compliance_api.ledger import evidence, pack, verify
from compliance_api.ledger.evidence import Evidence, Piece
from compliance_api.ledger.pack import PackError
from compliance_api.ledger.verify import Flaw
from lachan.compliance.v1 import probe_service_pb2, report_pb2
from lachan.ledger.batch import signed
from lachan.ledger.leaf import Kind
from tests.support.ledger import NOON, Book, Parties

PARTIES = Parties()
LATER = NOON + 86_400
SEEN = probe_service_pb2.Observation(assignment_id=b"\x0a" * 16, index=3, asked_at_us=1)
REPORT = signed(report_pb2.Report(node="edge-1").SerializeToString(), b"s", b"k")
OBSERVATION = signed(SEEN.SerializeToString(), b"s", b"k")
NAMES = [evidence.reference(Kind.REPORT, REPORT), f"{'0a' * 16}/3"]
BOOK = Book(PARTIES)
for kind, content in ((Kind.LAW, b"{}"), (Kind.REPORT, REPORT), (Kind.OBSERVATION, OBSERVATION)):
    BOOK.enter(kind, content)
FINDING = {"evidence": [{"kind": "report", "reference": NAMES[0]}, {"kind": "observation", "reference": NAMES[1]}]}
PIECES = [
    Piece(index=0, kind=Kind.LAW, subject="law/x", state="opened"),
    Piece(index=1, kind=Kind.REPORT, subject="a/edge-1", state="opened", reference=NAMES[0]),
    Piece(index=2, kind=Kind.OBSERVATION, subject="a/edge-1", state="opened", reference=NAMES[1]),
]


def found(
    folder: Path, pieces: list[Piece], *, form: str = "full", erased: tuple[int, ...] = ()
) -> list[tuple[Flaw, str]]:
    told = Evidence(form=form, operator="a", finding="00", pieces=pieces)  # type: ignore[arg-type] # one of the two
    files = BOOK.files(range(3), [3], erased=erased)
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
    leaf = pack.leaf_name(2)
    cited = (Flaw.DROPPED, evidence.FINDING)
    assert found(tmp_path / "1", changed(2, state="missing"), erased=(2,)) == [(Flaw.DROPPED, leaf), cited]
    assert found(tmp_path / "2", changed(2, state="withheld"), erased=(2,)) == [(Flaw.DROPPED, leaf), cited]
    assert found(tmp_path / "3", changed(2, state="erased"), erased=(2,)) == [cited]
    assert found(tmp_path / "4", changed(0, state="erased"), erased=(0,)) == []
    assert found(tmp_path / "5", changed(2, state="withheld"), erased=(2,), form="redacted") == []


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
    leaf = pack.leaf_name(1)
    for number, values in enumerate([{"reference": "00"}, {"kind": Kind.UNVERIFIED_REPORT}, {"state": "withheld"}]):
        assert found(tmp_path / str(number), changed(1, **values), form="redacted") == [(Flaw.EDITED, leaf)]
    assert (Flaw.FILE, evidence.EVIDENCE) in found(tmp_path / "less", PIECES[:2])


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"evidence":1}', b'{"evidence":[{}]}', b"[" * 100_000, b"\xff"])
def test_what_is_no_finding_is_refused(data: bytes) -> None:
    with pytest.raises(PackError, match=r"finding\.json"):
        evidence.cited(data)


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
