"""Fields of protobuf messages, read without protobuf: what a verifier that stands alone needs of signed messages.

Holds always: what is read lies within the message; a form that is not needed ends the reading.
"""

from __future__ import annotations

from collections.abc import Iterator

from compliance_api.ledger.pack import PackError

_VARINT, _FIXED, _BYTES = 0, 1, 2
_FIXED_BYTES = 8
_MAX_VARINT_BYTES = 10


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for count in range(_MAX_VARINT_BYTES):
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << (7 * count)
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise PackError("no number where one must be")


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """The fields of the three forms that are needed; the first other one ends them."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag & 7 == _FIXED:
            if at + _FIXED_BYTES > len(data):
                raise PackError("a field is longer than its message")
            yield tag >> 3, int.from_bytes(data[at : at + _FIXED_BYTES], "little")
            at += _FIXED_BYTES
            continue
        number, at = _varint(data, at)
        if tag & 7 == _BYTES:
            if at + number > len(data):
                raise PackError("a field is longer than its message")
            yield tag >> 3, data[at : at + number]
            at += number
        elif tag & 7 == _VARINT:
            yield tag >> 3, number
        else:
            return


class Message:
    """The fields of a message: of one that stands several times the last, as protobuf has it."""

    def __init__(self, data: bytes) -> None:
        """Reads all of it.

        Raises:
            PackError: It is no message.
        """
        self._fields = list(_fields(data))
        self._values = dict(self._fields)

    def data(self, number: int) -> bytes:
        """A field of bytes or text; empty where it is not there.

        Raises:
            PackError: It is a number.
        """
        value = self._values.get(number, b"")
        if not isinstance(value, bytes):
            raise PackError(f"field {number} is a number, not bytes")
        return value

    def number(self, number: int) -> int:
        """A number's field; 0 where it is not there.

        Raises:
            PackError: It is bytes.
        """
        value = self._values.get(number, 0)
        if not isinstance(value, int):
            raise PackError(f"field {number} is bytes, not a number")
        return value

    def every(self, number: int) -> list[bytes]:
        """A field that may stand several times.

        Raises:
            PackError: One of them is a number.
        """
        found = [value for name, value in self._fields if name == number]
        texts = [value for value in found if isinstance(value, bytes)]
        if len(texts) < len(found):
            raise PackError(f"field {number} is a number, not bytes")
        return texts
