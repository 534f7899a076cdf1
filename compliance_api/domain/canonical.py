"""JSON of which one value has one form, so that the same evidence gives the same bytes.

Holds always: sorted keys, no blanks, UTF-8; objects, lists, texts, whole numbers, true, false and null, and nothing
that two machines could write differently: a fraction is refused.
"""

from __future__ import annotations

import json
from typing import Any


def encode(value: Any) -> bytes:
    """The one form of a value.

    Raises:
        ValueError: It holds what has no one form; the message names the place.
    """
    _check(value, "$")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _check(value: Any, place: str) -> None:
    if isinstance(value, dict):
        for key, held in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{place}: a key is no text")  # noqa: TRY004 - wrong as data, not as code
            _check(held, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for number, held in enumerate(value):
            _check(held, f"{place}[{number}]")
    elif value is not None and not isinstance(value, str | int):
        raise ValueError(f"{place}: {type(value).__name__} has no canonical form")
