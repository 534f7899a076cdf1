"""Names of the DNS between text and labels.

Holds always: a name in text is unambiguous, since dots and other special octets within a label are escaped (RFC 4343
section 2.1); its case is kept; a name in labels keeps the bounds of RFC 1035 section 2.3.4.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lachan.errors import LachanError

MAX_NAME_BYTES = 255
MAX_LABEL_BYTES = 63

_PLAIN = re.compile(rb"[!#-&*-\-/-:<-?A-\[\]-~]*")


class MessageError(LachanError):
    """Bytes that are no DNS message, or values that make none; `offset` is where reading stopped."""

    def __init__(self, reason: str, offset: int | None = None) -> None:
        super().__init__(reason if offset is None else f"{reason} (at octet {offset})")
        self.offset = offset


def _label_text(label: bytes) -> str:
    if _PLAIN.fullmatch(label):
        return label.decode("ascii")
    return "".join(
        f"\\{octet:03d}" if not 0x21 <= octet <= 0x7E else f"\\{octet:c}" if octet in b'."\\();@$' else chr(octet)
        for octet in label
    )


def name_text(labels: Sequence[bytes]) -> str:
    """A name in text, from its labels."""
    return ".".join(map(_label_text, labels)) or "."


def name_labels(name: str) -> tuple[bytes, ...]:
    r"""A name's labels from text; `\.` and `\DDD` are understood, a trailing dot is optional.

    Raises:
        MessageError: It is no name: an empty or long label, too long as a whole, or not ASCII.
    """
    if name in {".", ""}:
        return ()
    if len(name) > MAX_NAME_BYTES * 4:
        raise MessageError("the name is too long")
    try:
        raw = name.encode("ascii")
    except UnicodeEncodeError as error:
        raise MessageError(f"{name[:80]!r} is not ASCII") from error
    labels: list[bytearray] = [bytearray()]
    place = 0
    while place < len(raw):
        octet = raw[place]
        place += 1
        if octet == 0x2E:
            labels.append(bytearray())
            continue
        if octet == 0x5C:
            digits = raw[place : place + 3]
            if len(digits) == 3 and digits.isdigit() and int(digits) <= 0xFF:
                octet, place = int(digits), place + 3
            elif place < len(raw) and not raw[place : place + 1].isdigit():
                octet, place = raw[place], place + 1
            else:
                raise MessageError(f"{name[:80]!r} has a broken escape")
        labels[-1].append(octet)
    if not labels[-1]:
        labels.pop()
    check_labels(labels)
    return tuple(map(bytes, labels))


def check_labels(labels: Sequence[bytes | bytearray]) -> None:
    """Holds a name against its bounds.

    Raises:
        MessageError: A label or the whole is too long, or a label is empty.
    """
    if any(not 1 <= len(label) <= MAX_LABEL_BYTES for label in labels):
        raise MessageError("a label is empty or longer than 63 octets")
    if sum(len(label) + 1 for label in labels) + 1 > MAX_NAME_BYTES:
        raise MessageError("the name is longer than 255 octets")


def wire_name(name: str) -> bytes:
    """A name as it stands on the wire, without compression.

    Raises:
        MessageError: It is no name.
    """
    return b"".join(bytes([len(label)]) + label for label in name_labels(name)) + b"\0"
