from __future__ import annotations

import pytest

from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.artifact.orders import MAX_ORDERS, Order, OrdersError, decode, encode

TABLE = (Order("12/QĐ-STTTT", mandated=False), Order("12/QĐ-STTTT", mandated=True), Order("7/CV", mandated=True))


def test_a_table_comes_back() -> None:
    assert decode(encode(TABLE), 3) == TABLE
    assert decode(b"", 0) == ()


@pytest.mark.parametrize("text", ["", "x" * 129, "đ" * 65, "a\nb", " a", "a\u200b", "\ud800"])
def test_unfit_texts(text: str) -> None:
    with pytest.raises(ArtifactError):
        encode([Order(text, mandated=True)])


@pytest.mark.parametrize(
    ("table", "count", "offset"),
    [
        (b"\x00", 1, 0),
        (b"\x00\x05abc", 1, 0),
        (b"\x02\x01a", 1, 0),
        (b"\x00\x00", 1, 2),
        (b"\x00\x02a\xff", 1, 3),
        (b"\x00\x01a\x00\x01a", 2, 3),
        (b"\x00\x01b\x00\x01a", 2, 3),
        (b"\x00\x01a\x00", 1, 3),
        (b"", MAX_ORDERS + 1, 0),
    ],
)
def test_malformed_tables_name_the_place(table: bytes, count: int, offset: int) -> None:
    with pytest.raises(OrdersError) as refused:
        decode(table, count)
    assert refused.value.offset == offset


def test_an_unsorted_table_is_not_written() -> None:
    with pytest.raises(ArtifactError, match="not sorted"):
        encode(reversed(TABLE))
