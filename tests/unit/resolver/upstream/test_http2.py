"""DNS over HTTP/2 without a socket, against h2's other end."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import hyperframe.frame
import pytest

from resolver.http2 import DEBT_MAX
from resolver.upstream.codec import Answers, BrokenError
from resolver.upstream.doh import MEDIA_TYPE, Resource
from resolver.upstream.http2 import BODY_MAX, QUESTIONS_EVER, STREAMS_FIRST, STREAMS_MAX, Http2
from resolver.upstream.question import HEADER_BYTES, MESSAGE_MAX, Question
from tests.support.packets import question, reply

SECTION = question("www.ok.example", edns=False)[HEADER_BYTES:]
LINE = "www.ok.example. 300 IN A 192.0.2.1"
GOOD = [(b":status", b"200"), (b"content-type", MEDIA_TYPE)]


def asked() -> Question:
    return Question(SECTION, 0, lambda _: None, 0.0)


class Pair:
    """A client and the server it speaks with."""

    def __init__(self, **settings: int) -> None:
        self.client = Http2(Resource(b"dns.example", b"/dns-query"))
        self.server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.server.local_settings = h2.settings.Settings(
            client=False,
            initial_values={h2.settings.SettingCodes[name]: value for name, value in settings.items()},
        )
        self.server.initiate_connection()
        self.events: list[h2.events.Event] = []
        self.found: Answers = []

    def turn(self) -> None:
        """What both have to say to one another."""
        for _ in range(2):
            self.events += self.server.receive_data(self.client.take())
            self.client.receive(self.server.data_to_send(), self.found)

    def ask(self, count: int = 1) -> list[tuple[Question, int, bytes]]:
        """Questions, the streams they came by and their bodies."""
        ones = [asked() for _ in range(count)]
        for one in ones:
            self.client.ask(one)
        self.events.clear()
        self.turn()
        bodies: dict[int, bytes] = {}
        for event in self.events:
            if isinstance(event, h2.events.DataReceived):
                bodies[event.stream_id] = event.data
                self.server.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        return [(one, number, bodies[number]) for one, number in zip(ones, sorted(bodies), strict=True)]

    def answer(self, number: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        self.server.send_headers(number, headers or GOOD)
        for at in range(0, len(body), 16384):
            self.server.send_data(number, body[at : at + 16384])
        self.server.end_stream(number)


def test_a_request_is_what_the_standard_asks_for() -> None:
    pair = Pair()
    [(_, number, body)] = pair.ask()
    [head] = [event for event in pair.events if isinstance(event, h2.events.RequestReceived)]
    assert dict(head.headers) == {
        b":method": b"POST", b":scheme": b"https", b":authority": b"dns.example", b":path": b"/dns-query",
        b"accept": MEDIA_TYPE, b"content-type": MEDIA_TYPE,
    }  # fmt: skip
    assert (number, body[:2], len(body)) == (1, b"\0\0", 128)
    assert pair.server.remote_settings.enable_push == 0


def test_answers_come_in_any_order_and_size() -> None:
    pair = Pair()
    pair.turn()
    told = pair.ask(60)
    expected = []
    for one, number, body in reversed(told):
        message = reply(body, *[LINE] * (1 if number % 3 else 200))
        pair.answer(number, message)
        pair.turn()
        expected.append((one, message))
    assert pair.found == expected
    assert (len(pair.client), pair.client.waiting, pair.client.ended) == (0, (), False)


def test_no_more_streams_are_open_than_both_allow() -> None:
    assert Pair().client.room == STREAMS_FIRST
    for allowed, room in ((5, 5), (1000, STREAMS_MAX), (0, 0)):
        pair = Pair(MAX_CONCURRENT_STREAMS=allowed)
        pair.turn()
        assert pair.client.room == room
    pair = Pair(MAX_CONCURRENT_STREAMS=5)
    pair.turn()
    pair.ask(5)
    assert pair.client.room == 0


def test_windows_are_opened_again_and_again() -> None:
    pair = Pair()
    pair.turn()
    message = b""
    for _ in range(40):
        [(_, number, body)] = pair.ask()
        message = message or reply(body, *[LINE] * 4000)
        assert 60_000 < len(message) <= MESSAGE_MAX
        pair.answer(number, message)
        pair.turn()
    assert [answer for _, answer in pair.found] == [message] * 40


def test_there_is_no_room_where_the_window_has_none() -> None:
    pair = Pair()
    pair.turn()
    for _ in range((65535 - BODY_MAX) // 128 + 1):
        assert pair.client.room
        pair.client.ask(asked())
        for one in pair.client.waiting:
            pair.client.forget(one)
    assert pair.client.room == 0
    assert not pair.client.ended


def test_a_window_without_room_for_any_question_is_an_error() -> None:
    with pytest.raises(BrokenError, match="no room for a question"):
        Pair(INITIAL_WINDOW_SIZE=BODY_MAX - 1).turn()


@pytest.mark.parametrize(
    ("headers", "body", "problem"),
    [
        ([(b":status", b"404"), (b"content-length", b"0")], b"", "HTTP status 404"),
        ([(b":status", b"200"), (b"content-type", b"text/html")], b"<p>", "another type"),
        (GOOD, b"no message", "does not answer"),
        (GOOD, bytes(MESSAGE_MAX + 1), "longer"),
    ],
)
def test_what_is_no_answer_costs_its_question_alone(
    headers: list[tuple[bytes, bytes]], body: bytes, problem: str
) -> None:
    pair = Pair()
    pair.turn()
    [(one, number, _), (other, last, asking)] = pair.ask(2)
    pair.answer(number, body, headers)
    pair.answer(last, reply(asking, LINE))
    pair.turn()
    assert pair.found == [(one, None), (other, reply(asking, LINE))]
    assert problem in pair.client.problem
    assert not pair.client.ended


def test_a_question_given_up_is_told_and_its_answer_is_nobodys() -> None:
    pair = Pair()
    pair.turn()
    [(one, number, body), (other, _, _)] = pair.ask(2)
    # The answer to one is on its way when it is given up, nothing was said to the other.
    pair.answer(number, reply(body))
    pair.client.forget(one)
    pair.client.forget(other)
    pair.events.clear()
    pair.turn()
    [reset] = [event for event in pair.events if isinstance(event, h2.events.StreamReset)]
    assert reset.error_code == h2.errors.ErrorCodes.CANCEL
    assert (pair.found, len(pair.client)) == ([], 0)
    [(last, number, body)] = pair.ask()
    pair.answer(number, reply(body))
    pair.turn()
    assert pair.found == [(last, reply(body))]


def test_after_a_goaway_what_was_taken_is_still_answered() -> None:
    pair = Pair()
    pair.turn()
    [(first, number, body), (second, _, _)] = pair.ask(2)
    goaway = hyperframe.frame.GoAwayFrame(last_stream_id=number).serialize()
    # In one read, the other way round from what h2 bears.
    pair.answer(number, reply(body))
    pair.client.receive(goaway + pair.server.data_to_send(), pair.found)
    assert pair.found == [(first, reply(body))]
    assert pair.client.returned == [second]
    assert (pair.client.ended, pair.client.room, len(pair.client)) == (True, 0, 0)


def test_a_stream_that_is_refused_may_be_asked_elsewhere_and_another_reset_is_an_answer() -> None:
    pair = Pair()
    pair.turn()
    [(first, one, _), (second, other, _)] = pair.ask(2)
    pair.server.reset_stream(one, h2.errors.ErrorCodes.REFUSED_STREAM)
    pair.server.reset_stream(other, h2.errors.ErrorCodes.INTERNAL_ERROR)
    pair.turn()
    assert pair.client.returned == [first]
    assert pair.found == [(second, None)]


def ping() -> bytes:
    return hyperframe.frame.PingFrame(opaque_data=bytes(8)).serialize()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "larger than allowed"),
        (b"\0\x40\1\0\0\0\0\0\1", "larger than allowed"),
        (b"\0\0\1\x06\0\0\0\0\0\0", "no HTTP/2"),
        (b"\0\0\0\1\5\0\0\0\1", "no HTTP/2"),
        (hyperframe.frame.GoAwayFrame(error_code=11).serialize(), "goes away with error 11"),
        (ping() * (DEBT_MAX + 1), "too much"),
    ],
)
def test_what_is_no_http2_or_beyond_its_bounds_breaks_the_connection(data: bytes, reason: str) -> None:
    pair = Pair()
    pair.turn()
    [(one, _, _)] = pair.ask()
    with pytest.raises(BrokenError, match=reason) as raised:
        pair.client.receive(data, pair.found)
    assert raised.value.kind == "http"
    assert pair.client.waiting == (one,)


def test_a_connection_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert QUESTIONS_EVER < 2**30
    monkeypatch.setattr("resolver.upstream.http2.QUESTIONS_EVER", 2)
    pair = Pair()
    pair.turn()
    pair.ask(2)
    assert (pair.client.ended, pair.client.room) == (True, 0)


def test_a_push_is_an_error() -> None:
    pair = Pair()
    pair.turn()
    pair.ask()
    push = hyperframe.frame.PushPromiseFrame(1, promised_stream_id=2, data=b"\x88")
    push.flags.add("END_HEADERS")
    with pytest.raises(BrokenError):
        pair.client.receive(push.serialize(), pair.found)


@pytest.mark.parametrize("pieces", [1, 9, 1000])
def test_frames_may_come_in_any_pieces(pieces: int) -> None:
    pair = Pair()
    pair.turn()
    [(one, number, body)] = pair.ask()
    pair.answer(number, reply(body, LINE))
    data = pair.server.data_to_send()
    for at in range(0, len(data), pieces):
        pair.client.receive(data[at : at + pieces], pair.found)
    assert pair.found == [(one, reply(body, LINE))]
