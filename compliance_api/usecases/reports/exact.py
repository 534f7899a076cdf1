"""Whether a message's bytes are its known fields and nothing else.

Holds always: what a node has signed is kept as it came, so whatever is in the bytes beside the fields that were looked
at (a field of another release, a value overwritten by a later one) would be kept unread: it is refused instead.
"""

from __future__ import annotations

from google.protobuf.message import Message

RULE = "has bytes beside the fields of this release"


def is_exact(message: Message, data: bytes) -> bool:
    """Whether a message says all that is in the bytes it was read from; forgets what it does not know.

    Args:
        message: As read.
        data: What it was read from, in protobuf's own order of fields.
    """
    message.DiscardUnknownFields()
    return message.SerializeToString(deterministic=True) == data
