from __future__ import annotations

import pytest

from compliance_api.ledger import statement
from compliance_api.ledger.statement import Kept, Order, Receipt, Statement, StatementError
from lachan.signing import REPORT, SigningKey

KEY, SERVICE = SigningKey.generate(), SigningKey.generate()
MADE = Statement(
    finding="0a" * 16,
    position=3,
    previous="0b" * 32,
    action="answer",
    person="lachan://a/person/khanh",
    note="theo lệnh",
    order=Order(number="17/2026", authority="Tòa Mẫu"),
)
RECEIPT = Receipt(finding="0a" * 16, position=3, statement=statement.digest(MADE.encode()), leaf=7, taken_at=9)


def test_a_statement_has_one_form() -> None:
    data = MADE.encode()
    assert statement.parse(data) == MADE
    assert data == (
        b'{"format":"lachan-finding-statement 1","finding":"' + b"0a" * 16 + b'","position":3,"previous":"' + b"0b" * 32
        + '","action":"answer","person":"lachan://a/person/khanh","note":"theo lệnh",'
        '"order":{"number":"17/2026","authority":"Tòa Mẫu"},"paper":false}\n'.encode()
    )  # fmt: skip
    for other in (data.rstrip(), data + b"\n", data.replace(b",", b", ", 1), b"{}", b"", b"\xff", data * 500):
        with pytest.raises(StatementError):
            statement.parse(other)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("person", "lachan://a/node/khanh"),
        ("person", "lachan://a/person/Khanh"),
        ("person", "lachan://a/person/khanh\n"),
        ("finding", "0A" * 16),
        ("position", 0),
        ("position", 1001),
        ("previous", ""),
        ("action", "Answer"),
        ("note", "x" * 4001),
        ("format", "lachan-finding-statement 2"),
    ],
)
def test_what_a_statement_says_is_bounded(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        Statement.model_validate({**MADE.model_dump(), field: value})


def test_a_signature_holds_for_one_statement_one_key_and_this_use() -> None:
    signature = statement.sign(KEY, MADE)
    statement.check(KEY.public.raw, MADE.encode(), signature)
    swapped = MADE.model_copy(update={"order": Order(number="71/2026", authority="Tòa Mẫu")}).encode()
    for key, data, given in (
        (KEY.public.raw, swapped, signature),
        (SERVICE.public.raw, MADE.encode(), signature),
        (b"short", MADE.encode(), signature),
        (KEY.public.raw, MADE.encode(), KEY.sign(REPORT, MADE.encode())),
        (KEY.public.raw, MADE.encode(), b""),
    ):
        with pytest.raises(StatementError):
            statement.check(key, data, given)


def test_a_receipt_is_for_one_statement_and_by_the_service() -> None:
    data, signature = statement.receipt(SERVICE, RECEIPT)
    assert statement.check_receipt(SERVICE.public, data, signature, MADE.encode()) == RECEIPT
    other = MADE.model_copy(update={"note": "something else"}).encode()
    with pytest.raises(StatementError, match="for another statement"):
        statement.check_receipt(SERVICE.public, data, signature, other)
    with pytest.raises(StatementError, match="receipt"):
        statement.check_receipt(KEY.public, data, signature, MADE.encode())


def test_what_is_kept_is_read_again() -> None:
    data, signature = statement.receipt(SERVICE, RECEIPT)
    kept = Kept(
        statement=MADE.encode().decode(),
        signature=statement.sign(KEY, MADE).hex(),
        key=KEY.public.raw.hex(),
        receipt=data.decode(),
        receipt_signature=signature.hex(),
    )
    assert statement.parse_kept(kept.encode()) == kept
    with pytest.raises(StatementError, match="kept statement"):
        statement.parse_kept(b"{}")
