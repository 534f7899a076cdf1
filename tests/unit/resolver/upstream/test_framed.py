"""Messages behind their lengths, without a socket."""

from __future__ import annotations

import random

import pytest

from resolver.upstream.codec import Answers, BrokenError
from resolver.upstream.framed import LATE_MAX, QUESTIONS_MAX, STRAYS_MAX, Framed
from resolver.upstream.question import HEADER_BYTES, Question
from tests.support.framing import framed
from tests.support.packets import question, reply

SECTION = question("www.ok.example", edns=False)[HEADER_BYTES:]


class Drawn(random.Random):
    """Draws what it was given, the last for ever."""

    def __init__(self, *numbers: int) -> None:
        super().__init__(0)
        self._numbers = list(numbers)

    def getrandbits(self, k: int) -> int:
        assert k == 16
        return self._numbers.pop(0) if len(self._numbers) > 1 else self._numbers[0]


def asked(count: int = 1, name: str = "www.ok.example") -> list[Question]:
    return [Question(question(name, edns=False)[HEADER_BYTES:], 0, lambda _: None, 0.0) for _ in range(count)]


def sent(codec: Framed) -> list[bytes]:
    data = codec.take()
    found = []
    while data:
        size = int.from_bytes(data[:2], "big")
        found.append(data[2 : 2 + size])
        data = data[2 + size :]
    return found


def heard(codec: Framed, data: bytes) -> Answers:
    found: Answers = []
    codec.receive(data, found)
    return found


@pytest.mark.parametrize("step", [1, 3, 40, 1 << 16])
def test_answers_come_in_any_order_and_in_any_pieces(step: int) -> None:
    codec = Framed(random.Random(1), padded=False)
    ones = asked(50)
    for one in ones:
        codec.ask(one)
    queries = sent(codec)
    assert len({query[:2] for query in queries}) == 50
    told = list(zip(ones, map(reply, queries), strict=True))
    random.Random(2).shuffle(told)
    data = framed(*(message for _, message in told))
    found: Answers = []
    for at in range(0, len(data), step):
        codec.receive(data[at : at + step], found)
    assert found == told
    assert (len(codec), codec.room) == (0, QUESTIONS_MAX)


def test_ids_come_from_the_source_and_no_two_wait_under_one() -> None:
    codec = Framed(Drawn(7, 7, 7, 8), padded=False)
    for one in asked(2):
        codec.ask(one)
    assert [query[:2] for query in sent(codec)] == [b"\0\7", b"\0\10"]


def test_there_is_room_for_so_many() -> None:
    codec = Framed(random.Random(1), padded=False)
    for one in asked(QUESTIONS_MAX):
        assert codec.room
        codec.ask(one)
    assert codec.room == 0
    assert not codec.ended


def test_an_id_given_up_is_not_used_before_its_answer_has_come() -> None:
    codec = Framed(Drawn(7, 7, 8, 7), padded=False)
    [first, second, third] = asked(3)
    codec.ask(first)
    [query] = sent(codec)
    codec.forget(first)
    assert codec.waiting == ()
    codec.ask(second)
    assert sent(codec)[0][:2] == b"\0\10"
    assert heard(codec, framed(reply(query))) == []
    codec.ask(third)
    assert sent(codec)[0][:2] == b"\0\7"


def test_a_connection_with_too_many_late_answers_ends_in_peace() -> None:
    codec = Framed(random.Random(1), padded=False)
    for one in asked(LATE_MAX):
        codec.ask(one)
        codec.forget(one)
    assert (codec.ended, codec.room) == (True, 0)


@pytest.mark.parametrize(
    "stray",
    [
        lambda query: bytes([query[0] ^ 1]) + reply(query)[1:],
        lambda query: reply(query).replace(b"www", b"wwx"),
        lambda query: query,
        lambda query: query[:2] + b"\x01\x00" + bytes(8),
    ],
)
def test_what_answers_nothing_is_passed_over_so_often(stray: object) -> None:
    assert callable(stray)
    codec = Framed(random.Random(1), padded=False)
    [one] = asked()
    codec.ask(one)
    [query] = sent(codec)
    for _ in range(STRAYS_MAX):
        assert heard(codec, framed(stray(query))) == []
    assert len(codec) == 1
    with pytest.raises(BrokenError) as raised:
        heard(codec, framed(stray(query)))
    assert raised.value.kind == "strays"


def test_strays_between_answers_are_forgiven() -> None:
    codec = Framed(random.Random(1), padded=False)
    for one in asked(3):
        codec.ask(one)
        [query] = sent(codec)
        strays = framed(*[bytes([query[0] ^ 1]) + query[1:]] * STRAYS_MAX)
        assert heard(codec, strays + framed(reply(query))) == [(one, reply(query))]


@pytest.mark.parametrize("size", range(HEADER_BYTES))
def test_a_length_that_no_message_has_breaks_the_connection_but_not_what_came_before(size: int) -> None:
    codec = Framed(random.Random(1), padded=False)
    ones = asked(2)
    for one in ones:
        codec.ask(one)
    first, _ = sent(codec)
    found: Answers = []
    with pytest.raises(BrokenError) as raised:
        codec.receive(framed(reply(first)) + size.to_bytes(2, "big"), found)
    assert raised.value.kind == "length"
    assert found == [(ones[0], reply(first))]
    assert codec.waiting == (ones[1],)


def test_an_error_that_repeats_no_question_is_no_answer() -> None:
    codec = Framed(random.Random(1), padded=False)
    [one] = asked()
    codec.ask(one)
    [query] = sent(codec)
    assert heard(codec, framed(query[:2] + b"\x81\x81" + bytes(8))) == [(one, None)]
    assert codec.problem == "an error of code 1 that repeats no question"


def test_what_is_encrypted_is_padded() -> None:
    codec = Framed(random.Random(1), padded=True)
    for one in asked(1) + asked(1, "a-much-longer-name.ok.example"):
        codec.ask(one)
    assert [len(query) for query in sent(codec)] == [128, 128]
