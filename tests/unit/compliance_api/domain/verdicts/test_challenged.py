"""What challenges refute, told with the openings that show it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from compliance_api.domain.challenges.challenge import Challenge, State
from compliance_api.domain.challenges.openness import Hour, Shut
from compliance_api.domain.challenges.outcome import Opened, outcome
from compliance_api.domain.findings.finding import EvidenceKind, FindingKind
from compliance_api.domain.statistics.parameters import SlopeRule
from compliance_api.domain.verdicts.case import SlopeRecord
from compliance_api.domain.verdicts.challenged import MAX_SHOWN, challenged, record
from compliance_api.domain.verdicts.verdict import Outcome, judge
from tests.support.cases import NOW, honest

RULE = SlopeRule(pairs=3)


def opened(number: int, state: State = State.OPENED, *, factor: int = 1, total: int | None = None) -> Opened:
    hour = NOW - timedelta(hours=30 + number)
    made = Challenge("a", bytes([number]) * 16, "edge-1", hour, hour, 1, (), NOW, NOW)
    told = {f"n{place}": factor * place for place in range(10)}
    asked = {f"n{place}": place for place in range(10)}
    one = Opened(made, state, told if state is State.OPENED else {}, 0, asked, total)
    # A challenge without rules has no pairs: the sums are of its names.
    return replace(one, challenge=replace(made, rules=tuple(Rule(name) for name in told)))


class Rule:
    """As far as pairs go."""

    def __init__(self, qname: str) -> None:
        self.qname = qname


def test_honest_challenges_add_nothing() -> None:
    told = record(outcome("a", NOW, NOW, [opened(1), opened(2, State.REFUSED)], RULE))
    assert (told.opened, told.refused, told.severity, told.evidence) == (1, 1, 0, ())
    assert challenged(honest(challenges=told)) == ({}, [])
    assert judge(honest(challenges=told)).outcome is Outcome.COMPLIANT


def test_each_thing_that_accuses_is_told_with_its_openings() -> None:
    silent = Hour(b"s" * 16, "edge-1", NOW - timedelta(days=9), State.UNANSWERED)
    empty = Hour(b"e" * 16, "edge-1", NOW - timedelta(days=8), State.OPENED, 20, 20)
    found = outcome(
        "a",
        NOW,
        NOW,
        [opened(1, factor=3, total=100), opened(2, factor=3), opened(3, State.UNTRUE)],
        RULE,
        1,
        [Shut("edge-1", 40, (silent, empty), 2)],
    )
    told = record(found)
    assert told.severity == 4
    counts, evidence = challenged(honest(challenges=told))
    assert (
        counts
        == {
            "challenge_pairs": 20,
            "slope_low": 3_000_000,
            "slope_high": 3_000_000,
            "hours_opened_untruly": 1,
            "hours_opened_above": 1,
            "hits_opened": 135,
            "hits_reported": 100,
            "nodes_not_opening": 1,
            "hours_not_opened": 2,
            "hours_challenged": 40,
            "days_not_opened": 2,
        }
        or counts["slope_low"] == counts["slope_high"] == 3_000_000
    )
    assert {(one.kind, one.reference[:2], one.detail) for one in evidence} == {
        (EvidenceKind.OPENING, "03", "untrue"),
        (EvidenceKind.OPENING, "01", "135 > 100"),
        (EvidenceKind.OPENING, "01", "opened"),
        (EvidenceKind.OPENING, "02", "opened"),
        (EvidenceKind.CHALLENGE, "73", "unanswered"),
        (EvidenceKind.OPENING, "65", "absent"),
    }
    verdict = judge(honest(challenges=told))
    (finding,) = verdict.findings
    assert (verdict.outcome, finding.kind) == (Outcome.NOT_COMPLIANT, FindingKind.COUNTER_MISMATCH)
    assert finding.since == silent.start
    assert {one.kind for one in finding.evidence} == {EvidenceKind.OPENING, EvidenceKind.CHALLENGE}


def test_so_many_pieces_are_kept() -> None:
    many = tuple(
        Hour(number.to_bytes(16, "big"), "edge-1", NOW - timedelta(hours=number), State.REFUSED)
        for number in range(300)
    )
    told = record(outcome("a", NOW, NOW, [], RULE, 1, [Shut("edge-1", 300, many, 50)]))
    assert (told.shut_closed, len(told.evidence)) == (300, MAX_SHOWN)


def test_what_was_summed_up_before_openings_were_evidence_rests_on_reports() -> None:
    before = SlopeRecord(NOW, 40, 3, 600, 0, 120_000, True)
    counts, evidence = challenged(honest(challenges=before))
    assert counts == {"challenge_pairs": 600, "slope_low": 0, "slope_high": 120_000}
    assert {one.kind for one in evidence} == {EvidenceKind.REPORT}
    assert set(before.document()) == {"ends_at", "opened", "untrue", "pairs", "low", "high", "accuses"}
    # Untrue openings were not told apart then from those that nobody had committed to.
    assert judge(honest(challenges=replace(before, accuses=False))).outcome is Outcome.COMPLIANT
