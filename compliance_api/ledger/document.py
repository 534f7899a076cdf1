"""JSON objects of a pack and of its leaves, as whoever reads them by eye or by program reads them alike.

Holds always: an object is read in one way alone: a name stands in it once, and a number is one.
"""

from __future__ import annotations

import json
from typing import Any


def read(content: bytes) -> dict[str, Any]:
    """What the bytes hold, as an object; empty where they hold none, or one that two could read differently."""
    try:
        made = json.loads(content, object_pairs_hook=_once, parse_constant=_no_number, parse_float=_no_number)
    except (ValueError, RecursionError):
        return {}
    return made if isinstance(made, dict) else {}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice")
    return made


def _no_number(text: str) -> Any:
    # Nothing that is entered has a fraction (`lachan.canonical`).
    raise ValueError(f"{text:.20} is no whole number")
