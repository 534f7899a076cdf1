"""JSON of which one value has one form, so that it can be hashed and signed.

Holds always: sorted keys, no blanks, UTF-8, and nothing but objects, lists, strings and integers: no number that two
readers could round differently, nothing that is there or not there. What `parse` accepts is byte for byte what `encode`
makes of it.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from blocklist_sync.central.errors import CentralError

MAX_BYTES = 1 << 20


class CanonicalError(CentralError):
    """Bytes or a value that are not canonical JSON."""


def encode(value: Any) -> bytes:
    """The one form of a value.

    Raises:
        CanonicalError: It holds something else than objects, lists, strings and integers.
    """
    _check(value, "")
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise CanonicalError("a text that is not Unicode") from error


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


def _check(value: Any, place: str) -> None:
    if isinstance(value, dict):
        for key, held in value.items():
            if not isinstance(key, str):
                raise CanonicalError(f"{place or 'the value'}: a key is no text")
            _check(held, f"{place}.{key}" if place else key)
    elif isinstance(value, list | tuple):
        for number, held in enumerate(value):
            _check(held, f"{place}[{number}]")
    elif isinstance(value, bool) or not isinstance(value, str | int):
        raise CanonicalError(f"{place or 'the value'}: neither text, integer, list nor object")
