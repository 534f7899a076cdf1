"""Answers to NONCE.whoami.ZONE: which node this is, signed, so that a probe can tell whom it measured.

Holds always: an answer is made for one question and kept by nobody (TTL 0); so many signatures a second and no more,
since each costs more than a thousand answers from the cache.
"""

from __future__ import annotations

from lachan.labels import name_labels, name_text
from lachan.message import IN, REFUSED, TXT, MessageError, parse
from lachan.reply import Reply, respond, txt_record
from lachan.signing import SigningKey
from lachan.whoami import NONCE, Whoami


def answer(query: bytes, zone: str, node: str, key: SigningKey, now: float, limit: int = 1232) -> bytes | None:
    """The response to a query for a nonce under `zone`, or None where it is none.

    Args:
        query: The whole message, as the compiled core hands it on.
        zone: What stands behind the nonce: whoami and the resolver's own name.
        node: ORGANISATION/NODE.
        key: The node's.
        now: Seconds since 1970.
        limit: The longest response that the client takes.
    """
    try:
        question = parse(query).question
        if question is None or question.qtype != TXT or question.qclass != IN:
            return None
        first, *rest = name_labels(question.qname.lower())
        nonce = first.decode("ascii", "replace")
        if tuple(rest) != name_labels(zone.lower()) or not NONCE.fullmatch(nonce):
            return None
        told = Whoami.make(key, nonce, node, int(now))
        record = txt_record(name_text(name_labels(question.qname)), 0, *told.strings())
        return respond(query, Reply(answers=(record,), aa=True), limit)
    except (MessageError, ValueError):
        return None


class Answerer:
    """`answer` with a bound on signatures a second; beyond it REFUSED."""

    def __init__(self, node: str, key: SigningKey, per_second: int = 20) -> None:
        self._node, self._key = node, key
        self._per_second = per_second
        self._second, self._made = 0, 0

    def answer(self, query: bytes, zone: str, now: float, limit: int = 1232) -> bytes | None:
        """As `answer`; `now` is seconds since 1970, and every zone shares the bound."""
        if int(now) != self._second:
            self._second, self._made = int(now), 0
        self._made += 1
        if self._made > self._per_second:
            return respond(query, Reply(rcode=REFUSED), limit)
        return answer(query, zone, self._node, self._key, now, limit)
