from __future__ import annotations

import json
from pathlib import Path

import pytest

from compliance_api.ledger import accusation, evidence, pack, verify
from compliance_api.ledger.evidence import Evidence, Piece
from compliance_api.ledger.outcome import Flaw
from compliance_api.ledger.pack import PackError
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
SESSION = "0a" * 16
ASSIGNMENT = canonical.encode({"type": "assignment", "assignment": SESSION, "probe": "so/p1", "questions": 5})
NAMES = [evidence.reference(Kind.REPORT, REPORT), f"{SESSION}/3"]
ABOUT = {"finding": "00", "operator": "a", "jurisdiction": "hcm", "kind": "under_blocking", "node": ""}
SAID = {"since": "2026-01-01T00:00:00+00:00", "law": "law-1", "counts": [["missed", 3]]}
CITED = [["report", NAMES[0]], ["observation", NAMES[1]], ["tally", "abc"]]
ENTERED = [
    (Kind.LAW, b"{}", "law/x", ""),
    (Kind.ENROLMENT, told_of("a/node/edge-1", NODE.public), "a/edge-1", ""),
    (Kind.ENROLMENT, told_of("so/probe/p1", PROBE.public), "so/p1", ""),
    (Kind.ASSIGNMENT, ASSIGNMENT, "assignment/", ""),
    (Kind.REPORT, REPORT, "a/edge-1", NAMES[0]),
    (Kind.OBSERVATION, OBSERVATION, "a/edge-1", NAMES[1]),
    (Kind.TALLY, b'{"digest":"abc"}', "tally/a/hcm", "abc"),
    (
        Kind.FINDING,
        canonical.encode({**ABOUT, **SAID, "evidence": CITED, "step": {"position": 0, "state": "open"}}),
        "finding/00",
        "",
    ),
]
LAW, TOLD, ASSIGNED, REPORTED, OBSERVED, COUNTED, FOUND = 0, 1, 3, 4, 5, 6, 7
BOOK = Book(PARTIES)
for entered in ENTERED:
    BOOK.enter(*entered[:2])
FINDING: dict[str, object] = {
    **ABOUT,
    **SAID,
    "evidence": [{"kind": kind, "reference": reference} for kind, reference in CITED],
}
PIECES = [
    Piece(index=index, kind=kind, subject=subject, state="opened", reference=reference)
    for index, (kind, _, subject, reference) in enumerate(ENTERED)
]
UNREPORTED = {SESSION: [0, 1, 2, 4]}


def evidence_of(pieces: list[Piece], **values: object) -> Evidence:
    whole = {"form": "full", "operator": "a", "finding": "00", "as_of": 8, "scope": "whole", "unreported": UNREPORTED}
    return Evidence.model_validate({**whole, **values, "pieces": pieces})


def found(
    folder: Path,
    pieces: list[Piece],
    *,
    erased: tuple[int, ...] = (),
    shown: dict[str, object] = FINDING,
    **values: object,
) -> list[tuple[Flaw, str]]:
    files = BOOK.files(range(len(ENTERED)), [len(ENTERED)], erased=erased)
    told = evidence_of(pieces, **values).encode()
    files |= {evidence.EVIDENCE: told, accusation.FINDING: json.dumps(shown).encode()}
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
    # As the pack has the finding, as the finding's own leaf does, and of the session as a whole.
    cited = [(Flaw.DROPPED, place) for place in (accusation.FINDING, pack.leaf_name(FOUND), accusation.FINDING)]
    whole = found(tmp_path / "1", changed(OBSERVED, state="missing"), erased=(OBSERVED,))
    assert whole == [(Flaw.DROPPED, leaf), *cited]
    assert found(tmp_path / "2", changed(OBSERVED, state="erased"), erased=(OBSERVED,)) == cited
    assert found(tmp_path / "3", changed(COUNTED, state="erased"), erased=(COUNTED,)) == cited[:2]
    assert found(tmp_path / "4", changed(LAW, state="erased"), erased=(LAW,)) == []
    assert found(tmp_path / "5", changed(OBSERVED, state="erased"), erased=(OBSERVED,), form="redacted") == []


