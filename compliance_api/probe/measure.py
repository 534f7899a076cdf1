"""One question to one resolver, as evidence: what was sent, what came back, how it ended.

Holds always: the bytes are those of the wire, never re-encoded, and at most `MAX_KEPT_BYTES` of each are kept; an
answer cut short over UDP is asked for again over TCP, for half an answer proves nothing.
"""

from __future__ import annotations

import random

from compliance_api.probe.agent import Asker
from compliance_api.probe.assignment import Endpoint
from compliance_api.probe.settings import MeasureSettings
from lachan import exchange, message
from lachan.compliance.v1 import probe_service_pb2 as pb

MAX_KEPT_BYTES = 4096
MAX_DURATION_US = (1 << 32) - 1

_OUTCOMES = {
    exchange.Outcome.ANSWERED: pb.OUTCOME_ANSWERED,
    exchange.Outcome.TIMEOUT: pb.OUTCOME_TIMEOUT,
    exchange.Outcome.UNREACHABLE: pb.OUTCOME_UNREACHABLE,
    exchange.Outcome.MALFORMED: pb.OUTCOME_MALFORMED,
}


def evidence(ended: exchange.Exchange) -> pb.Exchange:
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
    )


def asker(settings: MeasureSettings, rng: random.Random) -> Asker:
    """Asks as `settings` say, with ids drawn from `rng`."""
    # An ordinary stub resolver's question: recursion desired, EDNS, nothing that no client would send.
    manner = exchange.Manner(tries=settings.tries, timeout=settings.timeout, keep_case=False)

    async def ask(endpoint: Endpoint, qname: str, qtype: int) -> pb.Exchange:
        transport = exchange.Transport.TCP if endpoint.tcp else exchange.Transport.UDP
        server = exchange.Server(endpoint.address, endpoint.port, transport)
        query = message.query(qname, qtype, id=rng.getrandbits(16))
        return evidence(await exchange.exchange(server, query, manner, rng=rng))

    return ask
