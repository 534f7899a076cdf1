"""One question to one resolver, as evidence: what was sent, what came back, how it ended.

Holds always: the bytes are those of the wire, never re-encoded, and at most `MAX_KEPT_BYTES` of each are kept; an
answer cut short over UDP is asked for again over TCP, for half an answer proves nothing.
"""

from __future__ import annotations

import hashlib
import random

from compliance_api.probe.agent import Asker
from compliance_api.probe.assignment import Endpoint
from compliance_api.probe.errors import ProbeError
from compliance_api.probe.settings import MeasureSettings
from lachan import message
from lachan.asking import Manner, Outcome, Server
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.exchange import Exchange, exchange

MAX_KEPT_BYTES = 4096
MAX_DURATION_US = (1 << 32) - 1

_OUTCOMES = {
    Outcome.ANSWERED: pb.OUTCOME_ANSWERED,
    Outcome.TIMEOUT: pb.OUTCOME_TIMEOUT,
    Outcome.UNREACHABLE: pb.OUTCOME_UNREACHABLE,
    Outcome.MALFORMED: pb.OUTCOME_MALFORMED,
}


def evidence(ended: Exchange) -> pb.Exchange:
    """An exchange as it is handed in."""
    outcome = _OUTCOMES[ended.outcome]
    if outcome == pb.OUTCOME_ANSWERED and len(ended.response) > MAX_KEPT_BYTES:
        # Cut short it could not be read again by anybody else.
        outcome = pb.OUTCOME_MALFORMED
    return pb.Exchange(
        outcome=outcome,
        query=ended.query[:MAX_KEPT_BYTES],
        response=ended.response[:MAX_KEPT_BYTES],
        tries=ended.tries,
        duration_us=min(MAX_DURATION_US, int(ended.duration * 1_000_000)),
        certificate_sha256=hashlib.sha256(ended.certificate).digest() if ended.certificate else b"",
        certificate_holds=ended.certificate_holds,
    )


def manner(settings: MeasureSettings) -> Manner:
    """How to ask.

    Raises:
        ProbeError: The file of those who vouch for certificates cannot be read.
    """
    roots = None
    if settings.roots:
        try:
            roots = settings.roots.read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise ProbeError(f"{settings.roots}: {error}") from error
    return Manner(tries=settings.tries, timeout=settings.timeout, keep_case=False, roots=roots)


def asker(settings: MeasureSettings, rng: random.Random) -> Asker:
    """Asks as `settings` say, with ids drawn from `rng`.

    An ordinary stub resolver's question: recursion desired, EDNS, the name's case as it is, no cookie, nothing that no
    client would send.

    Raises:
        ProbeError: As `manner` does.
    """
    how = manner(settings)

    async def ask(endpoint: Endpoint, qname: str, qtype: int, dnssec_ok: bool) -> pb.Exchange:
        if not endpoint.address:
            return pb.Exchange(outcome=pb.OUTCOME_UNREACHABLE)
        server = Server(
            endpoint.address, endpoint.port, endpoint.transport, endpoint.server_name, endpoint.path or "/dns-query"
        )
        edns = message.Edns(size=settings.edns or 1232, do=dnssec_ok) if settings.edns or dnssec_ok else None
        query = message.query(qname, qtype, id=rng.getrandbits(16), edns=edns)
        return evidence(await exchange(server, query, how, rng=rng))

    return ask
