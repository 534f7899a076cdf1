"""dnsmasq's configuration: `address=/name/`, `server=/name/` and `local=/name/`; `#` begins a comment.

Each means a name and what is below it. Only what blocks is taken over: no address at all, or one that leads nowhere.
A line that sends names to a server or to somebody's address is about something else.
"""

from __future__ import annotations

from collections.abc import Sequence

from blocklist_sync.central.intake.formats.hosts import NOWHERE
from blocklist_sync.central.intake.formats.line import LineRefusedError, Listed, Reach

OPTIONS = ("address=/", "server=/", "local=/")
MAX_NAMES_PER_LINE = 256

# `address=/name/#` answers with the null addresses.
_NULL = NOWHERE | {"", "#"}


def _without_comment(line: str) -> str:
    text = line.strip()
    if text.startswith("#"):
        return ""
    for mark in (" #", "\t#"):
        text = text.partition(mark)[0]
    return text.rstrip()


def _check_target(option: str, target: str) -> None:
    if option == "address=":
        if target not in _NULL:
            raise LineRefusedError("leads to an address that is none that blocks (none, #, 0.0.0.0, ::…)")
    elif target == "#":
        raise LineRefusedError("leaves the name to the usual servers: an exception has its own proposal")
    elif target:
        raise LineRefusedError("sends the name to a server, which blocks nothing")


def parse(line: str) -> Sequence[Listed]:
    """The names that a line blocks.

    Raises:
        LineRefusedError: It is another option, or blocks nothing.
    """
    text = _without_comment(line)
    if not text:
        return ()
    option, slash, rest = text.partition("/")
    if option + slash not in OPTIONS:
        raise LineRefusedError("not an option about names (address=/…/, server=/…/, local=/…/)")
    names, last, target = rest.rpartition("/")
    if not last:
        raise LineRefusedError("no / behind the name")
    _check_target(option, target)
    found = names.split("/")
    if len(found) > MAX_NAMES_PER_LINE:
        raise LineRefusedError(f"more than {MAX_NAMES_PER_LINE} names on the line")
    for name in found:
        if not name:
            raise LineRefusedError("an empty name, which means every name without a dot")
        if "*" in name or name == "#":
            raise LineRefusedError("a pattern of names, not a name")
    return [Listed(name, reach=Reach.BOTH) for name in found]
