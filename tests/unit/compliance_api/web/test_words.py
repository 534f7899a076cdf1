from __future__ import annotations

import pytest

from compliance_api.domain.findings.casework import State
from compliance_api.domain.findings.finding import EvidenceKind, FindingKind
from compliance_api.domain.observations.observation import Arm, Result, Shape
from compliance_api.domain.verdicts.verdict import Outcome
from compliance_api.web import words
from compliance_api.web.tongue import load
from lachan.compliance.v1 import report_pb2

VI, EN = load()["vi"], load()["en"]


def test_everything_that_can_be_shown_has_a_word() -> None:
    assert set(words.VERDICTS) == set(Outcome)
    assert set(words.TITLES) == set(FindingKind)
    assert set(words.EVIDENCE) == set(EvidenceKind)
    assert set(words.RESULTS) == set(Result)
    assert set(words.ARMS) == set(Arm)
    assert set(words.SHAPES) == set(Shape)
    assert set(words.STATES) == set(State)
    assert {f"OVERRIDE_REASON_{name.upper()}" for name in words.LIFTED} == set(report_pb2.OverrideReason.keys())
    assert words.shape("new-shape", VI) == "new-shape"


@pytest.mark.parametrize(
    ("kind", "counts", "sentences"),
    [
        (
            FindingKind.MISSING_REPORTS,
            {"windows_missing": 1200, "windows_expected": 8000},
            ["1,200 of 8,000 report windows due did not arrive."],
        ),
        (
            FindingKind.COUNTER_MISMATCH,
            {
                "windows_claiming_newer_list": 5,
                "serial_claimed": 10471,
                "serial_observed": 2,
                "windows_counting_too_few": 3,
                "blocked_claimed": 7,
                "blocked_received": 9,
            },
            [
                "In 5 report windows the operator claimed release 10471, while probes found release 2 in force.",
                "In 3 report windows the operator claimed 7 blocked answers in all, while the probes alone received 9.",
            ],
        ),
        (
            FindingKind.LOW_COVERAGE,
            {"vantage_points": 1, "vantage_points_needed": 3},
            ["Vantage points: 1, where 3 are needed."],
        ),
        (FindingKind.SLOW_BLOCK, {"names_late": 3}, ["names late: 3."]),
        (FindingKind.BROKEN_CHAIN, {"breaks": 2, "gaps": 1}, [
            "Places where a report does not continue the one before it: 2.", "gaps: 1.",
        ]),
        (FindingKind.UNMEASURABLE, {}, []),
    ],
)  # fmt: skip
def test_a_finding_is_told_from_its_counts(kind: FindingKind, counts: dict[str, int], sentences: list[str]) -> None:
    assert words.tell(kind, counts, EN) == sentences


def test_a_stale_list_is_told_in_vietnamese() -> None:
    counts = {
        "windows_stale": 12,
        "serial_claimed": 3,
        "serial_observed": 3,
        "newer_names_missed": 9,
        "newer_names_asked": 10,
        "older_names_blocked": 40,
    }
    assert words.tell(FindingKind.STALE_LIST, counts, VI) == [
        (
            "Các điểm đo cho thấy danh sách đang dùng là bản phát hành 3: trong 10 tên mới hơn đã hỏi,"
            " 9 tên không bị chặn, còn 40 tên cũ hơn thì bị chặn."
        ),
        "Chính báo cáo của doanh nghiệp cho thấy: bản phát hành 3 vẫn được dùng khi đã quá hạn, trong 12 kỳ báo cáo.",
    ]
