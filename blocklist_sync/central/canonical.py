"""Canonical JSON as the list authority writes and reads it: the strict form of `lachan.canonical`.

Holds always: what `parse` accepts is byte for byte what `encode` makes of it.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from blocklist_sync.central.errors import CentralError
from lachan import canonical

MAX_BYTES = 1 << 20


class CanonicalError(CentralError):
    """Bytes or a value that are not canonical JSON."""


def encode(value: Any) -> bytes:
    """The one form of a value.

    Raises:
        CanonicalError: It holds something else than objects, lists, strings and integers.
    """
    try:
        return canonical.encode(value, canonical.STRICT)
    except ValueError as error:
        raise CanonicalError(str(error)) from error


def parse(data: bytes) -> Any:
    """The value that canonical bytes say.

    Raises:
        CanonicalError: They are not the one form of any value, or too many.
    """
    if len(data) > MAX_BYTES:
        raise CanonicalError(f"longer than {MAX_BYTES} bytes")
    try:
        value = json.loads(data.decode(), parse_float=_refuse, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise CanonicalError(f"not JSON: {error}") from error
    if encode(value) != data:
        raise CanonicalError("not in its canonical form: sorted keys, no blanks, UTF-8")
    return value


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} is no integer")
