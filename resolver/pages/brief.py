"""What the process that serves the pages is told, and where it listens; for whoever starts it.

Holds always: nothing of what that process loads is loaded here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resolver.brief import Handed
from resolver.control import Message


@dataclass(frozen=True)
class Brief(Handed):
    """What the process is told when it is exec'd, as JSON in an inherited descriptor."""

    settings: str
    sockets: list[dict[str, Any]]
    rules: Message
    rules_fd: int | None


def control_path(runtime_dir: Path) -> Path:
    """Where the process listens for its supervisor."""
    return runtime_dir / "pages.sock"
