"""What is told of reports; what is not known is left out."""

from __future__ import annotations

from lachan.spool import Stats
from resolver.auditor import Doubt, LedgerStatus
from resolver.reportmetrics import metrics
from resolver.uplink import Failure, UplinkStatus


def told(spool: Stats | None, uplink: UplinkStatus | None, ends: float = 0.0) -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix("lachan_"), *sample.labels.values()): sample.value
        for metric in metrics(1000.0, spool, uplink, ends)
        for sample in metric.samples
    }


def test_reports_that_wait_and_reports_that_went() -> None:
    uplink = UplinkStatus(
        submitted=9,
        failures={Failure.DENIED: 2},
        last_success_at=940.0,
        ledger=LedgerStatus(doubts={Doubt.HEAD: 3}),
    )
    found = told(Stats(items=3, bytes=4096, held=1, dropped=0, oldest_at=400.0, acknowledged=2), uplink, 2000.0)
    assert {name: value for (name, *label), value in found.items() if not label} == {
        "report_spool_reports": 3,
        "report_spool_bytes": 4096,
        "report_held_reports": 1,
        "report_oldest_seconds": 600,
        "report_unproven_reports": 2,
        "report_submitted_total": 9,
        "report_receipt_age_seconds": 60,
        "report_proven_total": 0,
        "ledger_leaves": 0,
        "ledger_contradicted": 0,
        "certificate_expires_timestamp_seconds": 2000,
    }
    assert (found["report_failures_total", "denied"], found["report_failures_total", "tls"]) == (2, 0)
    assert found["ledger_doubts_total", Doubt.HEAD.value] == 3


def test_a_clock_that_was_set_back_makes_no_age_below_none() -> None:
    found = told(Stats(1, 1, 0, 0, oldest_at=2000.0), UplinkStatus(last_success_at=2000.0))
    assert (found["report_oldest_seconds",], found["report_receipt_age_seconds",]) == (0, 0)


def test_what_is_not_known_is_left_out() -> None:
    assert told(None, None) == {}
    assert not {("report_receipt_age_seconds",), ("ledger_leaves",)} & told(None, UplinkStatus()).keys()
