"""Decides by which way each session of a probe went, from the nonces that it asked for.

Holds always: a node is believed to have answered only where its key signed that very nonce, at about the time it was
asked by the service's own stamps; who answers for another node of the same operator is named; a refusal or a failure is
as good as silence, since a stranger who asks too often brings it about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from google.protobuf.message import DecodeError

from compliance_api.domain.observations.observation import Path
from compliance_api.domain.observations.path import Hints, Whoami, foreign, met_enrolled, path
from compliance_api.domain.parties.organisation import Registry, Transport
from lachan import message
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.message import MessageError
from lachan.signing import SigningError, VerifyKey
from lachan.whoami import Whoami as Word
from lachan.whoami import WhoamiError

MAX_SESSIONS = 500
# By how much a node's clock may differ from the service's: its answers are never cached.
MAX_SKEW_SECONDS = 3600
_FAILURES = frozenset({message.FORMERR, message.SERVFAIL, message.NOTIMP, message.REFUSED})
_ENCRYPTED = frozenset({Transport.DOT, Transport.DOH})


@dataclass(frozen=True)
class Said:
    """What came of the question who answers: the signed observation of it, dated by the service's stamps."""

    qname: str
    observation: bytes
    asked_at: datetime
    transport: Transport = Transport.UDP


@dataclass(frozen=True)
class Session:
    """A probe's session with what it showed of its way."""

    operator: str
    assignment_id: bytes
    node: str
    issued_at: datetime
    # Whether the resolver that the line was handed out was asked, whichever that is.
    handed: bool
    vantage_point: str
    access_network: str
    custodian: str
    # Whether the node was asked who it is, and what came of it, where that came in.
    asked: bool
    whoami: Said | None
    # Who asked the authority's zone for the session's nonce.
    egress: tuple[str, ...]


@dataclass(frozen=True)
class Decided:
    """A session and what was made of it."""

    session: Session
    path: Path
    # ORGANISATION/NODE that signed the nonce; empty where nobody did.
    answered_by: str
    foreign: tuple[str, ...]
    # Whether whoever answered is an enrolled resolver; None where that cannot be told.
    enrolled: bool | None


class PathStore(Protocol):
    """Keeps sessions."""

    async def undecided(self, now: datetime, settle: timedelta, limit: int) -> list[Session]:
        """Sessions with nonces that are over and not decided yet."""

    async def decide(self, sessions: Sequence[Decided], now: datetime) -> None:
        """Stores what was decided."""


def answered_by(registry: Registry, session: Session) -> tuple[Whoami, str]:
    """Who signed a session's nonce, and whether that is the node under test."""
    if not session.asked:
        return Whoami.NOT_ASKED, ""
    told = _told(session.whoami)
    if session.whoami is None or told is None or told.resolver.outcome != pb.OUTCOME_ANSWERED:
        return Whoami.SILENT, ""
    qname = session.whoami.qname
    try:
        response = message.parse(told.resolver.response)
        question = response.question
        if response.rcode in _FAILURES or (response.rcode == message.NOERROR and not response.answers):
            return Whoami.SILENT, ""
        strings = [_strings(one.rdata) for one in response.answers if one.rtype == message.TXT]
        if question is None or question.qname.lower() != qname.lower() or len(strings) != 1:
            return Whoami.UNSIGNED, ""
        word = Word.parse(qname.partition(".")[0].lower(), strings[0])
        organisation, _, name = word.node.partition("/")
        own = (organisation, name) == (session.operator, session.node)
        # The node under test may have left since it was asked; others that left and still answer are nobody's.
        node = (registry.judged_node if own else registry.node)(organisation, name)
        if node is None or abs(word.time - session.whoami.asked_at.timestamp()) > MAX_SKEW_SECONDS:
            return Whoami.UNSIGNED, ""
        word.verify(VerifyKey.from_raw(node.key))
    except (MessageError, WhoamiError, SigningError):
        return Whoami.UNSIGNED, ""
    if own:
        return Whoami.OWN, word.node
    return Whoami.SIBLING if organisation == session.operator else Whoami.OTHER, word.node


def _told(said: Said | None) -> pb.Observation | None:
    try:
        return pb.Observation.FromString(said.observation) if said is not None else None
    except DecodeError:
        return None


def _certificate(said: Said | None) -> bool | None:
    """Whether the certificate held for the node's name; None where there was none to look at."""
    told = _told(said)
    if said is None or told is None or said.transport not in _ENCRYPTED or not told.resolver.certificate_sha256:
        return None
    return told.resolver.certificate_holds


def _strings(rdata: bytes) -> list[bytes]:
    """The strings of a TXT record's data; what is cut short ends them."""
    found, at = [], 0
    while at < len(rdata):
        size = rdata[at]
        found.append(rdata[at + 1 : at + 1 + size])
        at += 1 + size
    return found


def decide(registry: Registry, session: Session) -> Decided:
    """What a session's nonces amount to."""
    who, name = answered_by(registry, session)
    node = registry.judged_node(session.operator, session.node)
    operator = registry.organisation(session.operator)
    nodes = (*((node,) if node is not None else ()), *(operator.nodes if operator else ()))
    networks = tuple(one for each in nodes for one in each.egress)
    strange = foreign(session.egress, networks)
    # A line's own resolver may be any of the operator's nodes.
    if session.handed and who is Whoami.SIBLING:
        who = Whoami.OWN
    hints = Hints(who, session.egress, strange, bool(networks), _certificate(session.whoami))
    return Decided(session, path(hints), name, strange, met_enrolled(hints, handed=session.handed))


class PathFinder:
    """The task of deciding."""

    def __init__(self, registry: Registry, store: PathStore, settle: float) -> None:
        """`settle` is how long, in seconds, word of a nonce may take from the authority's name server."""
        self._registry = registry
        self._store = store
        self._settle = timedelta(seconds=settle)

    async def decide(self, now: datetime) -> list[Decided]:
        """Decides the sessions that are over."""
        sessions = await self._store.undecided(now, self._settle, MAX_SESSIONS)
        decided = [decide(self._registry, one) for one in sessions]
        await self._store.decide(decided, now)
        return decided
