"""JSON of which one value has one form, so that it can be hashed and signed.

Holds always: sorted keys, no blanks, UTF-8; objects, lists, texts and whole numbers, and what else a caller allows of
true, false and null; nothing that two machines could write or read differently: a fraction is refused.
"""

from __future__ import annotations

import json
from types import NoneType
from typing import Any

ANY = (str, int, bool, NoneType)
STRICT = (str, int)
"""Where nothing may be there or not there."""


def encode(value: Any, scalars: tuple[type, ...] = ANY) -> bytes:
    """The one form of a value.

    Args:
        value: Objects, lists and scalars.
        scalars: The kinds of scalars that are allowed: `ANY` or `STRICT`.

    Raises:
        ValueError: It holds what has no one form; the message names the place.
    """
    _check(value, scalars, "")
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("a text that is not Unicode") from error


def _check(value: Any, scalars: tuple[type, ...], place: str) -> None:
    if isinstance(value, dict):
        for key, held in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{place or 'the value'}: a key is no text")  # noqa: TRY004 - wrong as data, not as code
            _check(held, scalars, f"{place}.{key}" if place else key)
    elif isinstance(value, list | tuple):
        for number, held in enumerate(value):
            _check(held, scalars, f"{place}[{number}]")
    elif not isinstance(value, scalars) or (isinstance(value, bool) and bool not in scalars):
        raise ValueError(f"{place or 'the value'}: {type(value).__name__} has no canonical form here")
