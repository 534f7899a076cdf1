"""By which release the operator's resolver answers: its own word, by the record that the zone has of itself.

Holds always: what the resolver does not say is not known; the release that this node holds is never told in its place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lachan.asking import Manner, Server
from lachan.config import split_host_port
from lachan.exchange import exchange
from lachan.message import Message, query, type_number

TXT = type_number("TXT")
_SAID = re.compile(r'"serial=([0-9]{1,18})" "records=([0-9a-f]{64})" "profile=([a-z0-9_-]{1,32})"')


@dataclass(frozen=True)
class Said:
    """A resolver's word."""

    serial: int
    records_digest: bytes
    profile: str


def read(answer: Message) -> Said | None:
    """What an answer says; None where it does not."""
    found = [match for record in answer.answers if record.rtype == TXT and (match := _SAID.fullmatch(record.data))]
    if len(found) != 1 or not int(found[0][1]):
        return None
    return Said(int(found[0][1]), bytes.fromhex(found[0][2]), found[0][3])


async def ask(place: str, name: str) -> Said | None:
    """Asks the resolver at HOST:PORT; None where it does not say."""
    host, port = split_host_port(place)
    done = await exchange(Server(host, port), query(name, TXT, id=0), Manner(tries=2, timeout=2.0, keep_case=False))
    return read(done.message) if done.message is not None else None
