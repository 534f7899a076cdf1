"""Whom to believe, as data from outside (C2SP tlog-policy): logs by their keys, witnesses, and how many of whom.

Holds always: a checkpoint is believed only with a signature of one of the named logs under its own origin and with the
cosignatures that the quorum asks for; each witness counts in one place only.

    log ORIGIN+ID+KEY
    witness NAME WITNESS+ID+KEY [ADDRESS]
    group GROUP all|any|NUMBER NAME...
    quorum GROUP
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lachan.ledger import checkpoint, note
from lachan.ledger.checkpoint import Checkpoint
from lachan.ledger.errors import LedgerError
from lachan.ledger.note import Note, NoteError, NoteKey, SignatureKind

MAX_POLICY_BYTES = 1 << 16
PINNED = "x-lachan-ledger"
"""In the top-level targets of the list's TUF repository: the policy, as text."""
MAX_PINNED_BYTES = 1 << 14
"""Every edge fetches it with the targets."""
MAX_EACH = 32
"""Logs, witnesses and groups, of each at most."""
MAX_AHEAD_S = 300
"""Seconds by which a witness's clock may be ahead of ours."""


class UnknownLogError(LedgerError):
    """A checkpoint is of a log that the policy does not name."""


class LogSignatureError(LedgerError):
    """A checkpoint lacks the signature of its log."""


class QuorumError(LedgerError):
    """A checkpoint lacks cosignatures of witnesses."""


class FutureError(LedgerError):
    """A witness says that it cosigned at a time that is yet to come."""


@dataclass(frozen=True)
class Group:
    """A number of members that suffices."""

    enough: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Believed:
    """A checkpoint that the policy believes."""

    checkpoint: Checkpoint
    times: dict[str, int]
    """When each witness cosigned, in seconds since 1970, by its name in the policy."""

    @property
    def earliest(self) -> int:
        """The first time at which a witness saw this tree as the log's latest; the last there is, if none did."""
        return min(self.times.values(), default=note.MAX_TIME)

    @property
    def latest(self) -> int:
        """The last such time; the first there is, if none did."""
        return max(self.times.values(), default=0)


