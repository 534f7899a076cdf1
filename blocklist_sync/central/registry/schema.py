"""Which schema the registry's database has."""

from __future__ import annotations

from pathlib import Path

from lachan.migration import Schema

DATABASE = "registry"
SCHEMA = Schema(Path(__file__).parent / "migrations", 0x6C616368616E02)
"""Its lock: `lachan`, then a number."""
DECISIONS = 0x6C616368616E03
"""The advisory lock of whoever decides: the log is one chain."""
