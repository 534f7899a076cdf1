"""How current an edge's list is, and what somebody has to look at: a state in, alarms out.

Holds always: ages are counted by a clock that nobody sets; only ends of signatures are held against the wall clock,
since they are dates; an alarm changes nothing of what is in force.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from blocklist_sync.edge.settings import AlarmSettings
from lachan import log

CLOCK_STEP_SECONDS = 60.0
"""A wall clock that was set by more is an alarm, for `CLOCK_TOLD_SECONDS`."""
CLOCK_TOLD_SECONDS = 3600.0


class Level(enum.IntEnum):
    """How bad it is."""

    FINE = 0
    WARNING = 1
    CRITICAL = 2


class Alarm(enum.StrEnum):
    """What may be wrong. Each is a label of a metric."""

    NO_LIST = "no_list"
    SILENT = "silent"
    EXPIRED = "expired"
    REFUSED = "refused"
    STORAGE = "storage"
    DAMAGED = "damaged"
    NO_STREAM = "no_stream"
    MIRROR = "mirror"
    CLOCK = "clock"


@dataclass(frozen=True)
class SyncState:
    """The sync of one edge at one moment; times in seconds, moments since 1970-01-01 UTC, 0 where there is none."""

    serial: int = 0
    """The newest release held, suspended or not."""
    checked_at: int = 0
    """When the last authentic, fresh word came."""
    word_age: float = 0.0
    """Since then, or since the start where there was none, by a clock that nobody sets."""
    expires_at: int = 0
    """When the approvers' signatures on the list end."""
    refusing: str = ""
    """The release refused in the last round, and why."""
    failing: str = ""
    """Why the last round came to nothing."""
    failing_storage: bool = False
    damaged: Sequence[str] = ()
    """Releases on this disk that were passed over because they do not verify."""
    held_serial: int = 0
    """A release that waits until this edge's ring may take it."""
    held_for: float = 0.0
    streaming: bool | None = None
    """Whether releases are announced; None where no stream is wanted."""
    no_stream_for: float = 0.0
    clock_step: float = 0.0
    """By how much the wall clock was set within the last hour, signed."""
    failed: Mapping[str, int] = field(default_factory=dict)
    """Rounds that came to nothing, by cause."""
    stream_failures: Mapping[str, int] = field(default_factory=dict)
    """Streams that ended, by reason."""
    mirrors: Sequence[Mapping[str, Any]] = ()

    def document(self) -> dict[str, Any]:
        """For `status`."""
        return {
            "serial": self.serial,
            "checked_at": self.checked_at,
            "word_age": round(self.word_age, 1),
            "expires_at": self.expires_at,
            "refusing": self.refusing,
            "failing": self.failing,
            "held": {"serial": self.held_serial, "for": round(self.held_for, 1)},
            "streaming": self.streaming,
            "failed": dict(self.failed),
            "mirrors": list(self.mirrors),
        }


@dataclass(frozen=True)
class Raised:
    """One alarm."""

    level: Level
    detail: str


def _span(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def alarms(state: SyncState, settings: AlarmSettings, now: float) -> dict[Alarm, Raised]:
    """What is wrong.

    Args:
        state: The sync's.
        settings: From when on.
        now: Seconds since 1970-01-01 UTC, by this machine's clock.
    """
    return _of_the_list(state, settings, now) | _of_the_road(state, settings)


def _of_the_list(state: SyncState, settings: AlarmSettings, now: float) -> dict[Alarm, Raised]:
    found: dict[Alarm, Raised] = {}
    if not state.serial:
        found[Alarm.NO_LIST] = Raised(Level.CRITICAL, "there has never been a list: nothing is filtered")
    if state.word_age >= settings.silent_warning:
        level = Level.CRITICAL if state.word_age >= settings.silent_critical else Level.WARNING
        found[Alarm.SILENT] = Raised(level, f"no authentic word for {_span(state.word_age)}")
    left = state.expires_at - now
    if state.expires_at and left <= 0:
        detail = f"the signatures on the list ended {_span(-left)} ago; it stays in force"
        found[Alarm.EXPIRED] = Raised(Level.CRITICAL, detail)
    elif state.expires_at and left <= settings.expiry_warning:
        found[Alarm.EXPIRED] = Raised(Level.WARNING, f"the signatures on the list end in {_span(left)}")
    if state.damaged:
        found[Alarm.DAMAGED] = Raised(Level.WARNING, f"releases passed over: {', '.join(state.damaged)}")
    return found


def _of_the_road(state: SyncState, settings: AlarmSettings) -> dict[Alarm, Raised]:
    found: dict[Alarm, Raised] = {}
    if state.refusing:
        found[Alarm.REFUSED] = Raised(Level.WARNING, state.refusing)
    if state.failing_storage:
        found[Alarm.STORAGE] = Raised(Level.CRITICAL, state.failing)
    if state.streaming is False and state.no_stream_for >= settings.stream_warning:
        detail = f"no announcements for {_span(state.no_stream_for)}: polling alone"
        found[Alarm.NO_STREAM] = Raised(Level.WARNING, detail)
    bad = [mirror["url"] for mirror in state.mirrors if mirror["trouble"]]
    if bad and len(state.mirrors) > 1:
        found[Alarm.MIRROR] = Raised(Level.WARNING, f"left for others: {', '.join(bad)}")
    if state.clock_step:
        found[Alarm.CLOCK] = Raised(Level.WARNING, f"the clock was set by {_span(state.clock_step)}")
    return found


class Board:
    """The alarms as they were last seen; what changes is told in the log."""

    def __init__(self) -> None:
        self.raised: dict[Alarm, Raised] = {}

    def update(self, raised: dict[Alarm, Raised]) -> None:
        """Takes what is wrong now."""
        for alarm, one in raised.items():
            before = self.raised.get(alarm)
            if before is None or before.level != one.level:
                tell = log.get().error if one.level is Level.CRITICAL else log.get().warning
                tell("alarm", alarm=alarm.value, level=one.level.name.lower(), detail=one.detail)
        for alarm in self.raised.keys() - raised.keys():
            log.get().info("alarm is over", alarm=alarm.value)
        self.raised = dict(raised)

    def document(self) -> list[dict[str, str]]:
        """For `status`, worst first."""
        worst = sorted(self.raised.items(), key=lambda item: (-item[1].level, item[0]))
        return [{"alarm": alarm.value, "level": one.level.name.lower(), "detail": one.detail} for alarm, one in worst]
