"""Adblock-style lists: `||name^` blocks a name and what is below it, `@@||name^` excepts it; `!` begins a comment.

Only rules about whole domains are taken over. Rules with options hold in a browser's context, which DNS does not have,
so taking them over would block more than their author meant.
"""

from __future__ import annotations

from collections.abc import Sequence

from blocklist_sync.central.intake.formats.line import LineRefusedError, Listed

_COSMETIC = ("##", "#@#", "#?#", "#$#")


def parse(line: str) -> Sequence[Listed]:
    """The name a rule blocks or excepts, if the line holds one.

    Raises:
        LineRefusedError: It is a rule that is not about a whole domain.
    """
    text = line.strip()
    if not text or text.startswith(("!", "# ")) or text == "#" or (text.startswith("[") and text.endswith("]")):
        return ()
    if any(mark in text for mark in _COSMETIC):
        raise LineRefusedError("a rule about parts of a page")
    exception = text.startswith("@@")
    rule = text[2:] if exception else text
    if not rule.startswith("||"):
        raise LineRefusedError("not a rule about a domain (||name^)")
    name, caret, rest = rule[2:].partition("^")
    if rest.startswith("$") or "$" in name:
        raise LineRefusedError("a rule with options, which DNS cannot honour")
    if not caret or rest not in {"", "|"}:
        raise LineRefusedError("a rule about addresses of pages, not a whole domain")
    return (Listed(name, exception),)
