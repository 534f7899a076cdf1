from __future__ import annotations

from blocklist_sync.edge.freshness import Alarm, Level, Raised, SyncState
from resolver.syncmetrics import metrics

STATE = SyncState(
    word_age=12.5,
    expires_at=99,
    streaming=False,
    held_for=3.0,
    failed={"slow": 2},
    stream_failures={"UNAVAILABLE": 4},
    mirrors=[{"url": "https://a.example", "trouble": "older", "failures": {"older": 5}}],
)


def told(state: SyncState) -> dict[tuple[str, ...], float]:
    raised = {Alarm.SILENT: Raised(Level.CRITICAL, "x")}
    return {
        (sample.name.removeprefix("lachan_blocklist_"), *sample.labels.values()): sample.value
        for metric in metrics(state, raised)
        for sample in metric.samples
    }


def test_the_sync_tells_how_it_is() -> None:
    found = told(STATE)
    assert found["alarm_level", "silent"] == 2
    assert sum(value for (name, *_), value in found.items() if name == "alarm_level") == 2
    assert {key: value for key, value in found.items() if key[0] != "alarm_level"} == {
        ("word_age_seconds",): 12.5,
        ("expiry_timestamp_seconds",): 99,
        ("streaming",): 0,
        ("held_seconds",): 3,
        ("rounds_failed_total", "slow"): 2,
        ("streams_ended_total", "unavailable"): 4,
        ("mirror_failures_total", "https://a.example", "older"): 5,
    }


def test_what_is_not_known_is_left_out() -> None:
    names = {name for name, *_ in told(SyncState())}
    assert not names & {"streaming", "expiry_timestamp_seconds"}
