"""The options of `enroll`, which every program has that comes in by a token."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

STANDARD_INPUT = "-"

Token = Annotated[
    str | None, typer.Option("--token", help="As the authority handed it over; `-` reads it from standard input.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the enrolment that was begun.")]
Patience = Annotated[
    float, typer.Option("--wait", min=0, max=86400, help="Seconds to wait for your organisation's decision.")
]


def handed_over(token: str | None) -> str | None:
    """The token's text, from standard input where the option says so."""
    return sys.stdin.read() if token == STANDARD_INPUT else token
