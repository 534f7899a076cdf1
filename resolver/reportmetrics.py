"""What a node tells Prometheus of its reports: those that wait, those that went, and what the ledger showed of them.

Holds always: labels come from closed sets; what is not known is left out, never told as zero.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from lachan.spool import Stats
from resolver.auditor import Doubt
from resolver.families import counter
from resolver.uplink import Failure, UplinkStatus


def metrics(now: float, spool: Stats | None, uplink: UplinkStatus | None, certificate_ends: float) -> Iterator[Metric]:
    """Every metric of the reports that is known.

    Args:
        now: Seconds since 1970-01-01 UTC, as all times here.
        spool: How full the spool is.
        uplink: What the uplink did since it started; None where reports wait for good.
        certificate_ends: When the node's certificate ends; 0 where it has none.
    """
    if spool is not None:
        yield GaugeMetricFamily(
            "lachan_report_spool_reports", "Reports that wait for a receipt or a proof.", value=spool.items
        )
        yield GaugeMetricFamily("lachan_report_spool_bytes", "Size of the reports that wait.", value=spool.bytes)
        yield GaugeMetricFamily(
            "lachan_report_held_reports", "Reports set apart because the authority refuses them.", value=spool.held
        )
        yield GaugeMetricFamily(
            "lachan_report_oldest_seconds",
            "Age of the oldest report that waits, 0 where none does.",
            value=0.0 if spool.oldest_at is None else max(0.0, now - spool.oldest_at),
        )
        yield GaugeMetricFamily(
            "lachan_report_unproven_reports",
            "Reports that have a receipt and wait for their proof in the ledger.",
            value=spool.acknowledged,
        )
    if uplink is not None and uplink.ledger is not None:
        yield GaugeMetricFamily(
            "lachan_ledger_leaves", "Leaves under the last head that was believed.", value=uplink.ledger.size
        )
        yield GaugeMetricFamily(
            "lachan_ledger_contradicted",
            "Whether the ledger was split or rewritten: two heads that contradict each other are kept.",
            value=uplink.ledger.contradicted,
        )
        yield CounterMetricFamily(
            "lachan_report_proven", "Reports that are proven in the ledger.", value=uplink.ledger.proven
        )
        yield counter(
            "lachan_ledger_doubts",
            "Times that the ledger did not show what it should, by reason.",
            ["reason"],
            (((doubt.value,), uplink.ledger.doubts.get(doubt, 0)) for doubt in Doubt),
        )
    if certificate_ends:
        yield GaugeMetricFamily(
            "lachan_certificate_expires_timestamp_seconds",
            "When the certificate ends that this node reports with; it is renewed before its last third.",
            value=certificate_ends,
        )
    if uplink is not None:
        yield CounterMetricFamily(
            "lachan_report_submitted", "Reports the authority gave receipts for.", value=uplink.submitted
        )
        if uplink.last_success_at is not None:
            yield GaugeMetricFamily(
                "lachan_report_receipt_age_seconds",
                "Time since the authority last gave a receipt, left out before the first since the start.",
                value=max(0.0, now - uplink.last_success_at),
            )
        yield counter(
            "lachan_report_failures",
            "Calls to the authority that failed and reports set apart, by reason.",
            ["reason"],
            (((failure.value,), uplink.failures.get(failure, 0)) for failure in Failure),
        )
