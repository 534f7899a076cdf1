"""Plain lists: one name a line; `#` begins a comment; `*.` or `.` in front of a name commonly means its subtree."""

from __future__ import annotations

from collections.abc import Sequence

from blocklist_sync.central.intake.formats.line import LineRefusedError, Listed


def parse(line: str) -> Sequence[Listed]:
    """The name on a line, if any.

    Raises:
        LineRefusedError: There is something else on it.
    """
    words = line.partition("#")[0].split()
    if not words:
        return ()
    if len(words) > 1:
        raise LineRefusedError("more than a name on the line")
    return (Listed(words[0].removeprefix("*").removeprefix(".")),)
