"""A zone file in the form of a Response Policy Zone (draft-vixie-dnsop-dns-rpz), from the owners of a profile.

Holds always: the same release and settings give the same bytes; the zone's serial is the release's (RFC 1982); a name
that has no room in front of the origin, or that resolvers would take for another kind of trigger, is reported and left
out, never cut short.

Beside the list stands one record of the zone's own: the TXT of `settings.status_name` says by which release a resolver
answers, to whoever asks that resolver.
"""

from __future__ import annotations

import enum
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field

from blocklist_sync.artifact.categories import Action
from blocklist_sync.artifact.names import MAX_LABEL_BYTES, MAX_NAME_BYTES
from blocklist_sync.artifact.policy import PolicyBundle
from blocklist_sync.artifact.rules import Rule, Scope
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.rpz.tree import Owner

HEADER = "; lachan-rpz 1"
MANDATED = "mandated"
"""The profile of those who asked for nothing: what binds everybody, and nothing else."""
MAX_HEADER_BYTES = 512
LOCALHOST = "localhost"
"""The name server of a zone that nobody is referred to."""

_CHUNK_LINES = 4096
_MAX_SECONDS = (1 << 31) - 1
_SERIALS = 1 << 32
_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_HEAD = re.compile(re.escape(HEADER) + r" serial=(\d{1,20}) records=([0-9a-f]{64}) settings=([0-9a-f]{64})\n")
# The last label of what is no name: addresses, name servers, clients.
_OTHER_TRIGGER = "rpz-"

_LIFTED = "CNAME rpz-passthru."
_NXDOMAIN = "CNAME ."
_NODATA = "CNAME *."


class Reason(enum.StrEnum):
    """Why something of the list is not in the zone as it stands on the list."""

    TOO_LONG = "too long in front of the origin"
    WILDCARD_TOO_LONG = "names below it are too long in front of the origin"
    OTHER_TRIGGER = "resolvers would take it for an address or a name server"


@dataclass(frozen=True)
class ZoneSettings:
    """What a zone is told besides the list; times in seconds."""

    origin: str
    profile: str = MANDATED
    nameserver: str = LOCALHOST
    contact: str = "hostmaster.invalid"
    """The SOA's mailbox, its `@` written as a dot."""
    sinkhole: str | None = None
    """A host that shows the block page; without it, the sinkhole action is answered as NXDOMAIN is."""
    ttl: int = 10
    refresh: int = 300
    retry: int = 60
    expire: int = 365 * 86_400
    """How long a resolver goes on by its copy with nobody to ask: never failing open is worth a long time."""

    def __post_init__(self) -> None:
        names = {
            "origin": self.origin,
            "nameserver": self.nameserver,
            "contact": self.contact,
            "sinkhole": self.sinkhole,
        }
        for what, name in names.items():
            if name is not None and name != LOCALHOST and (len(name) > MAX_NAME_BYTES or not _HOST.fullmatch(name)):
                raise CentralError(f"{what}: {name[:80]!r} is no name in lowercase letters without the last dot")
        if self.origin.count(".") < 2:
            raise CentralError(
                f"origin: {self.origin!r} stands right below a domain: three labels or more are expected"
            )
        times = {"ttl": self.ttl, "refresh": self.refresh, "retry": self.retry, "expire": self.expire}
        for what, seconds in times.items():
            if not 1 <= seconds <= _MAX_SECONDS:
                raise CentralError(f"{what}: 1 to {_MAX_SECONDS} seconds")

    @property
    def status_name(self) -> str:
        """Asked for its TXT, a resolver says which release it answers by. Beside the origin, which is a zone there."""
        return "lachan-serial." + self.origin.partition(".")[2]

    def digest(self, bundle: PolicyBundle) -> str:
        """SHA-256 of what makes the zone beside the release; hexadecimal."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode() + bundle.encode()).hexdigest()


@dataclass(frozen=True)
class Head:
    """What the first line of a zone file says of it."""

    serial: int
    records_digest: str
    settings_digest: str

    def line(self) -> str:
        """The line."""
        return f"{HEADER} serial={self.serial} records={self.records_digest} settings={self.settings_digest}\n"

    @classmethod
    def read(cls, line: str) -> Head | None:
        """From the line; None where it is another program's."""
        match = _HEAD.fullmatch(line)
        return cls(int(match[1]), match[2], match[3]) if match else None


@dataclass
class Counts:
    """What the zone came to hold, filled while it is written."""

    owners: int = 0
    passed: int = 0
    """Of them, those that let a name through."""
    left_out: dict[Reason, int] = field(default_factory=dict)
    actions_replaced: int = 0
    """Owners whose category asks for an answer that a zone cannot give."""


