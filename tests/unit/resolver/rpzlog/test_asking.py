"""The resolver's own word on its release."""

from __future__ import annotations

import pytest

from lachan.message import Message, Record
from resolver.rpzlog.asking import TXT, Said, read

TEXT = f'"serial=7" "records={"ab" * 32}" "profile=mandated"'


def answer(*texts: str) -> Message:
    records = tuple(Record("lachan-serial.rpz.so.example", TXT, 1, 10, b"", text) for text in texts)
    return Message(id=0, is_response=True, opcode=0, rcode=0, answers=records)


def test_the_record_says_the_release() -> None:
    assert read(answer(TEXT)) == Said(7, bytes.fromhex("ab" * 32), "mandated")


@pytest.mark.parametrize("texts", [(), ("",), (TEXT, TEXT), (TEXT.replace("7", "0"),), (TEXT.replace("ab", "zz"),)])
def test_anything_else_says_nothing(texts: tuple[str, ...]) -> None:
    assert read(answer(*texts)) is None
