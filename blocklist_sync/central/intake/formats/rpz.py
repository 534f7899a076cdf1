r"""Response policy zones in master file form (RFC 1035, section 5; draft-vixie-dnsop-dns-rpz).

`name CNAME .` and `name CNAME *.` block a name, `*.name` with them what is below it, `CNAME rpz-passthru.` excepts.
How a blocked name is answered is the policy bundle's to say, so NXDOMAIN and NODATA are one here. Every other action,
every trigger that is no name asked for, `$INCLUDE` and `$GENERATE` are refused. Owners are taken from below the zone's
apex: the owner of the SOA, else the first `$ORIGIN`; a zone without either has relative owners only.

Holds always: a record may span lines by parentheses, at most `MAX_RECORD_LINES` of them; it counts with its last line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from blocklist_sync.central.intake.formats.line import LineRefusedError, Listed, Reach

MAX_RECORD_LINES = 64

_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[()]|;.*|(?:\\.|[^\s"();\\])+|\S')
_SPECIAL = re.compile(r'["();\\]')
_TTL = re.compile(r"\d+|(?:\d+[smhdw])+", re.IGNORECASE)
_CLASSES = {"in", "ch", "hs", "cs"}
_OTHER_TRIGGERS = {"rpz-ip", "rpz-client-ip", "rpz-nsip", "rpz-nsdname"}
_BLOCKS = {".", "*."}
_PASSTHRU = "rpz-passthru."
_OTHER_ACTIONS = {
    "rpz-drop.": "drops queries in silence, which this project does not do",
    "rpz-tcp-only.": "sends clients to TCP, which blocks nothing",
}


class Zone:
    """The lines of one zone."""

    def __init__(self) -> None:
        # Below which relative names stand: absolute with its final dot, or relative to an apex that nobody names.
        self._origin = ""
        self._apex: str | None = None
        self._owner: str | None = None
        self._held: list[str] = []
        self._blank_owner = False
        self._depth = 0
        self._lines = 0

    def parse(self, line: str) -> Sequence[Listed]:
        """What the record that ends on this line lists.

        Raises:
            LineRefusedError: The record is no rule on a name asked for, or is no record.
        """
        if not self._lines:
            self._blank_owner = line[:1].isspace()
        try:
            self._held += self._tokens(line)
        except LineRefusedError:
            self.lost()
            raise
        if self._depth:
            self._lines += 1
            if self._lines < MAX_RECORD_LINES:
                return ()
            self.lost()
            raise LineRefusedError(f"a record of more than {MAX_RECORD_LINES} lines: a parenthesis is not closed")
        record, begun = self._held, self._lines
        self._drop()
        if record:
            return self._record(record)
        if begun or line.lstrip()[:1] not in {"", ";"}:
            raise LineRefusedError("an empty record")
        return ()

    def lost(self) -> None:
        """Forgets the record before: what a record without an owner would take it from is not known."""
        self._drop()
        self._owner = None

    def end(self) -> None:
        """Says that no line follows.

        Raises:
            LineRefusedError: A parenthesis is open.
        """
        lines = self._lines
        self._drop()
        if lines:
            raise LineRefusedError(f"a parenthesis, opened up to {lines} lines above, is not closed")

    def _drop(self) -> None:
        self._held, self._depth, self._lines = [], 0, 0

    def _tokens(self, line: str) -> list[str]:
        if not _SPECIAL.search(line):
            return line.split()
        tokens = []
        for word in _TOKEN.findall(line):
            if word[0] == ";":
                break
            if word == "(":
                self._depth += 1
            elif word == ")":
                self._depth -= 1
                if self._depth < 0:
                    raise LineRefusedError("a parenthesis is closed that was not opened")
            elif word in {'"', "\\"}:
                raise LineRefusedError("a quotation mark or a backslash without its end")
            else:
                tokens.append(word)
        return tokens

    def _record(self, tokens: list[str]) -> Sequence[Listed]:
        if tokens[0][0] == "$" and not self._blank_owner:
            return self._directive(tokens)
        if self._blank_owner:
            if self._owner is None:
                raise LineRefusedError("no owner, and no record above to take it from")
        else:
            self._owner = tokens.pop(0).lower()
        while tokens and (_TTL.fullmatch(tokens[0]) or tokens[0].lower() in _CLASSES):
            word = tokens.pop(0).lower()
            if word in _CLASSES and word != "in":
                raise LineRefusedError("not of the class IN")
        if not tokens:
            raise LineRefusedError("no record type")
        rtype, *data = tokens
        if "\\" in self._owner:
            raise LineRefusedError("an escaped character in the owner's name")
        return self._rule(self._owner, rtype.upper(), data)

    def _directive(self, tokens: list[str]) -> Sequence[Listed]:
        word = tokens[0].upper()
        if word == "$TTL" and len(tokens) > 1:
            return ()
        if word != "$ORIGIN" or len(tokens) != 2:
            raise LineRefusedError("a directive that is not followed ($ORIGIN and $TTL are)")
        self._origin = self._full(tokens[1].lower())
        if self._origin.endswith("."):
            self._apex = self._apex or self._origin
        return ()

    def _full(self, name: str) -> str:
        if name == "@":
            return self._origin
        if name.endswith(".") or not self._origin:
            return name
        return f"{name}{self._origin}" if self._origin == "." else f"{name}.{self._origin}"

    def _trigger(self, owner: str) -> str:
        """The owner below the apex; empty for the apex itself."""
        full = self._full(owner)
        if not full.endswith("."):
            return full
        if self._apex is None:
            raise LineRefusedError("an absolute name, and neither SOA nor $ORIGIN says of which zone")
        if full == self._apex:
            return ""
        end = self._apex if self._apex == "." else f".{self._apex}"
        if not full.endswith(end):
            raise LineRefusedError(f"not below the zone's apex {self._apex}")
        return full.removesuffix(end)

    def _rule(self, owner: str, rtype: str, data: list[str]) -> Sequence[Listed]:
        if rtype == "SOA":
            full = self._full(owner)
            if full.endswith("."):
                self._apex = full
            return ()
        trigger = self._trigger(owner)
        if rtype == "NS" and not trigger:
            return ()
        if rtype != "CNAME":
            raise LineRefusedError("not a CNAME: the zone's own data, or an answer of its own")
        if len(data) != 1:
            raise LineRefusedError("a CNAME has one target")
        if trigger in {"", "*"}:
            raise LineRefusedError("a rule on every name")
        if trigger.rpartition(".")[2] in _OTHER_TRIGGERS:
            raise LineRefusedError("a trigger on addresses or name servers, not on the name asked for")
        target = data[0].lower()
        if target not in _BLOCKS and target != _PASSTHRU:
            raise LineRefusedError(_OTHER_ACTIONS.get(target, "leads to another name, which is no block"))
        below = trigger.startswith("*.")
        return (Listed(trigger[2:] if below else trigger, target == _PASSTHRU, Reach.BELOW if below else Reach.NAME),)