@dataclass(frozen=True)
class Policy:
    """Logs, witnesses and a quorum."""

    logs: tuple[NoteKey, ...]
    witnesses: dict[str, NoteKey]
    groups: dict[str, Group]
    quorum: str | None
    """A witness, a group, or nobody at all (`none`)."""
    addresses: dict[str, str] = field(default_factory=dict)
    """Where logs ask a witness, by its name; as it is written."""

    def _reached(self, name: str, cosigned: dict[str, int]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in cosigned
        return sum(self._reached(one, cosigned) for one in group.members) >= group.enough

    def check(self, signed: Note, now: int) -> Believed:
        """The checkpoint of a note, believed.

        Args:
            signed: As it came from outside.
            now: Seconds since 1970, UTC.

        Raises:
            NoteError: It is no checkpoint, or a known signature under it does not hold.
            UnknownLogError: The policy does not name its log.
            LogSignatureError: Its log did not sign it.
            FutureError: It was cosigned at a time that is yet to come.
            QuorumError: Too few witnesses cosigned it.
        """
        head = checkpoint.parse(signed.text)
        logs = [one for one in self.logs if one.name == head.origin]
        if not logs:
            raise UnknownLogError(f"the log {head.origin} is not one of the policy's")
        if not note.verify(signed, logs):
            raise LogSignatureError(f"no signature of the log {head.origin} under its checkpoint of {head.size} leaves")
        found = note.verify(signed, list(self.witnesses.values()))
        times = {name: found[key] for name, key in self.witnesses.items() if key in found}
        for name, time in times.items():
            if time > now + MAX_AHEAD_S:
                raise FutureError(f"witness {name}: cosigned {time - now} s from now")
        if self.quorum is not None and not self._reached(self.quorum, times):
            there = ", ".join(sorted(times)) or "nobody"
            raise QuorumError(f"checkpoint of {head.size} leaves: cosigned by {there}, which is not {self.asked()}")
        return Believed(head, times)

    def asked(self) -> str:
        """How many of whom it asks for, in words."""
        group = self.groups.get(self.quorum or "")
        return f"{group.enough} of {', '.join(group.members)}" if group else f"{self.quorum}"


class _Reader:
    """A policy line by line."""

    def __init__(self) -> None:
        self.logs: list[NoteKey] = []
        self.witnesses: dict[str, NoteKey] = {}
        self.groups: dict[str, Group] = {}
        self.addresses: dict[str, str] = {}
        self.quorum: str | None = None
        self.quorum_seen = False
        self._members: set[str] = set()
        self._keys: set[bytes] = set()

    def take(self, words: list[str], line: int) -> None:
        match words:
            case ["log", key] | ["log", key, _]:
                self.logs.append(self._key(key, SignatureKind.ED25519, line))
                self._bound(len(self.logs), "logs", line)
            case ["witness", name, key, *address] if len(address) <= 1:
                self._fresh(name, line)
                self.witnesses[name] = self._key(key, SignatureKind.COSIGNATURE, line)
                if address:
                    self.addresses[name] = address[0]
                self._bound(len(self.witnesses), "witnesses", line)
            case ["group", name, enough, _, *_]:
                self._fresh(name, line)
                self.groups[name] = self._group(enough, words[3:], line)
                self._bound(len(self.groups), "groups", line)
            case ["quorum", name]:
                if self.quorum_seen:
                    raise NoteError(line, "a second quorum")
                self.quorum_seen = True
                self.quorum = None if name == "none" else self._known(name, line)
            case _:
                raise NoteError(line, "neither log, witness, group nor quorum with what it needs")

    def _bound(self, count: int, what: str, line: int) -> None:
        if count > MAX_EACH:
            raise NoteError(line, f"more than {MAX_EACH} {what}")

    def _key(self, text: str, kind: SignatureKind, line: int) -> NoteKey:
        key = NoteKey.parse(text, line)
        if key.kind is not kind:
            raise NoteError(line, f"the key of {key.name} is for signatures of kind {key.kind}, not {kind}")
        if key.key.raw in self._keys:
            raise NoteError(line, f"the key of {key.name} stands in the policy twice")
        self._keys.add(key.key.raw)
        return key

    def _fresh(self, name: str, line: int) -> None:
        if name == "none" or name in self.witnesses or name in self.groups:
            raise NoteError(line, f"the name {name} is taken")

    def _known(self, name: str, line: int) -> str:
        if name not in self.witnesses and name not in self.groups:
            raise NoteError(line, f"{name} is neither a witness nor a group named before")
        return name

    def _group(self, enough: str, members: list[str], line: int) -> Group:
        for name in members:
            if self._known(name, line) in self._members:
                raise NoteError(line, f"{name} is a member already")
            self._members.add(name)
        words = {"all": len(members), "any": 1}
        number = words[enough] if enough in words else checkpoint.parse_number(enough, line, "the number of members")
        if not 1 <= number <= len(members):
            raise NoteError(line, f"{number} of {len(members)} members")
        return Group(number, tuple(members))


def parse(data: bytes) -> Policy:
    """A policy from its file.

    Raises:
        NoteError: It is none; the line is named.
    """
    if len(data) > MAX_POLICY_BYTES:
        raise NoteError(0, f"larger than {MAX_POLICY_BYTES} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise NoteError(data.count(b"\n", 0, error.start) + 1, "not UTF-8") from error
    reader = _Reader()
    for line, content in enumerate(text.split("\n"), 1):
        if any(one < " " and one != "\t" for one in content):
            raise NoteError(line, "a control character")
        words = content.replace("\t", " ").split(" ")
        words = [one for one in words if one]
        if words and not words[0].startswith("#"):
            reader.take(words, line)
    if not reader.quorum_seen:
        raise NoteError(0, "no quorum")
    return Policy(tuple(reader.logs), reader.witnesses, reader.groups, reader.quorum, reader.addresses)


def pinned(field: object) -> bytes:
    """The policy in signed metadata; empty where there is none.

    Raises:
        NoteError: It is none, or asks for nobody's cosignature.
    """
    if field is None:
        return b""
    if not isinstance(field, str) or len(field.encode(errors="replace")) > MAX_PINNED_BYTES:
        raise NoteError(0, f"not a text of at most {MAX_PINNED_BYTES} bytes")
    data = field.encode(errors="replace")
    if parse(data).quorum is None:
        raise NoteError(0, "asks for no witness")
    return data
