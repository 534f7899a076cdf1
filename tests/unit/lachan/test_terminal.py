from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import typer

from lachan import terminal
from lachan.errors import LachanError


def test_a_document_is_json_that_people_can_read(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.document({"name": "Lá Chắn", "file": Path("a/b")})
    output = capsys.readouterr()
    assert json.loads(output.out) == {"name": "Lá Chắn", "file": "a/b"}
    assert "Lá Chắn" in output.out
    assert output.err == ""


def test_a_table_off_a_terminal_is_wide_and_plain(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.table("Holds", ("name", "count"), [("x" * 100, 1), ("[bold]y", None)])
    shown = capsys.readouterr().out
    assert "\033" not in shown
    assert "x" * 100 in shown
    for part in ("Holds", "name", "count", "None"):
        assert part in shown


def test_text_from_outside_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.table("[red]title", ("[red]column",), [("[bold]cell[/bold]",), ("[/]",)])
    shown = capsys.readouterr().out
    for part in ("[red]title", "[red]column", "[bold]cell[/bold]", "[/]"):
        assert part in shown


def test_lines_and_complaints_go_their_ways(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.line("done")
    terminal.complain("not so")
    output = capsys.readouterr()
    assert (output.out, output.err) == ("done\n", "not so\n")


def command(error: Exception | None) -> typer.Typer:
    app = typer.Typer(add_completion=False)

    @app.command()
    def work() -> None:
        if error is not None:
            raise error
        terminal.line("done")

    return app


def test_a_foreseen_error_ends_a_command_with_its_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(SystemExit) as ended:
        terminal.run(command(LachanError("edge.yaml:3: name: missing")))()
    assert ended.value.code == terminal.EXIT_ERROR
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "edge.yaml:3: name: missing\n")


def test_a_command_that_works_ends_with_nothing_to_say(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(SystemExit) as ended:
        terminal.run(command(None))()
    assert ended.value.code == 0
    assert capsys.readouterr().out == "done\n"
