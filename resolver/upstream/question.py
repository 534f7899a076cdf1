"""A question on its way to an upstream over a stream: how it is written, and what answers it.

Holds always: OPT is made here and carries no option of a client's, so no client subnet leaves (RFC 7871 11.1); what is
said over TLS is padded (RFC 8467 4.1); an answer repeats the question, its name in whatever case.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

HEADER_BYTES = 12
MESSAGE_MAX = 65535
BIT_DO = 1
BIT_CD = 2

_PADDED_TO = 128
_OPT_BYTES = 11
_OPTION_BYTES = 4
_OPTION_PADDING = 12
_QR_OPCODE = 0xF8
_RESPONSE = 0x80
_RCODE = 0x0F
# Response codes that a server may give without repeating a question that it could not or would not read.
_BARE = frozenset((1, 2, 4, 5))
_OPT = 41
_POINTER = 0xC0
_TTL_NONE = 1 << 31

Done = Callable[[bytes | None], None]
"""Takes the answer, or None where there is none; called once."""


@dataclass(slots=True, eq=False)
class Question:
    """One question, and who waits for its answer."""

    section: bytes
    """Name, type and class as they stand in a message."""
    bits: int
    done: Done
    due_at: float
    """When nobody waits any more; seconds of the loop's clock."""
    asked_at: float = 0.0
    moved: bool = False
    """The connection that it was asked on has ended: it is asked on another, once."""


def written(section: bytes, bits: int, *, padded: bool) -> bytes:
    """A query without its id.

    Args:
        section: Name, type and class.
        bits: 1 for DO, 2 for CD.
        padded: With a padding option (RFC 7830), to a multiple of 128 octets (RFC 8467 4.1).
    """
    # RD, and AD: we want to know (RFC 6840 5.7).
    flags = 0x0130 if bits & BIT_CD else 0x0120
    option = b""
    if padded:
        bare = HEADER_BYTES + len(section) + _OPT_BYTES + _OPTION_BYTES
        option = struct.pack("!HH", _OPTION_PADDING, -bare % _PADDED_TO) + bytes(-bare % _PADDED_TO)
    opt = struct.pack("!BHHIH", 0, _OPT, MESSAGE_MAX, 0x8000 if bits & BIT_DO else 0, len(option))
    return struct.pack("!5H", flags, 1, 0, 0, 1) + section + opt + option


def answers(message: bytes | bytearray, section: bytes) -> bool | None:
    """Whether a message with the right id answers a question.

    Returns:
        True where it does; False where it is an error that repeats no question, so that there will be no answer;
        None where it is something else.
    """
    if len(message) < HEADER_BYTES or message[2] & _QR_OPCODE != _RESPONSE:
        return None
    if message[4:6] == b"\0\0":
        return False if message[3] & _RCODE in _BARE else None
    end = HEADER_BYTES + len(section)
    said = message[HEADER_BYTES:end]
    if message[4:6] != b"\0\1" or len(said) != len(section):
        return None
    # Lengths of labels are below the letters: lowercasing leaves them alone. Type and class are compared as they are.
    if said == section or (said[-4:] == section[-4:] and said[:-4].lower() == section[:-4].lower()):
        return True
    return None


def aged(message: bytes, seconds: int) -> bytes | None:
    """A message that was on its way for so long: every TTL is less by that (RFC 8484 5.1); None if it is malformed."""
    out = bytearray(message)
    try:
        at = HEADER_BYTES
        for _ in range(out[4] << 8 | out[5]):
            at = _after_name(out, at) + 4
        for _ in range(sum(out[place] << 8 | out[place + 1] for place in (6, 8, 10))):
            at = _after_name(out, at)
            ttl = int.from_bytes(out[at + 4 : at + 8], "big")
            length = out[at + 8] << 8 | out[at + 9]
            if out[at] << 8 | out[at + 1] != _OPT and ttl < _TTL_NONE:
                out[at + 4 : at + 8] = max(0, ttl - seconds).to_bytes(4, "big")
            at += 10 + length
    except IndexError:
        return None
    return bytes(out) if at <= len(out) else None


def _after_name(message: bytearray, at: int) -> int:
    while True:
        size = message[at]
        if size >= _POINTER:
            return at + 2
        at += 1 + size
        if not size:
            return at
