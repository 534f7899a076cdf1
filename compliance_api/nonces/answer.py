"""The zone of nonces, answered: decisions only, no I/O.

Holds always: an answer is made of the zone's few records and the question alone; only names that carry a nonce which
holds are noted, so that nobody fills anything by asking; whatever comes in, something bounded goes out, or nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from compliance_api.domain.observations import nonce
from lachan import message
from lachan.labels import name_labels, name_text
from lachan.message import AAAA, HEADER_BYTES, IN, NXDOMAIN, REFUSED, SOA, TXT, A, Message, MessageError, Record
from lachan.reply import Reply, address_record, name_record, respond, soa_record, txt_record

NS = 2
ANY = 255
NOTIMP = 4
FORMERR = 1
BADVERS = 16
QUERY = 0
TTL = 300
EGRESS = b"egress="
# Labels that exist: those handed out, and those that line checks make for themselves.
ANY_NONCE = re.compile(r"[a-z0-9]{8,63}")
# Each nonce is asked once: nothing of it is worth keeping.
NONCE_TTL = 0
UDP_LIMIT = 1232
PLAIN_LIMIT = 512
TIMES = (1, 3600, 600, 86400, 60)


@dataclass(frozen=True)
class Answered:
    """What to send, and the nonce's name to note, empty where there is none."""

    response: bytes
    noted: str = ""


class Zone:
    """The records of the zone."""

    def __init__(self, zone: str, key: bytes, nameserver: str, address: str) -> None:
        """Makes the zone's records.

        Raises:
            MessageError: A name or the address cannot be written.
        """
        self._labels = name_labels(zone)
        self._key = key
        self._soa = soa_record(zone, TTL, nameserver, f"hostmaster.{zone}", TIMES)
        self._negative = soa_record(zone, TIMES[4], nameserver, f"hostmaster.{zone}", TIMES)
        self._ns = name_record(zone, NS, TTL, nameserver)
        self._address = address

    def answer(self, query: bytes, asker: str, *, stream: bool) -> Answered | None:
        """The answer to a query; None where there is to be none.

        Args:
            query: As it came.
            asker: The address that it came from.
            stream: Over TCP: no limit but the message's own.
        """
        if len(query) < HEADER_BYTES or query[2] & 0x80:
            return None
        limit = message.MAX_MESSAGE_BYTES if stream else PLAIN_LIMIT
        if query[2] >> 3 & 0xF != QUERY:
            return self._made(query, Reply(rcode=NOTIMP, ra=False), limit)
        try:
            asked = message.parse(query)
        except MessageError:
            return self._made(query, Reply(rcode=FORMERR, ra=False), limit)
        if asked.edns is not None:
            if asked.edns.version:
                return self._made(query, Reply(rcode=BADVERS, ra=False), limit)
            limit = limit if stream else min(UDP_LIMIT, max(PLAIN_LIMIT, asked.edns.size))
        return self._inside(query, asked, asker, limit)

    def _made(self, query: bytes, reply: Reply, limit: int, noted: str = "") -> Answered | None:
        try:
            return Answered(respond(query, reply, limit), noted)
        except MessageError:
            return None

    def _inside(self, query: bytes, asked: Message, asker: str, limit: int) -> Answered | None:
        question = asked.question
        if question is None:
            return self._made(query, Reply(rcode=FORMERR, ra=False), limit)
        labels = name_labels(question.qname.lower())
        below = len(labels) - len(self._labels)
        if question.qclass != IN or below < 0 or labels[below:] != self._labels:
            return self._made(query, Reply(rcode=REFUSED, ra=False), limit)
        if below == 0:
            return self._made(query, self._apex(question.qtype), limit)
        name = labels[0].decode("ascii", "replace")
        if below > 1 or not ANY_NONCE.fullmatch(name):
            return self._made(query, Reply(NXDOMAIN, authority=(self._negative,), aa=True, ra=False), limit)
        holds = nonce.holds(self._key, name)
        owner = name_text(name_labels(question.qname))
        kind = AAAA if ":" in self._address else A
        records: tuple[Record, ...] = ()
        if question.qtype == TXT:
            # Whoever checks a line learns who asked on its behalf, by a nonce of its own.
            records = (txt_record(owner, NONCE_TTL, EGRESS + asker.encode()),)
        elif question.qtype in (kind, ANY) and holds:
            records = (address_record(owner, NONCE_TTL, self._address),)
        reply = Reply(answers=records, authority=() if records else (self._negative,), aa=True, ra=False)
        return self._made(query, reply, limit, name_text(labels) if holds else "")

    def _apex(self, qtype: int) -> Reply:
        records: dict[int, tuple[Record, ...]] = {SOA: (self._soa,), NS: (self._ns,), ANY: (self._soa,)}
        found = records.get(qtype, ())
        return Reply(answers=found, authority=() if found else (self._negative,), aa=True, ra=False)
