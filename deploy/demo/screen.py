"""What a person sees: calm lines, one a step, on standard output."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from deploy.demo.catalogue import CLEAN_NAME, NEW_NAME
from deploy.demo.place import Place, program
from deploy.demo.ports import ADDRESS
from deploy.demo.verdicts import COMPLIANT, NOT_COMPLIANT, Told

WIDTH = 110
_WORDS = {
    COMPLIANT: "[green]compliant[/]",
    NOT_COMPLIANT: "[red]not compliant[/]",
}


def _near(path: str | Path) -> str:
    """A path as it is typed from here."""
    path = Path(path)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


class Screen:
    """Writes lines; on a terminal with a spinner while something is under way."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True, width=None)

    def line(self, text: str = "") -> None:
        """One line, with Rich's markup."""
        self._console.print(text)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """A step: shown while it lasts, and ticked off with the time it took."""
        begun = time.monotonic()
        with self._console.status(f"  {what}"):
            yield
        self.line(f"  [green]✓[/] {what} [dim]{time.monotonic() - begun:.1f} s[/]")

    def detail(self, text: str) -> None:
        """What happened within a step."""
        self.line(f"      [dim]{escape(text)}[/]")

    def failure(self, text: str) -> None:
        """Why it ends."""
        self.line(f"\n  [red]✗[/] {escape(text)}")

    def places(self, place: Place) -> None:
        """Where everything is, and what to try."""
        ports = place.ports
        of_b = "runs on release 1, reports release 2" if place.cheating else "honest"
        edge = _near(place.config("a"))
        rows = [
            ("Console", f"http://{ADDRESS}:{ports.console}", ""),
            ("Operator A", f"{ADDRESS}:{ports.operator_a} UDP, TCP", "honest"),
            ("Operator B", f"{ADDRESS}:{ports.operator_b} UDP, TCP", of_b),
            *(("Metrics", f"http://{ADDRESS}:{port}/metrics", owner) for owner, port in ports.metrics.items()),
            ("Logs", f"{_near(place.logs)}/", f"every command: {_near(place.commands)}"),
        ]
        self.line()
        for name, where, remark in rows:
            self.line(f"  [bold]{name:<11}[/] {where:<38} [dim]{remark}[/]".rstrip())
        self.line("\n  [bold]Try[/]")
        resolver = _near(program("lachan-resolver"))
        if shutil.which("dig"):
            dig = f"dig @{ADDRESS} -p {ports.operator_a}"
            commands = [f"{dig} {NEW_NAME}", f"{dig} +tcp {CLEAN_NAME}"]
        else:
            commands = [
                f"{resolver} query {NEW_NAME} --config {edge}",
                f"{resolver} query --tcp {CLEAN_NAME} --config {edge}",
            ]
        for command in [*commands, f"{resolver} explain {NEW_NAME} --config {edge}"]:
            self.line(f"    {command}")
        self.line()

    def verdicts(self, told: Mapping[str, Told], before: Mapping[str, Told], seconds: float) -> None:
        """A line for each verdict that has changed."""
        for name, one in told.items():
            if before.get(name) != one:
                words = _WORDS.get(one.verdict, "[yellow]not enough evidence yet[/]")
                reasons = f": {', '.join(one.findings)}" if one.verdict == NOT_COMPLIANT else ""
                self.line(f"  [dim]{seconds:4.0f} s[/]  Operator {name.upper()}  {words}{reasons}")
