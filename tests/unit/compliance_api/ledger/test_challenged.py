from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from compliance_api.ledger import evidence
from compliance_api.ledger.challenged import CHALLENGES, Challenged
from compliance_api.ledger.pack import PackError
from lachan import canonical
from lachan.compliance.v1 import challenge_service_pb2 as pb
from lachan.compliance.v1 import report_pb2
from lachan.ledger.batch import signed
from lachan.ledger.leaf import Kind
from lachan.rulecounts import BEYOND, Counted

HOUR = 1_790_000_000 - 1_790_000_000 % 3600
OPEN_FROM, DEADLINE = HOUR + 25 * 3600, HOUR + 73 * 3600
NAME = "0c" * 16
RULES = [{"qname": f"n{number}.example", "fingerprint": f"{number << 60:016x}", "times": 0} for number in (1, 5, 9)]
COUNTED = Counted(b"k" * 32, {5 << 60: 7, 9 << 60: 20}, [number << 60 for number in (1, 5, 9)])


def asked(**changes: Any) -> bytes:
    told = {
        "type": "challenge",
        "challenge": NAME,
        "operator": "a",
        "node": "edge-1",
        "hour": HOUR,
        "rules": hashlib.sha256(canonical.encode({"rules": RULES})).hexdigest(),
        "open_from": OPEN_FROM,
        "deadline": DEADLINE,
    }
    return canonical.encode(told | changes)


def report(start: int, blocked: int = 0, root: bytes = b"", node: str = "edge-1") -> bytes:
    told = report_pb2.Report(
        organisation="a",
        node=node,
        window_start=start,
        window_seconds=300,
        blocked=[
            report_pb2.BlockCount(category=3, action=1, count=blocked),
            report_pb2.BlockCount(category=3, action=6, count=1000),
        ],
        rule_commitment=report_pb2.RuleCommitment(hour=HOUR, root=root) if root else None,
    ).SerializeToString()
    return signed(told, b"s", b"k")


def opening(raised: int = 0, **changes: Any) -> bytes:
    buckets, rules = COUNTED.open([BEYOND, *(int(str(one["fingerprint"]), 16) for one in RULES)])
    told = pb.Opening(
        **{
            "challenge_id": bytes.fromhex(NAME),
            "organisation": "a",
            "node": "edge-1",
            "hour": HOUR,
            "buckets": [pb.OpenedBucket(position=b.position, entries=b.entries, path=b.path) for b in buckets],
            "rules": [pb.OpenedRule(fingerprint=r.fingerprint, count=r.count, salt=r.salt) for r in rules],
            **changes,
        }
    )
    if raised:
        told.rules[-1].count += raised
    return signed(told.SerializeToString(), b"s", b"k")


def pack(*leaves: tuple[Kind, int, bytes]) -> Challenged:
    made = Challenged()
    for kind, at, content in leaves:
        made.learn(kind, at, content, evidence.reference(kind, content))
    return made


def told(made: Challenged, said: str, kind: Kind = Kind.OPENING, rules: Any = RULES) -> list[str]:
    finding = {"evidence": [{"kind": kind, "reference": NAME, "detail": said}, {"kind": "report", "reference": "x"}]}
    return list(made.contradicting(json.dumps(finding).encode(), json.dumps({NAME: rules}).encode()))


ASKED = (Kind.CHALLENGE, HOUR, asked())
COMMITTED = (Kind.REPORT, HOUR + 4200, report(HOUR + 3600, root=COUNTED.root()))


def windows(blocked: int) -> list[tuple[Kind, int, bytes]]:
    return [(Kind.REPORT, HOUR + 300 * n + 301, report(HOUR + 300 * n, blocked)) for n in range(12)]


