from __future__ import annotations

import os
from pathlib import Path

from blocklist_sync.edge.word import Steps, Word, boot_seconds
from lachan.clock import Reading

NOW = 1_800_000_000.0


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_an_age_goes_on_over_restarts(tmp_path: Path) -> None:
    boot, wall, path = Clock(50.0), Clock(NOW), tmp_path / "word"
    first = Word(path, boot, wall)
    boot.now += 100
    assert first.age() == 100
    first.heard()
    assert (first.age(), path.exists()) == (0, True)
    os.utime(path, (NOW - 700, NOW - 700))
    assert Word(path, boot, wall).age() == 700
    # A clock that was set back knows nothing, and claims nothing.
    wall.now -= 86_400
    assert Word(path, boot, wall).age() == 0


def test_what_cannot_be_remembered_harms_nothing(tmp_path: Path) -> None:
    word = Word(tmp_path / "gone" / "word", Clock(1.0), Clock(NOW))
    word.heard()
    assert word.age() == 0
    assert boot_seconds() > 0


def test_a_clock_that_is_set_is_told_for_an_hour() -> None:
    wall = boot = 1_000_000_000_000

    def read() -> Reading:
        return Reading(wall, boot, 0)

    def after(seconds: float, step: float = 0.0) -> float:
        nonlocal wall, boot
        wall += int((seconds + step) * 1e9)
        boot += int(seconds * 1e9)
        steps.observe()
        return steps.recent

    steps = Steps(read)
    assert after(1) == 0
    # NTP's own corrections are nobody's business.
    assert after(1, 0.5) == 0
    assert after(1, 365 * 86_400) == 365 * 86_400
    assert after(3000) == 365 * 86_400
    assert after(1, -86_400) == -86_400
    assert after(3600) == 0
