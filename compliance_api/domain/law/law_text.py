"""A text of the law in one form, whatever release wrote it down.

Holds always: two texts that say the same have the same form; a field that texts did not have from the beginning is part
of it only where it is not at its default, so that a new release leaves the texts that it finds, and their digests, as
they are. Such a default never changes.
"""

from __future__ import annotations

import json
from typing import Any

from lachan.config import Settings


class Added:
    """Marks a field that was added to a text later: `Annotated[float, Added()]`."""


def _said(part: Settings) -> dict[str, Any]:
    values: dict[str, Any] = part.model_dump(mode="json")
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if any(isinstance(one, Added) for one in field.metadata) and value == field.get_default():
            del values[name]
        elif isinstance(value, Settings):
            values[name] = _said(value)
    return values


def form(text: Settings) -> str:
    """A text as data: sorted keys, no blanks, rates in the fewest digits that read back as the same."""
    return json.dumps(_said(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
