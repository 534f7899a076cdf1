"""What commands print: a table for people, one JSON document for machines, and errors in one line each."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

import typer

from lachan.errors import LachanError

EXIT_ERROR = 1


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints a table on standard output."""
    # What prints none need not wait for it: a service starts by a command, too.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Text, not strings: Rich would take brackets and colons of an order's text for its markup.
    heading = Text(title) if title else None
    shown = Table(title=heading, title_justify="left", header_style="bold", show_header=any(columns))
    for column in columns:
        shown.add_column(Text(column), overflow="fold")
    for row in rows:
        shown.add_row(*(Text(str(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else 160).print(shown)


def document(value: Any) -> None:
    """Prints one JSON document on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def line(text: str) -> None:
    """Prints one line on standard output."""
    sys.stdout.write(text + "\n")


def complain(text: str) -> None:
    """Prints one line on standard error."""
    sys.stderr.write(text + "\n")


def fail(error: LachanError) -> NoReturn:
    """Says what went wrong and ends the command."""
    complain(str(error))
    raise SystemExit(EXIT_ERROR)


def run(app: typer.Typer) -> Callable[[], None]:
    """The entry point of a command: foreseen errors end it with their message and exit status 1, not a traceback."""

    def main() -> None:
        try:
            app()
        except LachanError as error:
            fail(error)

    return main
