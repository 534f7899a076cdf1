"""What a hit log agent tells Prometheus."""

from __future__ import annotations

from collections import Counter

from lachan.spool import Stats
from resolver.rpzlog.metrics import Snapshot, problems, registry
from resolver.rpzlog.tally import Window
from resolver.uplink import UplinkStatus


def told(snapshot: Snapshot) -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix("lachan_"), *sample.labels.values()): sample.value
        for family in registry(lambda: snapshot).collect()
        for sample in family.samples
        if sample.name.startswith("lachan_")
    }


def test_everything_read_is_told() -> None:
    seen = Window(Counter({(4, 1): 5, (4, 2): 1}), unknown=2, malformed=3, late=4, gaps=6)
    found = told(
        Snapshot(
            now=1000.0,
            seen=seen,
            held_serial=8,
            checked_at=990,
            serial=7,
            serial_asked_at=995,
            spool=Stats(items=3, bytes=4096, held=0, dropped=0, oldest_at=400.0),
            uplink=UplinkStatus(last_success_at=970.0),
        )
    )
    assert {key: found[key] for key in found if key[0].startswith(("rpz_", "blocklist_"))} == {
        ("rpz_hits_total", "gambling", "nxdomain"): 5,
        ("rpz_hits_total", "gambling", "nodata"): 1,
        ("rpz_hits_unknown_total",): 2,
        ("rpz_lines_malformed_total",): 3,
        ("rpz_hits_late_total",): 4,
        ("rpz_log_gaps_total",): 6,
        ("rpz_resolver_serial",): 7,
        ("rpz_resolver_asked_timestamp_seconds",): 995,
        ("blocklist_serial",): 8,
        ("blocklist_check_timestamp_seconds",): 990,
    }
    assert (found["report_spool_reports",], found["report_receipt_age_seconds",]) == (3, 30)


def test_what_is_not_known_is_left_out() -> None:
    names = {name for name, *_ in told(Snapshot(now=1000.0, seen=Window()))}
    assert names == {
        "rpz_hits_unknown_total", "rpz_hits_late_total", "rpz_lines_malformed_total", "rpz_log_gaps_total",
        "blocklist_serial",
    }  # fmt: skip


def test_labels_stay_few_whatever_a_log_says() -> None:
    wild = Window(Counter({(category, action): 1 for category in range(100) for action in range(100)}))
    found = {key: value for key, value in told(Snapshot(now=0.0, seen=wild)).items() if key[0] == "rpz_hits_total"}
    assert len(found) <= 10 * 7
    assert sum(found.values()) == 10_000


def test_an_agent_is_in_order_once_it_has_a_list() -> None:
    assert problems(Snapshot(now=0.0, seen=Window())) == ("there has never been a list",)
    assert not problems(Snapshot(now=0.0, seen=Window(), held_serial=1))
