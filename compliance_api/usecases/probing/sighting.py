"""A probe's observation as it came in: read, bounded, and what its raw packets say.

Holds always: a response counts as an answer only where it is one to the very query that was sent, for the very question
that was assigned; what cannot be read is malformed, never an error of the service.
"""

from __future__ import annotations

import ipaddress

from compliance_api.domain.observations.observation import Answer, Exchange, Outcome
from lachan import message
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.message import Message, MessageError

MAX_PACKET_BYTES = 4096
MAX_TRIES = 10

_BARE = {message.FORMERR, message.SERVFAIL, message.NOTIMP, message.REFUSED}
_ALIASES = {message.CNAME, message.DNAME}
_OUTCOMES = {
    pb.OUTCOME_ANSWERED: Outcome.ANSWERED,
    pb.OUTCOME_TIMEOUT: Outcome.TIMEOUT,
    pb.OUTCOME_UNREACHABLE: Outcome.UNREACHABLE,
    pb.OUTCOME_MALFORMED: Outcome.MALFORMED,
}


def exchange(raw: pb.Exchange, qname: str, qtype: int) -> Exchange:
    """What an exchange on the wire amounts to, for the question that was assigned."""
    outcome = _OUTCOMES.get(raw.outcome, Outcome.MALFORMED)
    after = raw.asked_after_us / 1_000_000
    if outcome is not Outcome.ANSWERED:
        return Exchange(outcome, raw.tries, None, after)
    try:
        query, response = message.parse(raw.query), message.parse(raw.response)
    except MessageError:
        return Exchange(Outcome.MALFORMED, raw.tries, None, after)
    if not _answers(query, response, qname, qtype):
        return Exchange(Outcome.MALFORMED, raw.tries, None, after)
    return Exchange(Outcome.ANSWERED, raw.tries, _answer(response, qtype), after)


def _answers(query: Message, response: Message, qname: str, qtype: int) -> bool:
    asked, answered = query.question, response.question
    if asked is None or not response.is_response or query.id != response.id:
        return False
    wanted = qname.lower(), qtype, message.IN
    told = [asked, answered] if answered else [asked]
    # Whoever refuses or fails may do so without repeating the question, and then says nothing else.
    if answered is None and (response.questions or response.answers or response.rcode not in _BARE):
        return False
    return all((one.qname.lower(), one.qtype, one.qclass) == wanted for one in told)


def _answer(response: Message, qtype: int) -> Answer:
    records = [record for record in response.answers if record.rtype == qtype]
    addresses = [record.address for record in records]
    return Answer(
        response.rcode,
        response.tc,
        len(records),
        tuple(str(ipaddress.ip_address(address)) for address in addresses if address is not None),
        frozenset(error.code for error in response.errors),
        tuple(record.data.lower().rstrip(".") for record in response.answers if record.rtype in _ALIASES),
    )
