"""The table of orders that a release carries: the legal basis of its entries, by index.

Holds always: texts are 1 to `MAX_TEXT_BYTES` of printable UTF-8; the table is sorted by (text, mandated) without
repetition, so that one set of orders has one table and one numbering.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from blocklist_sync.artifact.errors import ArtifactError

MAX_TEXT_BYTES = 128
MAX_ORDERS = 65_536

_ROW_HEADER_BYTES = 2
_MANDATED = 1


@dataclass(frozen=True, slots=True, order=True)
class Order:
    """A legal order's number, and whether it mandates blocking for everybody or offers the names to profiles."""

    text: str
    mandated: bool


class OrdersError(ArtifactError):
    """The table is not one; `offset` is where that shows, from the table's start."""

    def __init__(self, offset: int, reason: str) -> None:
        self.offset = offset
        self.reason = reason
        super().__init__(f"order table, byte {offset}: {reason}")


def check_text(text: str) -> str:
    """The text of an order's number, if it is fit to be one.

    Raises:
        ArtifactError: It is empty, too long, or has unprintable characters.
    """
    if not text or len(text.encode("utf-8", "surrogatepass")) > MAX_TEXT_BYTES:
        raise ArtifactError(f"an order's number is 1 to {MAX_TEXT_BYTES} bytes of UTF-8")
    if not text.isprintable() or text != text.strip():
        raise ArtifactError(f"an order's number is printable text without blanks around it, not {text!r}")
    return text


def encode(orders: Iterable[Order]) -> bytes:
    """The table's bytes; each row is a byte of flags, a byte of length, and the text.

    Raises:
        ArtifactError: A text is unfit, the rows are not in order, or there are too many.
    """
    table = bytearray()
    previous: Order | None = None
    for count, order in enumerate(orders):
        if count == MAX_ORDERS:
            raise ArtifactError(f"more than {MAX_ORDERS} orders")
        if previous is not None and not previous < order:
            raise ArtifactError(f"the order table is not sorted: {order.text!r} stands after {previous.text!r}")
        text = check_text(order.text).encode()
        table += bytes((_MANDATED if order.mandated else 0, len(text))) + text
        previous = order
    return bytes(table)


def decode(table: bytes, count: int) -> tuple[Order, ...]:
    """The rows of a table that must hold exactly `count` of them and nothing else.

    Raises:
        OrdersError: It does not, or a row is malformed.
    """
    if count > MAX_ORDERS:
        raise OrdersError(0, f"{count} orders, more than {MAX_ORDERS}")
    rows: list[Order] = []
    at = 0
    for _ in range(count):
        if at + _ROW_HEADER_BYTES > len(table):
            raise OrdersError(at, "the table ends inside a row")
        flags, size = table[at], table[at + 1]
        if flags & ~_MANDATED:
            raise OrdersError(at, f"unknown flags {flags:#04x}")
        start = at + _ROW_HEADER_BYTES
        if start + size > len(table):
            raise OrdersError(at, "the table ends inside a row")
        try:
            order = Order(check_text(table[start : start + size].decode()), bool(flags & _MANDATED))
        except UnicodeDecodeError as error:
            raise OrdersError(start + error.start, "not UTF-8") from error
        except ArtifactError as error:
            raise OrdersError(start, str(error)) from error
        if rows and not rows[-1] < order:
            raise OrdersError(at, "the rows are not sorted, or one is repeated")
        rows.append(order)
        at = start + size
    if at != len(table):
        raise OrdersError(at, "bytes after the last row")
    return tuple(rows)
