"""Reads the lists that others publish: hosts files, plain and Adblock-style lists, dnsmasq, RPZ, CSV with orders.

Holds always: every line is empty, a comment or what its format needs of its own (a header, a zone's SOA), or gives
names, or is reported with its number and the reason; no file is read beyond its bounds.
"""

from __future__ import annotations

import enum
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.intake.formats import adblock, dnsmasq, hosts, orderlist, plain, rpz
from blocklist_sync.central.intake.formats.line import EachAlone, HeaderRefusedError, LineRefusedError, Listed, Parser

MAX_LINE_BYTES = 4096
MAX_LINES = 20_000_000
SNIFFED_LINES = 200
SHOWN_CHARACTERS = 120


class Format(enum.StrEnum):
    """The formats that are read."""

    HOSTS = "hosts"
    PLAIN = "plain"
    ADBLOCK = "adblock"
    DNSMASQ = "dnsmasq"
    RPZ = "rpz"
    CSV = "csv"


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


_PARSERS: dict[Format, Callable[[], Parser]] = {
    Format.HOSTS: lambda: EachAlone(hosts.parse),
    Format.PLAIN: lambda: EachAlone(plain.parse),
    Format.ADBLOCK: lambda: EachAlone(adblock.parse),
    Format.DNSMASQ: lambda: EachAlone(dnsmasq.parse),
    Format.RPZ: rpz.Zone,
    Format.CSV: orderlist.OrderList,
}
_ADBLOCK = re.compile(r"(?:@@)?\|\||!|\[Adblock")
_RPZ = re.compile(r"\$(?:ORIGIN|TTL)\s|(?:\S+\s+)?(?:\d\w*\s+)?(?:IN\s+)?(?:CNAME|SOA)\s+\S", re.IGNORECASE)


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


def _check_file(path: Path) -> None:
    """Raises CentralError where reading again would not bring the same: of a pipe, what was looked at is gone."""
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        raise CentralError(f"{path}: {error.strerror}") from error
    if not regular:
        raise CentralError(f"{path}: no regular file, and a list is read several times: save it first")


def _kind_of(line: str) -> Format:
    if _ADBLOCK.match(line):
        return Format.ADBLOCK
    if line.startswith(dnsmasq.OPTIONS):
        return Format.DNSMASQ
    if line.split(maxsplit=1)[0] in hosts.NOWHERE:
        return Format.HOSTS
    return Format.RPZ if _RPZ.match(line) else Format.PLAIN


def detect(lines: Iterable[bytes]) -> Format:
    """The format of a file, by its first lines that are no comments."""
    votes = dict.fromkeys(Format, 0)
    for _, raw in zip(range(SNIFFED_LINES), lines, strict=False):
        line = raw.decode("utf-8", "replace").strip().removeprefix("\ufeff")
        if not line or line.startswith(("#", ";")):
            continue
        # A header comes first, and says so by its columns.
        if not any(votes.values()) and orderlist.header(line):
            return Format.CSV
        votes[_kind_of(line)] += 1
    return max(votes, key=lambda form: (votes[form], form is Format.PLAIN))


def read(
    path: Path, form: Format | None, refuse: Callable[[Refusal], None], passed: Callable[[int], None] | None = None
) -> Iterator[Read]:
    """The names of a file, with their lines.

    Args:
        path: The file.
        form: Its format; told from its first lines if None.
        refuse: Told of every line that is not taken over.
        passed: Told of every line's bytes, once they are behind.

    Raises:
        CentralError: The file cannot be read, has too many lines, or lacks the header that its format needs.
    """
    _check_file(path)
    parser = _PARSERS[form or detect(_lines(path))]()
    number = 0
    for number, raw in enumerate(_lines(path), 1):
        if number > MAX_LINES:
            raise CentralError(f"{path}: more than {MAX_LINES} lines")
        if passed is not None:
            passed(len(raw))
        text = raw.decode("utf-8", "backslashreplace").rstrip("\r\n")
        if number == 1:
            text = text.removeprefix("\ufeff")
        try:
            if len(raw) > MAX_LINE_BYTES and len(raw.rstrip(b"\r\n")) > MAX_LINE_BYTES:
                parser.lost()
                raise LineRefusedError(f"longer than {MAX_LINE_BYTES} bytes")  # noqa: TRY301  one road for every reason
            found = parser.parse(text)
        except HeaderRefusedError as error:
            raise CentralError(f"{path}:{number}: {error}") from error
        except LineRefusedError as error:
            refuse(Refusal(str(path), number, text.strip()[:SHOWN_CHARACTERS], str(error)))
            continue
        for listed in found:
            yield Read(number, listed)
    try:
        parser.end()
    except LineRefusedError as error:
        refuse(Refusal(str(path), number, "", str(error)))
