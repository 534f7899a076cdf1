from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import structlog

from blocklist_sync.edge.freshness import Alarm, Board, Level, Raised, SyncState, alarms
from blocklist_sync.edge.settings import AlarmSettings

NOW = 1_800_000_000.0
DAY = 86_400
FINE = SyncState(
    serial=5,
    word_age=10,
    expires_at=int(NOW) + 20 * DAY,
    streaming=True,
    mirrors=[{"url": "https://a.example", "trouble": ""}, {"url": "https://b.example", "trouble": ""}],
)
BAD = [{"url": "https://a.example", "trouble": "older"}, {"url": "https://b.example", "trouble": ""}]


@pytest.mark.parametrize(
    ("changed", "alarm", "level", "says"),
    [
        ({"serial": 0, "expires_at": 0}, Alarm.NO_LIST, Level.CRITICAL, "never been a list"),
        ({"word_age": 900.0}, Alarm.SILENT, Level.WARNING, "15 min"),
        ({"word_age": 6.0 * 3600}, Alarm.SILENT, Level.CRITICAL, "6 h"),
        ({"expires_at": int(NOW) + 2 * DAY}, Alarm.EXPIRED, Level.WARNING, "end in 2 days"),
        # A clock set forward by a year: the list stays in force, and is told as it is.
        ({"expires_at": int(NOW) - 345 * DAY}, Alarm.EXPIRED, Level.CRITICAL, "345 days ago; it stays in force"),
        ({"refusing": "release refused, older: x"}, Alarm.REFUSED, Level.WARNING, "older"),
        ({"failing": "storage: full", "failing_storage": True}, Alarm.STORAGE, Level.CRITICAL, "full"),
        ({"damaged": ("5-abc",)}, Alarm.DAMAGED, Level.WARNING, "5-abc"),
        ({"streaming": False, "no_stream_for": 300.0}, Alarm.NO_STREAM, Level.WARNING, "5 min"),
        ({"mirrors": BAD}, Alarm.MIRROR, Level.WARNING, "https://a.example"),
        ({"clock_step": -86_400.0}, Alarm.CLOCK, Level.WARNING, "by -24 h"),
    ],
)
def test_each_alarm_has_its_reason(changed: dict[str, Any], alarm: Alarm, level: Level, says: str) -> None:
    assert alarms(FINE, AlarmSettings(), NOW) == {}
    raised = alarms(replace(FINE, **changed), AlarmSettings(), NOW)
    assert raised.keys() == {alarm}
    assert raised[alarm].level is level
    assert says in raised[alarm].detail


def test_what_is_borne_is_no_alarm() -> None:
    for changed in (
        {"failing": "unreachable: x"},
        {"streaming": False, "no_stream_for": 299.0},
        {"streaming": None, "no_stream_for": 9999.0},
        {"mirrors": BAD[:1]},
        {"held_serial": 6, "held_for": 30.0},
    ):
        assert alarms(replace(FINE, **changed), AlarmSettings(), NOW) == {}  # type: ignore[arg-type]


def test_the_log_is_told_what_changes() -> None:
    board = Board()
    silent, worse = Raised(Level.WARNING, "15 min"), Raised(Level.CRITICAL, "6 h")
    with structlog.testing.capture_logs() as told:
        board.update({Alarm.SILENT: silent})
        board.update({Alarm.SILENT: replace(silent, detail="16 min")})
        board.update({Alarm.SILENT: worse, Alarm.CLOCK: silent})
        assert [one["alarm"] for one in board.document()] == ["silent", "clock"]
        board.update({Alarm.CLOCK: silent})
    assert [(one["event"], one["alarm"], one["log_level"]) for one in told] == [
        ("alarm", "silent", "warning"),
        ("alarm", "silent", "error"),
        ("alarm", "clock", "warning"),
        ("alarm is over", "silent", "info"),
    ]


def test_status_is_told_all_of_it() -> None:
    document = replace(FINE, held_serial=6, held_for=30.04).document()
    assert document["held"] == {"serial": 6, "for": 30.0}
    assert (document["streaming"], len(document["mirrors"])) == (True, 2)
