"""A node's signed answer, read and checked by whoever asked."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lachan.signing import SigningError, SigningKey
from lachan.whoami import Whoami, WhoamiError

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
NONCE = "4f9a1c2e7b"
ANSWER = Whoami.make(KEY, NONCE, "operator-a/hcm-1", 1_700_000_000)
STRINGS = list(ANSWER.strings())


def test_it_says_who_and_when_and_signs_the_nonce() -> None:
    assert STRINGS[:2] == [b"node=operator-a/hcm-1", b"time=1700000000"]
    read = Whoami.parse(NONCE, STRINGS)
    assert read == ANSWER
    read.verify(KEY.public)
    assert sum(len(string) + 1 for string in STRINGS) < 255


@pytest.mark.parametrize(
    ("nonce", "place", "string"),
    [("4f9a1c2e7c", 0, STRINGS[0]), (NONCE, 0, b"node=operator-a/hcm-2"), (NONCE, 1, b"time=1700000001"),
     (NONCE, 2, b"sig=" + b"A" * 86 + b"=="), (NONCE, 2, b"sig=")],
)  # fmt: skip
def test_whatever_is_changed_the_signature_does_not_hold(nonce: str, place: int, string: bytes) -> None:
    changed = [*STRINGS]
    changed[place] = string
    with pytest.raises(SigningError):
        Whoami.parse(nonce, changed).verify(KEY.public)


@pytest.mark.parametrize(
    ("nonce", "strings"),
    [
        (NONCE, []),
        (NONCE, STRINGS[:2]),
        (NONCE, [*STRINGS, STRINGS[0]]),
        (NONCE, [*STRINGS, b"more=1"]),
        (NONCE, [b"node=operator-a", *STRINGS[1:]]),
        (NONCE, [b"node=\xff/x", *STRINGS[1:]]),
        (NONCE, [STRINGS[0], b"time=-1", STRINGS[2]]),
        (NONCE, [STRINGS[0], b"time=1" + b"0" * 12, STRINGS[2]]),
        (NONCE, [*STRINGS[:2], b"sig=*"]),
        (NONCE, [b"x" * 9000] * 3),
        ("short", STRINGS),
        ("UPPERCASE", STRINGS),
    ],
)
def test_what_is_no_answer_is_refused(nonce: str, strings: list[bytes]) -> None:
    with pytest.raises(WhoamiError):
        Whoami.parse(nonce, strings)