def soa_serial(serial: int) -> int:
    """The serial of a zone: the release's, in 32 bits."""
    return serial % _SERIALS


def newer(serial: int, than: int) -> bool:
    """Whether a zone's serial is newer than another (RFC 1982, section 3.2)."""
    return 0 < (soa_serial(serial) - soa_serial(than)) % _SERIALS < _SERIALS // 2


class _Answers:
    """How a rule's names are answered, as an edge does."""

    def __init__(self, bundle: PolicyBundle, settings: ZoneSettings, counts: Counts) -> None:
        self._bundle = bundle
        self._sinkhole = settings.sinkhole
        self._counts = counts

    def of(self, rule: Rule | None) -> tuple[str, ...]:
        """Type and data of the records."""
        if rule is None:
            self._counts.passed += 1
            return (_LIFTED,)
        action = self._bundle.action(rule.category)
        if action is Action.NULL_IP:
            return ("A 0.0.0.0", "AAAA ::")
        if action is Action.SINKHOLE and self._sinkhole is not None:
            return (f"CNAME {self._sinkhole}.",)
        if action is Action.NODATA:
            return (_NODATA,)
        if action is not Action.NXDOMAIN:
            self._counts.actions_replaced += 1
        # An NXDOMAIN denies everything below the name, to whoever caches it (RFC 8020).
        return (_NXDOMAIN if rule.scope is Scope.SUBTREE and not rule.exception_below else _NODATA,)


def has_room_for(name: str, origin: str) -> bool:
    """Whether the zone of an origin can hold a name at all."""
    return _unfit(Owner(name, wildcard=False, rule=None), MAX_NAME_BYTES - len(origin) - 1) is None


def _unfit(owner: Owner, room: int) -> Reason | None:
    if owner.name.rpartition(".")[2].startswith(_OTHER_TRIGGER):
        return Reason.OTHER_TRIGGER
    if len(owner.name) > room:
        return Reason.TOO_LONG
    if owner.wildcard and len(owner.name) + 2 > room:
        return Reason.WILDCARD_TOO_LONG
    return None


def _apex(head: Head, settings: ZoneSettings) -> Iterator[str]:
    yield head.line()
    yield f"$ORIGIN {settings.origin}.\n$TTL {settings.ttl}\n"
    timers = f"{settings.refresh} {settings.retry} {settings.expire} {settings.ttl}"
    yield f"@ SOA {settings.nameserver}. {settings.contact}. {soa_serial(head.serial)} {timers}\n"
    yield f"@ NS {settings.nameserver}.\n"
    status = f'"serial={head.serial}" "records={head.records_digest}" "profile={settings.profile}"'
    yield f"{settings.status_name} TXT {status}\n"


def check_room(settings: ZoneSettings) -> int:
    """How many bytes a name may have in front of the origin.

    Raises:
        CentralError: There is not even room for the zone's own record.
    """
    room = MAX_NAME_BYTES - len(settings.origin) - 1
    if room < max(len(settings.status_name), MAX_LABEL_BYTES):
        raise CentralError(f"origin: {settings.origin!r} leaves no room for names in front of it")
    return room


def _lines(
    owners: Iterable[Owner], answers: _Answers, room: int, counts: Counts, leave_out: Callable[[str, Reason], None]
) -> Iterator[str]:
    told = ""
    for owner in owners:
        reason = _unfit(owner, room)
        if reason is not None:
            if owner.name != told:
                told = owner.name
                counts.left_out[reason] = counts.left_out.get(reason, 0) + 1
                leave_out(told, reason)
            continue
        counts.owners += 1
        stands = f"*.{owner.name}" if owner.wildcard else owner.name
        for record in answers.of(owner.rule):
            yield f"{stands} {record}\n"


def zone(
    owners: Iterable[Owner],
    head: Head,
    settings: ZoneSettings,
    bundle: PolicyBundle,
    counts: Counts,
    leave_out: Callable[[str, Reason], None],
) -> Iterator[bytes]:
    """The zone file, in pieces.

    Args:
        owners: What it has to hold.
        head: Which release it is of.
        settings: Everything else.
        bundle: How categories are answered.
        counts: Filled on the way.
        leave_out: Told of every name that is not in the zone, and why.

    Raises:
        CentralError: The origin leaves no room.
    """
    room = check_room(settings)
    piece = list(_apex(head, settings))
    for line in _lines(owners, _Answers(bundle, settings, counts), room, counts, leave_out):
        piece.append(line)
        if len(piece) == _CHUNK_LINES:
            yield "".join(piece).encode("ascii")
            piece = []
    yield "".join(piece).encode("ascii")
