from __future__ import annotations

from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.law.retention import Done
from compliance_api.domain.verdicts.verdict import judge
from compliance_api.metrics import Metrics
from tests.support.cases import honest


def test_an_evaluation_shows_every_kind_and_outcome() -> None:
    metrics = Metrics()
    metrics.judged([judge(honest()), judge(honest(sightings=[]))], 2, 1000.0)

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    assert value("lachan_compliance_verdicts", outcome="compliant") == 1
    assert value("lachan_compliance_verdicts", outcome="not_enough_evidence") == 1
    assert value("lachan_compliance_verdicts", outcome="not_compliant") == 0
    assert {kind: value("lachan_compliance_findings", kind=kind) for kind in FindingKind} == {
        kind: float(kind is FindingKind.LOW_COVERAGE) for kind in FindingKind
    }
    assert value("lachan_compliance_evaluated_timestamp_seconds") == 1000
    assert value("lachan_compliance_unjudged") == 2
    metrics.waited({"inspection": 3})
    metrics.waited({"legal": 1})
    assert value("lachan_compliance_findings_overdue", unit="legal") == 1
    assert value("lachan_compliance_findings_overdue", unit="inspection") is None


def test_a_run_of_the_upkeep_shows_unless_another_process_was_at_it() -> None:
    metrics = Metrics()
    metrics.upkeep.ran(Done(ran=False), 900.0)
    assert metrics.registry.get_sample_value("lachan_compliance_upkeep_timestamp_seconds") == 0
    metrics.upkeep.ran(Done(reports_summed=5, spans_dropped=["reports_from20260105"], rows_deleted=3), 1000.0)
    shown = {"upkeep_timestamp_seconds": 1000, "summed_reports_total": 5, "dropped_partitions_total": 1}
    for name, value in {**shown, "deleted_rows_total": 3}.items():
        assert metrics.registry.get_sample_value(f"lachan_compliance_{name}") == value


def test_every_metric_is_ours_and_described() -> None:
    for family in Metrics().registry.collect():
        assert family.name.startswith("lachan_compliance_")
        assert family.documentation.endswith(".")
