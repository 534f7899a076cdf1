from __future__ import annotations

from datetime import timedelta

from compliance_api.domain.findings.finding import MAX_EVIDENCE, Evidence, EvidenceKind, FindingKind, cite
from tests.support.cases import NOW


def evidence(minute: int) -> Evidence:
    return Evidence(EvidenceKind.REPORT, NOW + timedelta(minutes=minute), f"{minute:02}")


def test_only_what_says_that_nothing_can_be_said_does_not_accuse() -> None:
    assert {kind for kind in FindingKind if not kind.accuses} == {FindingKind.LOW_COVERAGE, FindingKind.UNMEASURABLE}


def test_evidence_is_quoted_in_order_of_time_and_once() -> None:
    assert [one.reference for one in cite([evidence(2), evidence(1), evidence(2)])] == ["01", "02"]


def test_of_much_evidence_the_oldest_and_the_newest_are_quoted() -> None:
    quoted = cite([evidence(minute) for minute in range(50)])
    assert len(quoted) == MAX_EVIDENCE
    assert [one.reference for one in (quoted[0], quoted[9], quoted[10], quoted[19])] == ["00", "09", "40", "49"]