def test_what_the_ledger_was_told_of_a_finding_is_what_the_pack_says(tmp_path: Path) -> None:
    wrong = [(Flaw.CONTRADICTED, accusation.FINDING)]
    for number, values in enumerate([{"counts": [["missed", 9999]]}, {"kind": "stale_list"}, {"law": "law-2"}]):
        assert found(tmp_path / f"said-{number}", PIECES, shown={**FINDING, **values}) == wrong
    fewer = [{"kind": kind, "reference": reference} for kind, reference in CITED[:1]]
    assert found(tmp_path / "fewer", PIECES, shown={**FINDING, "evidence": fewer}) == wrong
    for number, values in enumerate([{"finding": "01"}, {"operator": "b"}]):
        flaws = found(tmp_path / f"other-{number}", PIECES, **values)
        assert wrong[0] in flaws
    untold = found(tmp_path / "untold", changed(FOUND, state="erased"), erased=(FOUND,))
    assert untold == wrong


def test_each_question_of_a_session_that_is_cited_is_answered_or_named(tmp_path: Path) -> None:
    lost = [(Flaw.DROPPED, accusation.FINDING)]
    assert found(tmp_path / "1", PIECES, unreported={SESSION: [0, 1, 2]}) == lost
    assert found(tmp_path / "2", PIECES, unreported=None) == lost
    hidden = found(tmp_path / "3", changed(ASSIGNED, state="erased"), erased=(ASSIGNED,))
    assert hidden == [*lost, (Flaw.UNKNOWN_KEY, pack.content_name(OBSERVED))]
    for content in (b"", b"{}", b'{"type":"assignment","assignment":"0a","questions":-1}', b'{"type":"draw"}'):
        assert evidence.questions(content) is None


@pytest.mark.parametrize("content", [b"", b"[]", b"1", b'{"evidence":1}', b'{"evidence":[1]}', b"[" * 100_000, b"{}"])
def test_a_finding_s_leaf_of_another_form_cites_nothing(content: bytes) -> None:
    assert accusation.cited_at_opening(content) == set()


def test_a_pack_that_says_otherwise_than_its_leaves_is_named(tmp_path: Path) -> None:
    leaf = pack.leaf_name(REPORTED)
    for number, values in enumerate([{"reference": "00"}, {"kind": Kind.UNVERIFIED_REPORT}, {"state": "missing"}]):
        assert found(tmp_path / str(number), changed(REPORTED, **values), form="redacted") == [(Flaw.EDITED, leaf)]
    assert (Flaw.FILE, evidence.EVIDENCE) in found(tmp_path / "less", PIECES[:2])


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"evidence":1}', b'{"evidence":[{}]}', b"[" * 100_000, b"\xff"])
def test_what_is_no_finding_is_refused(data: bytes) -> None:
    with pytest.raises(PackError, match=r"finding\.json"):
        accusation.cited(data)


def test_a_signature_is_held_against_the_key_that_the_ledger_was_told_of(tmp_path: Path) -> None:
    place = (Flaw.UNKNOWN_KEY, pack.content_name(REPORTED))
    assert found(tmp_path, changed(TOLD, state="erased"), erased=(TOLD,)) == [place]


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\xff\x01", b"\xff" * 11, b"\x08\x01", b"\x0a\x02\x0a\x09"])
def test_contents_that_are_none_are_refused(data: bytes) -> None:
    with pytest.raises(PackError):
        evidence.reference(Kind.OBSERVATION, data)


def test_evidence_has_one_form() -> None:
    told = evidence_of(PIECES).encode()
    assert evidence.parse(told).pieces == PIECES
    for data in (told + b" ", b"{}", told.replace(b'"opened"', b'"maybe"', 1)):
        with pytest.raises(PackError, match=r"evidence\.json"):
            evidence.parse(data)
