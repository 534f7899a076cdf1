from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lachan import signing
from lachan.compliance.v1 import report_pb2 as pb
from lachan.signing import SigningError, SigningKey
from resolver.receipts import check, pinned, proofs_of

KEY = SigningKey.generate()
KEYS = {KEY.public.key_id: KEY.public}
REPORTS = [pb.SignedReport(report=b"one"), pb.SignedReport(report=b"two")]


def receipt(report: bytes, key: SigningKey = KEY, context: bytes = signing.RECEIPT) -> pb.SignedReceipt:
    data = pb.Receipt(report_digest=hashlib.sha256(report).digest(), index=3).SerializeToString()
    return pb.SignedReceipt(receipt=data, signature=key.sign(context, data), key_id=key.public.key_id)


def test_right_receipts_become_proofs() -> None:
    receipts = [receipt(b"one"), receipt(b"two")]
    proofs, wrong = proofs_of([7, 9], REPORTS, receipts, KEYS)
    assert wrong == ""
    assert proofs == {7: receipts[0].SerializeToString(), 9: receipts[1].SerializeToString()}


def test_a_receipt_that_proves_nothing_is_told_and_the_others_count() -> None:
    proofs, wrong = proofs_of([7, 9], REPORTS, [receipt(b"other"), receipt(b"two")], KEYS)
    assert list(proofs) == [9]
    assert "another report" in wrong


@pytest.mark.parametrize("receipts", [[receipt(b"one")], [receipt(b"one"), receipt(b"two"), receipt(b"two")]])
def test_another_number_of_receipts_is_told(receipts: list[pb.SignedReceipt]) -> None:
    proofs, wrong = proofs_of([7, 9], REPORTS, receipts, KEYS)
    assert 7 in proofs
    assert "receipts for 2 reports" in wrong


def test_what_is_not_the_authoritys_word_is_refused() -> None:
    digest = hashlib.sha256(b"one").digest()
    with pytest.raises(SigningError, match="not pinned"):
        check(receipt(b"one", SigningKey.generate()), digest, KEYS)
    with pytest.raises(SigningError, match="does not hold"):
        check(receipt(b"one", context=signing.REPORT), digest, KEYS)
    stolen = receipt(b"one", SigningKey.generate())
    stolen.key_id = KEY.public.key_id
    with pytest.raises(SigningError, match="does not hold"):
        check(stolen, digest, KEYS)
    data = b"\xff\xff"
    with pytest.raises(SigningError, match="no receipt"):
        check(
            pb.SignedReceipt(receipt=data, signature=KEY.sign(signing.RECEIPT, data), key_id=KEY.public.key_id),
            digest,
            KEYS,
        )


def test_keys_are_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(KEY.public.pem())
    assert list(pinned([tmp_path / "key.pem"])) == [KEY.public.key_id]
    with pytest.raises(SigningError):
        pinned([tmp_path / "none.pem"])
