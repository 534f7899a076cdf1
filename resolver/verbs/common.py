"""Options that verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path, typer.Option("--config", "-c", help="edge.yaml", show_default=True)]
Json = Annotated[bool, typer.Option("--json", help="One JSON document instead of tables.")]
DEFAULT = Path("/etc/lachan/edge.yaml")
POLL_SECONDS = 0.1
