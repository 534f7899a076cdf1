"""Reads the lists that others publish: hosts files, plain lists, Adblock-style lists.

Holds always: every line is either empty or a comment, or gives names, or is reported with its number and the reason;
no file is read beyond its bounds.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.formats import adblock, hosts, plain
from blocklist_sync.central.formats.line import LineRefusedError, Listed

MAX_LINE_BYTES = 4096
MAX_LINES = 20_000_000
SNIFFED_LINES = 200
SHOWN_CHARACTERS = 120


class Format(enum.StrEnum):
    """The formats that are read."""

    HOSTS = "hosts"
    PLAIN = "plain"
    ADBLOCK = "adblock"


class Refusal(NamedTuple):
    """A line that was not taken over."""

    file: str
    line: int
    text: str
    reason: str


class Read(NamedTuple):
    """One name and the line it stands on."""

    line: int
    listed: Listed


_PARSERS: dict[Format, Callable[[str], Sequence[Listed]]] = {
    Format.HOSTS: hosts.parse,
    Format.PLAIN: plain.parse,
    Format.ADBLOCK: adblock.parse,
}
_ADBLOCK = re.compile(r"(?:@@)?\|\||!|\[Adblock")


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file; of an overlong one a piece that is overlong too."""
    try:
        with path.open("rb") as file:
            while piece := file.readline(MAX_LINE_BYTES + 2):
                line = piece
                while piece and not piece.endswith(b"\n"):
                    piece = file.readline(MAX_LINE_BYTES)
                yield line
    except OSError as error:
        raise CentralError(f"{path}: {error.strerror}") from error


def detect(lines: Iterable[bytes]) -> Format:
    """The format of a file, by its first lines that are no `#` comments."""
    votes = dict.fromkeys(Format, 0)
    for _, raw in zip(range(SNIFFED_LINES), lines, strict=False):
        line = raw.decode("utf-8", "replace").strip().removeprefix("\ufeff")
        if not line or line.startswith("#"):
            continue
        if _ADBLOCK.match(line):
            votes[Format.ADBLOCK] += 1
        elif line.split()[0] in hosts.NOWHERE:
            votes[Format.HOSTS] += 1
        else:
            votes[Format.PLAIN] += 1
    return max(votes, key=lambda form: (votes[form], form is Format.PLAIN))


def read(path: Path, form: Format | None, refuse: Callable[[Refusal], None]) -> Iterator[Read]:
    """The names of a file, with their lines.

    Args:
        path: The file.
        form: Its format; told from its first lines if None.
        refuse: Told of every line that is not taken over.

    Raises:
        CentralError: The file cannot be read, or has too many lines.
    """
    parse = _PARSERS[form or detect(_lines(path))]
    for number, raw in enumerate(_lines(path), 1):
        if number > MAX_LINES:
            raise CentralError(f"{path}: more than {MAX_LINES} lines")
        text = raw.decode("utf-8", "backslashreplace").strip()
        if number == 1:
            text = text.removeprefix("\ufeff")
        try:
            if len(raw) > MAX_LINE_BYTES and len(raw.rstrip(b"\r\n")) > MAX_LINE_BYTES:
                raise LineRefusedError(f"longer than {MAX_LINE_BYTES} bytes")  # noqa: TRY301  one road for every reason
            found = parse(text)
        except LineRefusedError as error:
            refuse(Refusal(str(path), number, text[:SHOWN_CHARACTERS], str(error)))
            continue
        for listed in found:
            yield Read(number, listed)
