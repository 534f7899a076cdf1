"""What an edge tells Prometheus of its list's sync: a state in, metrics out.

Holds always: labels come from closed sets or from the configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from blocklist_sync.edge.freshness import Alarm, Raised, SyncState


def metrics(state: SyncState, raised: Mapping[Alarm, Raised]) -> Iterator[Metric]:
    """Every metric of the sync that is known."""
    levels = GaugeMetricFamily(
        "lachan_blocklist_alarm_level",
        "Level of an alarm of the sync: 0 fine, 1 warning, 2 critical.",
        labels=["alarm"],
    )
    for alarm in Alarm:
        levels.add_metric([alarm.value], raised[alarm].level if alarm in raised else 0)
    yield levels
    yield GaugeMetricFamily(
        "lachan_blocklist_word_age_seconds",
        "Since the last authentic, fresh word of the list authority, or since the start.",
        value=state.word_age,
    )
    if state.expires_at:
        yield GaugeMetricFamily(
            "lachan_blocklist_expiry_timestamp_seconds",
            "When the approvers' signatures on the newest list end, since 1970.",
            value=state.expires_at,
        )
    if state.streaming is not None:
        yield GaugeMetricFamily(
            "lachan_blocklist_streaming", "Whether releases are announced to this edge, 1 or 0.", value=state.streaming
        )
    yield GaugeMetricFamily(
        "lachan_blocklist_held_seconds",
        "Until a release may be taken that canary edges have, 0 where none waits.",
        value=state.held_for,
    )
    failed = CounterMetricFamily(
        "lachan_blocklist_rounds_failed", "Rounds that came to nothing, by cause.", labels=["cause"]
    )
    for cause, count in state.failed.items():
        failed.add_metric([cause], count)
    yield failed
    ended = CounterMetricFamily(
        "lachan_blocklist_streams_ended", "Streams of announcements that ended, by reason.", labels=["reason"]
    )
    for reason, count in state.stream_failures.items():
        ended.add_metric([reason.lower()], count)
    yield ended
    left = CounterMetricFamily(
        "lachan_blocklist_mirror_failures", "Mirrors left for the next one, by reason.", labels=["mirror", "reason"]
    )
    for mirror in state.mirrors:
        for reason, count in mirror["failures"].items():
            left.add_metric([mirror["url"], reason], count)
    yield left
