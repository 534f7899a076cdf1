"""What a line lets through beside its own resolver, judged from exchanges that were made; nothing is asked here.

Holds always: a host that answers no DNS is among those asked, so that an answer shows somebody in between; where
somebody stands in between, what another resolver seems to answer is theirs, and does not count as reached; silence
means closed only on a line whose own resolver answers, for on a dead line everything is silent.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lachan import message
from lachan.asking import Outcome, Transport
from lachan.exchange import Exchange
from lachan.whoami import Whoami, WhoamiError

CANARY = "use-application-dns.net"
"""Browsers that find no address for it leave DNS to the line's resolver."""
EGRESS = b"egress="
MAX_TEXT = 45

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Purpose(enum.Enum):
    """Why something was asked."""

    OWN = enum.auto()
    OTHER = enum.auto()
    SILENT = enum.auto()
    CANARY = enum.auto()
    WHOAMI = enum.auto()


class Subject(enum.StrEnum):
    """What is checked."""

    OWN_RESOLVER = "own_resolver"
    OTHER_UDP_53 = "other_udp_53"
    OTHER_TCP_53 = "other_tcp_53"
    OTHER_TLS_853 = "other_tls_853"
    INTERCEPTION = "interception"
    CANARY = "canary"


class State(enum.StrEnum):
    """What a check found."""

    WORKS = "works"
    OPEN = "open"
    CLOSED = "closed"
    # Somebody in between answers in another's place.
    INTERCEPTED = "intercepted"
    NONE = "none"
    SET = "set"
    NOT_SET = "not_set"
    UNKNOWN = "unknown"


_TRANSPORTS = {
    Subject.OTHER_UDP_53: Transport.UDP,
    Subject.OTHER_TCP_53: Transport.TCP,
    Subject.OTHER_TLS_853: Transport.DOT,
}


@dataclass(frozen=True)
class Asked:
    """One question that was asked, and how it ended."""

    purpose: Purpose
    address: str
    qname: str
    exchange: Exchange

    @property
    def answered(self) -> bool:
        """Whether anything at all answered it."""
        return self.exchange.outcome is Outcome.ANSWERED


@dataclass(frozen=True)
class Check:
    """One line of the result; `details` says at whom it was seen, and who says that they answered."""

    subject: Subject
    state: State
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """All checks of a line."""

    checks: tuple[Check, ...]

    @property
    def open(self) -> bool:
        """Whether whoever uses the line gets past its resolver by DNS alone, or a browser does by itself."""
        return any(check.state in {State.OPEN, State.NOT_SET} for check in self.checks)

    @property
    def decided(self) -> bool:
        """Whether every check found something."""
        return all(check.state is not State.UNKNOWN for check in self.checks)


def _texts(exchange: Exchange) -> Iterator[list[bytes]]:
    """The strings of each TXT record in an answer."""
    for record in exchange.message.answers if exchange.message else ():
        if record.rtype != message.TXT:
            continue
        strings, rest = [], record.rdata
        while rest:
            strings.append(rest[1 : 1 + rest[0]])
            rest = rest[1 + rest[0] :]
        yield strings


def _foreign(one: Asked, egresses: Sequence[Network]) -> bool:
    """Whether the authority's name server was asked by somebody else than the resolver that was: `egress=ADDRESS`."""
    for strings in _texts(one.exchange):
        for string in strings:
            if not string.startswith(EGRESS):
                continue
            try:
                address = ipaddress.ip_address(string[len(EGRESS) :][:MAX_TEXT].decode("ascii", "replace"))
            except ValueError:
                continue
            return not any(address in network for network in egresses)
    return False


def _in_between(one: Asked, egresses: Sequence[Network]) -> bool:
    """Whether what answered is somebody in another's place."""
    if one.purpose is Purpose.SILENT:
        return True
    forged = one.exchange.transport is Transport.DOT and not one.exchange.certificate_holds
    return forged or _foreign(one, egresses)


def _themselves(asked: Iterable[Asked]) -> dict[str, str]:
    """The nodes that say they answered, by whom was asked: a hint, never proof."""
    nodes: dict[str, str] = {}
    for one in asked:
        if one.purpose is not Purpose.WHOAMI:
            continue
        for strings in _texts(one.exchange):
            try:
                nodes[one.address] = Whoami.parse(one.qname.partition(".")[0], strings).node
            except WhoamiError:
                continue
    return nodes


def judge(asked: Sequence[Asked], egresses: Sequence[Network]) -> Result:
    """What the exchanges say together.

    Args:
        asked: All of them.
        egresses: From where the authority's resolvers ask its name servers.
    """
    nodes = _themselves(asked)

    def told(some: Iterable[Asked]) -> tuple[str, ...]:
        names = dict.fromkeys(one.address for one in some)
        return tuple(f"{name} ({nodes[name]})" if name in nodes else name for name in names)

    own = [one for one in asked if one.purpose is Purpose.OWN and one.answered]
    checks = [Check(Subject.OWN_RESOLVER, State.WORKS if own else State.UNKNOWN, told(own))]
    between: list[Asked] = []
    for subject, transport in _TRANSPORTS.items():
        answered = [
            one
            for one in asked
            if one.purpose in {Purpose.OTHER, Purpose.SILENT} and one.answered and one.exchange.transport is transport
        ]
        if theirs := [one for one in answered if _in_between(one, egresses)]:
            between += theirs
            checks.append(Check(subject, State.INTERCEPTED, told(theirs)))
        elif answered:
            checks.append(Check(subject, State.OPEN, told(answered)))
        else:
            checks.append(Check(subject, State.CLOSED if own else State.UNKNOWN))
    nobody = State.NONE if own else State.UNKNOWN
    checks.append(Check(Subject.INTERCEPTION, State.INTERCEPTED if between else nobody, told(between)))
    return Result((*checks, _canary([one for one in asked if one.purpose is Purpose.CANARY])))


def _canary(asked: Sequence[Asked]) -> Check:
    answered = [one.exchange.message for one in asked if one.exchange.message is not None]
    if not answered:
        return Check(Subject.CANARY, State.UNKNOWN)
    if any(one.rcode not in {message.NOERROR, message.NXDOMAIN} for one in answered):
        return Check(Subject.CANARY, State.UNKNOWN)
    found = any(record.address is not None for one in answered for record in one.answers)
    return Check(Subject.CANARY, State.NOT_SET if found else State.SET)
