from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main

from blocklist_sync.central.cli import app


def verbs(command: Any, *path: str) -> Iterator[tuple[str, Any]]:
    """Every verb below a command, by its words."""
    if hasattr(command, "list_commands"):
        for name in command.list_commands(None):
            yield from verbs(command.get_command(None, name), *path, name)
    else:
        yield " ".join(path), command


def test_every_verb_speaks_json() -> None:
    found = {name: {option for one in verb.params for option in one.opts} for name, verb in verbs(
        typer.main.get_command(app)
    )}  # fmt: skip
    assert len(found) > 40
    assert {name for name, options in found.items() if "--json" not in options} == set()
