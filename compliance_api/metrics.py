"""The service's metrics, in a registry of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.law.retention import Done
from compliance_api.domain.verdicts.verdict import Outcome, Verdict
from compliance_api.usecases.reports.grouping import Written

GROUP_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)


class IngestMetrics:
    """How reports are taken: how many together, how fast, and why not."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.refused = Counter(
            "lachan_compliance_refused_calls",
            "Calls that handed in reports and were not answered with receipts, by reason.",
            ["reason"],
            registry=registry,
        )
        self.call = Histogram(
            "lachan_compliance_call_seconds",
            "From a call with reports to its receipts.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.held = Gauge(
            "lachan_compliance_held_reports", "Reports that came in and are not answered yet.", registry=registry
        )
        self._reports = Histogram(
            "lachan_compliance_group_reports",
            "Reports that shared one transaction.",
            buckets=GROUP_BUCKETS,
            registry=registry,
        )
        self._seconds = Histogram(
            "lachan_compliance_group_seconds",
            "How long such a transaction took, its commit included.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )

    def written(self, group: Written) -> None:
        """Counts a group."""
        self._reports.observe(group.reports)
        self._seconds.observe(group.seconds)


class UpkeepMetrics:
    """What the tables' upkeep did."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.done = Gauge(
            "lachan_compliance_upkeep_timestamp_seconds",
            "When this process last made sums and dropped what was due.",
            registry=registry,
        )
        self.summed = Counter("lachan_compliance_summed_reports", "Reports taken into the sums.", registry=registry)
        self.dropped = Counter(
            "lachan_compliance_dropped_partitions", "Partitions whose time was over.", registry=registry
        )
        self.deleted = Counter(
            "lachan_compliance_deleted_rows", "Rows outside of partitions whose time was over.", registry=registry
        )

    def ran(self, done: Done, at: float) -> None:
        """Shows a run; one that another process was at is none."""
        if not done.ran:
            return
        self.done.set(at)
        self.summed.inc(done.reports_summed)
        self.dropped.inc(len(done.spans_dropped))
        self.deleted.inc(done.rows_deleted)


class Metrics:
    """Counts of what came in and of what was found."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.ingest = IngestMetrics(self.registry)
        self.upkeep = UpkeepMetrics(self.registry)
        self.reports = Counter(
            "lachan_compliance_reports",
            "Reports taken, by how they stood to the chain (or again, unverified, refused).",
            ["result"],
            registry=self.registry,
        )
        self.observations = Counter(
            "lachan_compliance_observations",
            "Observations taken, by what they say (or refused).",
            ["result"],
            registry=self.registry,
        )
        self.assignments = Counter(
            "lachan_compliance_assignments", "Assignments given to probes.", registry=self.registry
        )
        self.turned_away = Counter(
            "lachan_compliance_turned_away",
            "Calls of parties that may not call, or not as often, by why.",
            ["reason"],
            registry=self.registry,
        )
        self.findings = Gauge(
            "lachan_compliance_findings",
            "Open findings of the last evaluation, over all operators.",
            ["kind"],
            registry=self.registry,
        )
        self.verdicts = Gauge(
            "lachan_compliance_verdicts",
            "Operators and jurisdictions with this verdict at the last evaluation.",
            ["outcome"],
            registry=self.registry,
        )
        self.unjudged = Gauge(
            "lachan_compliance_unjudged",
            "Operators and jurisdictions of whom the last evaluation reached no verdict.",
            registry=self.registry,
        )
        self.overdue = Gauge(
            "lachan_compliance_findings_overdue",
            "Findings whose next step is late, by the unit or operator whose step it is.",
            ["unit"],
            registry=self.registry,
        )
        self.evaluated = Gauge(
            "lachan_compliance_evaluated_timestamp_seconds", "When verdicts were last reached.", registry=self.registry
        )
        self.evaluation = Histogram(
            "lachan_compliance_evaluation_seconds", "How long an evaluation took.", registry=self.registry
        )
        self.sample_age = Gauge(
            "lachan_compliance_sample_age_seconds", "Age of the names held ready for probes.", registry=self.registry
        )
        self.failures = Counter(
            "lachan_compliance_task_failures",
            "Runs of a periodic task that failed and are tried again.",
            ["task"],
            registry=self.registry,
        )

    def waited(self, overdue: Mapping[str, int]) -> None:
        """Shows whose steps are late; whoever has none is not shown."""
        self.overdue.clear()
        for unit, count in overdue.items():
            self.overdue.labels(unit).set(count)

    def judged(self, verdicts: Iterable[Verdict], unjudged: int, at: float) -> None:
        """Shows an evaluation; kinds and outcomes that do not occur show 0."""
        found = list(verdicts)
        for kind in FindingKind:
            self.findings.labels(kind).set(sum(one.kind is kind for verdict in found for one in verdict.findings))
        for outcome in Outcome:
            self.verdicts.labels(outcome).set(sum(verdict.outcome is outcome for verdict in found))
        self.unjudged.set(unjudged)
        self.evaluated.set(at)
