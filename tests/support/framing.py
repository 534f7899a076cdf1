"""Messages as a stream has them (RFC 1035 4.2.2): each behind its length in two octets."""

from __future__ import annotations


def framed(*messages: bytes) -> bytes:
    """Messages, each behind its length."""
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)


def unframed(data: bytes) -> list[bytes]:
    """The messages of a stream that ends with the last of them."""
    messages = []
    while data:
        size = 2 + int.from_bytes(data[:2], "big")
        assert 2 < size <= len(data), "a message is whole and says something"
        messages.append(data[2:size])
        data = data[size:]
    return messages
