from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from deploy.demo import screen
from deploy.demo.place import Place
from deploy.demo.ports import Ports
from deploy.demo.screen import Screen
from deploy.demo.verdicts import Told


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "demo", Ports(10053), cheating=True)


def test_it_says_where_things_are(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    Screen().places(place)
    shown = capsys.readouterr().out
    for where in ("http://127.0.0.1:8080", "127.0.0.1:10053", "127.0.0.1:10054", "http://127.0.0.1:10059/metrics"):
        assert where in shown


@pytest.mark.parametrize("dig", ["/usr/bin/dig", None])
def test_three_commands_to_try_that_work_here(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, dig: str | None
) -> None:
    monkeypatch.setattr(screen.shutil, "which", lambda _: dig)
    Screen().places(place)
    commands = [
        shlex.split(line) for line in capsys.readouterr().out.partition("Try\n")[2].splitlines() if line.strip()
    ]
    assert len(commands) == 3
    assert [Path(command[0]).name == "dig" for command in commands] == [dig is not None, dig is not None, False]
    assert ("+tcp" in commands[1]) or ("--tcp" in commands[1])


def test_verdicts_are_shown_when_they_change(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Screen()
    before = {"a": Told(), "b": Told()}
    now = {"a": Told("compliant"), "b": Told("not_compliant", ("stale_list",))}
    shown.verdicts(now, before, 12.3)
    shown.verdicts(now, now, 13.3)
    assert capsys.readouterr().out == (
        "    12 s  Operator A  compliant\n    12 s  Operator B  not compliant: stale_list\n"
    )


def test_a_failure_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().failure("[Errno 98] [bold]")
    assert "[Errno 98] [bold]" in capsys.readouterr().out


def test_a_step_is_ticked_off(capsys: pytest.CaptureFixture[str]) -> None:
    with Screen().step("a step"):
        pass
    assert "✓ a step 0.0 s" in capsys.readouterr().out
