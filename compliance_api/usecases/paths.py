"""Decides by which way each session of a probe went, from the nonces that it asked for.

Holds always: a node is believed to have answered only where its key signed that very nonce, at about the time it was
asked; who answers for another node of the same operator is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from google.protobuf.message import DecodeError

from compliance_api.domain.observation import Path
from compliance_api.domain.organisation import Registry
from compliance_api.domain.path import Hints, Whoami, foreign, path
from lachan import message
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.message import MessageError
from lachan.signing import SigningError, VerifyKey
from lachan.whoami import Whoami as Word
from lachan.whoami import WhoamiError

MAX_SESSIONS = 500
# By how much a node's clock may differ from the probe's: its answers are never cached.
MAX_SKEW_SECONDS = 3600


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
    # Whether the node was asked who it is, and the question with the signed observation of it, where it came in.
    asked: bool
    whoami: tuple[str, bytes] | None
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
    if session.whoami is None:
        return Whoami.SILENT, ""
    qname, data = session.whoami
    try:
        told = pb.Observation.FromString(data)
    except DecodeError:
        return Whoami.UNSIGNED, ""
    if told.resolver.outcome != pb.OUTCOME_ANSWERED:
        return Whoami.SILENT, ""
    try:
        response = message.parse(told.resolver.response)
        question = response.question
        strings = [_strings(one.rdata) for one in response.answers if one.rtype == message.TXT]
        if question is None or question.qname.lower() != qname.lower() or len(strings) != 1:
            return Whoami.UNSIGNED, ""
        word = Word.parse(qname.partition(".")[0].lower(), strings[0])
        organisation, _, name = word.node.partition("/")
        own = (organisation, name) == (session.operator, session.node)
        # The node under test may have left since it was asked; others that left and still answer are nobody's.
        node = (registry.judged_node if own else registry.node)(organisation, name)
        if node is None or abs(word.time - told.asked_at_us / 1_000_000) > MAX_SKEW_SECONDS:
            return Whoami.UNSIGNED, ""
        word.verify(VerifyKey.from_raw(node.key))
    except (MessageError, WhoamiError, SigningError):
        return Whoami.UNSIGNED, ""
    return Whoami.OWN if own else Whoami.OTHER, word.node


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
    own = node.egress if node is not None else ()
    operator = registry.organisation(session.operator)
    networks = (*own, *(one for each in (operator.nodes if operator else ()) for one in each.egress))
    strange = foreign(session.egress, networks)
    # A line's own resolver may be any of the operator's nodes.
    if session.handed and who is Whoami.OTHER and name.partition("/")[0] == session.operator:
        who = Whoami.OWN
    return Decided(session, path(Hints(who, session.egress, strange, bool(own))), name, strange)


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
