from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import structlog

from lachan import log


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_a_line_of_json_has_its_component_level_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("worker-1", "json")
    log.get().warning("release refused", reason="older", serial=7)
    output = capsys.readouterr()
    assert output.out == ""
    [line] = output.err.splitlines()
    fields = json.loads(line)
    assert datetime.fromisoformat(fields.pop("timestamp")).utcoffset() is not None
    assert fields == {
        "component": "worker-1",
        "level": "warning",
        "event": "release refused",
        "reason": "older",
        "serial": 7,
    }


def test_a_line_for_people_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("resolver")
    log.get().info("list in force", serial=7)
    line = capsys.readouterr().err
    assert "\033" not in line
    for part in ("info", "list in force", "serial=7", "component=resolver"):
        assert part in line


@pytest.mark.parametrize(("level", "seen"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_lines_below_the_level_are_left_out(level: str, seen: int, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("resolver", "json", level)
    for name in ("debug", "info", "warning", "error"):
        getattr(log.get(), name)("said")
    assert len(capsys.readouterr().err.splitlines()) == seen


def test_a_logger_made_before_follows_the_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    early = log.get()
    log.configure("resolver", "json")
    early.info("up")
    assert json.loads(capsys.readouterr().err)["component"] == "resolver"


def test_a_line_break_from_outside_does_not_begin_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("resolver", "json")
    log.get().info("refused", reason="first\nsecond")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_full_disk_costs_the_lines_alone() -> None:
    program = "from lachan import log; log.configure('a'); [log.get().error('b' * 9999) for _ in range(9)]; print('on')"
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        ran = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=full, check=False)
    assert ran.stdout == b"on\n"