def test_what_an_opening_is_said_to_be_is_computed_again() -> None:
    true = pack(ASKED, *windows(2), COMMITTED, (Kind.OPENING, OPEN_FROM + 60, opening()))
    assert told(true, "opened") == []
    assert told(true, "27 > 24") == []
    for said in ("untrue", "refused", "uncommitted", "absent", "28 > 24", "27 > 25"):
        assert told(true, said) == [f"challenge {NAME}: is said to be '{said}', and that does not follow from the pack"]
    raised = pack(ASKED, COMMITTED, (Kind.OPENING, OPEN_FROM + 60, opening(3)))
    assert (told(raised, "untrue"), len(told(raised, "opened"))) == ([], 1)
    other = pack(ASKED, COMMITTED, (Kind.OPENING, OPEN_FROM + 60, opening(hour=HOUR + 3600)))
    assert (told(other, "untrue"), len(told(other, "opened"))) == ([], 1)
    refused = pack(ASKED, COMMITTED, (Kind.OPENING, OPEN_FROM + 60, opening(refusal=1, buckets=[], rules=[])))
    assert (told(refused, "refused"), len(told(refused, "untrue"))) == ([], 1)


def test_a_commitment_counts_from_before_the_question() -> None:
    late = (Kind.REPORT, OPEN_FROM + 600, COMMITTED[2])
    made = pack(ASKED, late, (Kind.OPENING, OPEN_FROM + 900, opening()))
    assert (told(made, "uncommitted"), len(told(made, "opened"))) == ([], 1)
    stranger = (Kind.REPORT, HOUR + 4200, report(HOUR + 3600, root=COUNTED.root(), node="edge-2"))
    assert told(pack(ASKED, stranger, (Kind.OPENING, OPEN_FROM, opening())), "uncommitted") == []
    # Leaves from before these moments were told tell no time.
    before = canonical.encode({name: one for name, one in json.loads(asked()).items() if name != "open_from"})
    assert told(pack((Kind.CHALLENGE, HOUR, before), late, (Kind.OPENING, OPEN_FROM, opening())), "opened") == []


def test_who_opened_in_time_was_not_silent() -> None:
    assert told(pack(ASKED), "unanswered", Kind.CHALLENGE) == []
    assert told(pack(ASKED, (Kind.OPENING, DEADLINE + 60, opening())), "unanswered", Kind.CHALLENGE) == []
    assert len(told(pack(ASKED, (Kind.OPENING, OPEN_FROM, opening())), "unanswered", Kind.CHALLENGE)) == 1


def test_what_was_asked_is_what_was_drawn() -> None:
    made = pack(ASKED, COMMITTED, (Kind.OPENING, OPEN_FROM + 60, opening()))
    assert told(made, "opened", rules=RULES[:2]) == [
        f"challenge {NAME}: its rules in {CHALLENGES} are not those that it committed to"
    ]
    more = [*RULES, {"qname": "new.example", "fingerprint": f"{11 << 60:016x}", "times": 0}]
    drawn = hashlib.sha256(canonical.encode({"rules": more})).hexdigest()
    lacks = pack((Kind.CHALLENGE, HOUR, asked(rules=drawn)), COMMITTED, (Kind.OPENING, OPEN_FROM, opening()))
    # All of three rules stand in one bucket, and so does what is not there.
    assert told(lacks, "absent", rules=more) == []


@pytest.mark.parametrize(
    ("finding", "drawn"),
    [
        (b"[]", b"{}"),
        (b'{"evidence":[{"kind":"opening"}]}', b"{}"),
        (b'{"evidence":[{"kind":"opening","reference":"%s","detail":"x"}]}' % NAME.encode(), b"{}"),
        (b'{"evidence":[{"kind":"opening","reference":"%s","detail":"x"}]}' % NAME.encode(), b"["),
        (b'{"evidence":[{"kind":"opening","reference":"%s","detail":"1 > x"}]}' % NAME.encode(), b"[]"),
    ],
)
def test_files_of_another_form_are_refused(finding: bytes, drawn: bytes) -> None:
    made = pack(ASKED, COMMITTED, (Kind.OPENING, OPEN_FROM, opening()))
    with pytest.raises(PackError):
        list(made.contradicting(finding, drawn))


def test_leaves_of_another_form_are_refused() -> None:
    for kind, content in (
        (Kind.CHALLENGE, b'{"type":"challenge"}'),
        (Kind.OPENING, b"\x0a\xff"),
        (Kind.REPORT, b"\x08\x01"),
    ):
        with pytest.raises(PackError):
            Challenged().learn(kind, 0, content, "x")
