from __future__ import annotations

import pytest

from compliance_api.ledger import cosigning, submission
from compliance_api.ledger.cosigning import CLOCK_TOLERANCE_S, Failure, Refusal, Stale
from lachan.ledger import note
from lachan.ledger.note import Signature
from tests.support.ledger import NOON, Parties, forest

PARTIES = Parties()
WOODS = forest(5)
HEAD = PARTIES.head(5, WOODS.root(), {})
KEY = PARTIES.witness_key("w1")


def cosignature(time: int = NOON, text: str = HEAD.text, who: str = "w1") -> Signature:
    return note.cosign(text, f"{who}.example/witness", PARTIES.witnesses[who], time)


def read(status: int, body: bytes, form: str = submission.PLAIN) -> Signature | Stale | Refusal:
    return cosigning.read(status, form, body, HEAD, KEY, NOON)


def test_a_request_is_what_a_witness_reads() -> None:
    body = cosigning.request(3, WOODS.consistency(3), HEAD.encode())
    asked = submission.parse(body)
    assert (asked.old, list(asked.proof), asked.checkpoint) == (3, WOODS.consistency(3), HEAD.encode())


def test_the_witness_s_own_cosignature_is_taken() -> None:
    others = [cosignature(who="w2"), note.sign(HEAD.text, "log.example/else", PARTIES.log)]
    lines = "".join(f"{one}\n" for one in [*others, cosignature()])
    assert read(200, lines.encode()) == cosignature()


@pytest.mark.parametrize("off", [-CLOCK_TOLERANCE_S, CLOCK_TOLERANCE_S])
def test_a_time_as_far_as_may_be_is_taken(off: int) -> None:
    assert read(200, f"{cosignature(NOON + off)}\n".encode()) == cosignature(NOON + off)


@pytest.mark.parametrize("off", [-CLOCK_TOLERANCE_S - 1, CLOCK_TOLERANCE_S + 1])
def test_a_time_further_off_is_not(off: int) -> None:
    told = read(200, f"{cosignature(NOON + off)}\n".encode())
    assert told == Refusal(Failure.CLOCK, f"cosigned at {NOON + off}, which is {off:+} s from now")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"thank you\n",
        f"{cosignature(who='w2')}\n".encode(),
        f"{cosignature(text=PARTIES.head(4, WOODS.root(4), {}).text)}\n".encode(),
        f"{note.sign(HEAD.text, 'w1.example/witness', PARTIES.witnesses['w1'])}\n".encode(),
    ],
)
def test_anything_else_is_no_cosignature(body: bytes) -> None:
    told = read(200, body)
    assert isinstance(told, Refusal)
    assert told.failure is Failure.SIGNATURE


def test_a_witness_says_where_to_begin() -> None:
    assert read(409, b"3\n", submission.SIZE) == Stale(3)
    assert read(409, b"5\n", f"{submission.SIZE}; charset=utf-8") == Stale(5)
    assert read(409, b"6\n", submission.SIZE) == Refusal(Failure.AHEAD, "it has cosigned 6 leaves")


@pytest.mark.parametrize("body", [b"", b"many\n", b"-1\n", b"\xff\n", b"9" * 40])
def test_a_size_that_is_none_is_refused(body: bytes) -> None:
    told = read(409, body, submission.SIZE)
    assert isinstance(told, Refusal)
    assert told.failure is Failure.REFUSED


def test_what_a_witness_finds_wrong_is_told_apart() -> None:
    assert read(409, b"two roots\n") == Refusal(Failure.CONTRADICTED, "409 'two roots'")
    assert read(422, b"\x1b[2J" + b"x" * 999) == Refusal(Failure.CONTRADICTED, "422 '\\x1b[2J" + "x" * 196 + "'")
    assert read(503, b"later\n") == Refusal(Failure.REFUSED, "503 'later'")
