"""HTTP/2 frame by frame: what a connection asks, what it is told, and what it may not do."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.listeners.doh import HEAD_BYTES_MAX, MESSAGE_MAX, Moment, Query, Resource
from resolver.listeners.http2 import CONNECTION_WINDOW_BYTES, Http2
from tests.support.packets import question, reply

MOMENT = Moment(100.0, b"Sun, 06 Nov 1994 08:49:37 GMT")
QUERY = question("www.example", id=0)
ANSWER = reply(QUERY, "www.example. 300 IN A 192.0.2.1")
ENCODED = base64.urlsafe_b64encode(QUERY).rstrip(b"=").decode()
STREAMS = 8

Fields = Sequence[tuple[str, str]]


class Client:
    """A client and the codec it talks to."""

    def __init__(self, server_name: str | None = None, **settings: int) -> None:
        self.codec = Http2(Resource({"/dns-query/school": 1}, {"school.dns.example": 2}), server_name, streams=STREAMS)
        # A client that breaks rules is not held back by its own half.
        config = h2.config.H2Configuration(
            client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.http = h2.connection.H2Connection(config)
        self.http.initiate_connection()
        if settings:
            self.http.update_settings({h2.settings.SettingCodes[name]: value for name, value in settings.items()})
        self.events: list[h2.events.Event] = []
        self.stream = -1
        self.exchange()

    def exchange(self, moment: Moment = MOMENT) -> list[tuple[int, Query]]:
        """Sends what there is; the queries that came of it."""
        self.codec.receive(self.http.data_to_send(), moment)
        asked = []
        while (found := self.codec.next(moment)) is not None:
            asked.append(found)
        self.hear()
        return asked

    def hear(self) -> None:
        """Takes what the codec says."""
        self.events += self.http.receive_data(self.codec.take())

    def ask(
        self,
        method: str = "POST",
        path: str = "/dns-query",
        body: bytes | None = QUERY,
        *more: tuple[str, str],
        kind: str = "application/dns-message",
        authority: str = "dns.example",
        end: bool = True,
    ) -> int:
        """Queues a request; its stream."""
        self.stream += 2
        fields: Fields = [
            (":method", method), (":scheme", "https"), (":authority", authority), (":path", path),
            ("content-type", kind), *more,
        ]  # fmt: skip
        self.http.send_headers(self.stream, fields, end_stream=end and body is None)
        if body is not None:
            for at in range(0, len(body), 16384):
                self.http.send_data(self.stream, body[at : at + 16384])
            if end:
                self.http.end_stream(self.stream)
        return self.stream

    def told(self, stream: int) -> tuple[int, dict[bytes, bytes], bytes]:
        """What a stream was answered."""
        [head] = [e for e in self.events if isinstance(e, h2.events.ResponseReceived) and e.stream_id == stream]
        data = [e.data for e in self.events if isinstance(e, h2.events.DataReceived) and e.stream_id == stream]
        headers = dict(head.headers)
        return int(headers[b":status"]), headers, b"".join(data)

    def heard(self, kind: type[h2.events.Event]) -> list[h2.events.Event]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def goodbye(self) -> int | None:
        """The code of the codec's GOAWAY."""
        found = [e.error_code for e in self.events if isinstance(e, h2.events.ConnectionTerminated)]
        return int(found[0]) if found and found[0] is not None else None


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_query_is_asked_and_answered(method: str) -> None:
    client = Client()
    stream = client.ask() if method == "POST" else client.ask("GET", f"/dns-query?dns={ENCODED}", None)
    assert client.exchange() == [(stream, Query(QUERY, -1))]
    assert client.codec.outstanding == 1
    client.codec.answer(stream, ANSWER, MOMENT)
    client.hear()
    status, headers, body = client.told(stream)
    assert (status, body) == (200, ANSWER)
    assert headers[b"content-type"] == b"application/dns-message"
    assert headers[b"cache-control"] == b"private, max-age=300"
    assert headers[b"content-length"] == b"%d" % len(ANSWER)
    assert headers[b"date"] == MOMENT.date
    assert client.heard(h2.events.StreamEnded)
    assert client.codec.outstanding == 0


def test_answers_come_in_any_order() -> None:
    client = Client()
    streams = [client.ask() for _ in range(STREAMS)]
    assert [stream for stream, _ in client.exchange()] == streams
    for stream in reversed(streams):
        client.codec.answer(stream, ANSWER + bytes([stream]), MOMENT)
    client.hear()
    assert all(client.told(stream)[2] == ANSWER + bytes([stream]) for stream in streams)


def test_frames_may_come_in_pieces_of_any_size() -> None:
    for size in (1, 10, 1000):
        client = Client()
        client.ask()
        data = client.http.data_to_send()
        found = []
        for at in range(0, len(data), size):
            client.codec.receive(data[at : at + size], MOMENT)
            found.append(client.codec.next(MOMENT))
        assert [query for query in found if query] == [(1, Query(QUERY, -1))]


def test_the_profile_follows_path_or_server_name() -> None:
    client = Client("school.dns.example")
    client.ask(authority="school.dns.example")
    client.ask(path="/dns-query/school", authority="school.dns.example:443")
    assert [query.profile for _, query in client.exchange()] == [2, 1]


def test_what_is_refused_has_its_status_and_the_rest_goes_on() -> None:
    client = Client()
    expected = {
        client.ask(path="/"): 404,
        client.ask("DELETE", "/dns-query", None): 405,
        client.ask("DELETE"): 405,
        client.ask(kind="text/plain"): 415,
        client.ask("GET", "/dns-query", None): 400,
        client.ask(body=b"short"): 400,
        client.ask(authority="school.dns.example"): 421,
    }
    assert client.exchange() == []
    assert {stream: client.told(stream)[0] for stream in expected} == expected
    assert client.told(5)[1][b"allow"] == b"GET, POST"
    more = {
        client.ask("GET", "/dns-query?dns=" + "A" * 5000, None): 414,
        client.ask("POST", "/dns-query", QUERY, ("x", "a" * HEAD_BYTES_MAX)): 431,
        client.ask("POST", "/dns-query", QUERY, ("content-length", "65536"), end=False): 413,
    }
    client.exchange()
    assert {stream: client.told(stream)[0] for stream in more} == more
    client.ask()
    assert len(client.exchange()) == 1


def test_a_body_of_the_most_that_is_allowed_is_taken_and_a_larger_one_refused() -> None:
    client = Client()
    client.exchange()
    first = client.ask(body=None, end=False)
    for at in range(0, MESSAGE_MAX, 16384):
        client.http.send_data(first, bytes(min(16384, MESSAGE_MAX - at)))
        client.exchange()
    client.http.end_stream(first)
    assert client.exchange() == [(first, Query(bytes(MESSAGE_MAX), -1))]
    second = client.ask(body=None, end=False)
    for _ in range(4):
        client.http.send_data(second, bytes(16384))
        client.exchange()
    assert client.told(second)[0] == 413
    assert client.codec.outstanding == 1


def test_bodies_that_never_end_are_bounded_together() -> None:
    client = Client(INITIAL_WINDOW_SIZE=1 << 20)
    sent = 0
    streams = [client.ask(body=None, end=False) for _ in range(STREAMS)]
    for _ in range(4):
        for stream in streams:
            room = min(client.http.local_flow_control_window(stream), 16384, 16380)
            if room > 0:
                client.http.send_data(stream, bytes(room))
                sent += room
            client.exchange()
    assert client.exchange() == []
    assert sent <= STREAMS * (MESSAGE_MAX + 1)
    assert client.codec.overdue(104.0, 3.0)


def test_an_answer_waits_for_the_client_s_window() -> None:
    client = Client(INITIAL_WINDOW_SIZE=100)
    client.exchange()
    stream = client.ask()
    client.exchange()
    long = ANSWER + bytes(40_000)
    client.codec.answer(stream, long, MOMENT)
    client.hear()
    assert client.told(stream)[2] == long[:100]
    assert client.codec.outstanding == 1
    client.http.increment_flow_control_window(60_000, stream)
    client.exchange()
    assert client.told(stream)[2] == long
    assert client.codec.outstanding == 0


def test_more_room_by_settings_sends_the_rest_as_well() -> None:
    client = Client(INITIAL_WINDOW_SIZE=0)
    client.exchange()
    stream = client.ask()
    client.exchange()
    client.codec.answer(stream, ANSWER, MOMENT)
    client.hear()
    assert client.told(stream)[2] == b""
    client.http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1000})
    client.exchange()
    assert client.told(stream)[2] == ANSWER


@pytest.mark.parametrize("when", ["in the same read", "before the answer", "with the answer half sent"])
def test_a_stream_that_is_given_up_costs_nobody_else(when: str) -> None:
    client = Client(INITIAL_WINDOW_SIZE=10)
    client.exchange()
    stream = client.ask()
    if when == "in the same read":
        client.http.reset_stream(stream)
        other = client.ask()
        assert [number for number, _ in client.exchange()] == [other]
    else:
        other = client.ask()
        client.exchange()
        if when == "with the answer half sent":
            client.codec.answer(stream, ANSWER, MOMENT)
        client.http.reset_stream(stream)
        client.exchange()
    client.codec.answer(stream, ANSWER, MOMENT)
    client.codec.answer(other, ANSWER, MOMENT)
    client.http.increment_flow_control_window(1000, other)
    client.exchange()
    client.hear()
    assert client.told(other)[2] == ANSWER
    assert client.codec.outstanding == 0
    assert not client.codec.ended


def test_a_refused_stream_that_was_given_up_in_the_same_read() -> None:
    client = Client()
    for path in ("/", "/dns-query"):
        stream = client.ask("PUT", path, None)
        client.http.reset_stream(stream)
    other = client.ask()
    assert [number for number, _ in client.exchange()] == [other]


def test_more_streams_than_allowed_end_the_connection() -> None:
    client = Client()
    client.http.remote_settings = h2.settings.Settings(client=False)
    for _ in range(STREAMS + 1):
        client.ask()
    client.exchange()
    assert client.goodbye == h2.errors.ErrorCodes.PROTOCOL_ERROR
    assert client.codec.ended


def frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    return struct.pack("!I", len(body))[1:] + struct.pack("!BBI", kind, flags, stream) + body


@pytest.mark.parametrize(
    "flood",
    [frame(6, 0, 0, bytes(8)), frame(4, 0, 0), frame(2, 0, 1, bytes(5)), frame(0, 0, 1), frame(8, 0, 0, b"\0\0\0\1")],
    ids=["ping", "settings", "priority", "empty data", "window"],
)
def test_a_client_that_says_much_and_asks_nothing_is_told_to_calm_down(flood: bytes) -> None:
    client = Client()
    client.ask(body=None, end=False)
    client.exchange()
    client.codec.receive(flood * 2000, MOMENT)
    assert client.codec.ended
    client.events += client.http.receive_data(client.codec.take()[-17:])
    assert client.goodbye == h2.errors.ErrorCodes.ENHANCE_YOUR_CALM


def test_asking_and_giving_up_in_haste_ends_the_connection() -> None:
    client = Client()
    resets = 0
    while not client.codec.ended:
        stream = client.ask()
        client.http.reset_stream(stream)
        client.exchange()
        resets += 1
    assert 20 < resets < 200
    assert client.goodbye == h2.errors.ErrorCodes.ENHANCE_YOUR_CALM


def test_whoever_asks_may_ask_on() -> None:
    client = Client()
    for _ in range(1500):
        stream = client.ask()
        client.http.ping(bytes(8))
        [(number, _)] = client.exchange()
        client.codec.answer(number, ANSWER, MOMENT)
        client.hear()
        client.http.acknowledge_received_data(len(ANSWER), stream)
        client.http.increment_flow_control_window(1)
        client.exchange()
    assert not client.codec.ended
    assert len(client.codec._http._closed_streams) <= 1024


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        frame(0, 1, 1, QUERY),
        frame(1, 5, 2, b"\x82"),
        frame(1, 5, 1, b"\xff\xff\xff\xff\xff\xff"),
        frame(4, 0, 0, b"\0\4\xff\xff\xff\xff"),
        frame(9, 0, 1, b""),
        frame(5, 4, 1, bytes(8)),
        b"\xff\xff\xff\0\0\0\0\0\1",
    ],
)
def test_what_breaks_the_protocol_ends_the_connection_with_a_reason(data: bytes) -> None:
    client = Client()
    client.codec.receive(data, MOMENT)
    assert client.codec.ended
    assert client.codec.next(MOMENT) is None
    client.events += client.http.receive_data(client.codec.take())
    assert client.goodbye not in (None, h2.errors.ErrorCodes.NO_ERROR)
    client.codec.receive(data, MOMENT)
    client.codec.answer(1, ANSWER, MOMENT)
    assert client.codec.take() == b""


def test_a_frame_is_refused_by_its_length_before_it_is_there() -> None:
    client = Client()
    client.codec.receive(b"\0\x40\1\0\0\0\0\0\1", MOMENT)
    client.hear()
    assert client.goodbye == h2.errors.ErrorCodes.FRAME_SIZE_ERROR


@pytest.mark.parametrize(
    "part",
    [b"\0", frame(6, 0, 0, bytes(8))[:-1], frame(1, 0, 1, b"\x83"), frame(1, 0, 1, b"\x83") + frame(9, 0, 1, b"\x87")],
)
def test_a_frame_or_a_head_has_a_deadline(part: bytes) -> None:
    client = Client()
    assert not client.codec.overdue(1000.0, 3.0)
    for at in range(len(part)):
        client.codec.receive(part[at : at + 1], Moment(100.0 + at / 100, b""))
    assert not client.codec.overdue(103.0, 3.0)
    assert client.codec.overdue(103.1, 3.0)


def test_frames_that_follow_one_another_are_not_late() -> None:
    client = Client()
    ping = frame(6, 0, 0, bytes(8))
    client.codec.receive(ping[:5], MOMENT)
    client.codec.receive(ping[5:] + ping[:5], Moment(102.0, b""))
    assert not client.codec.overdue(104.0, 3.0)
    client.codec.receive(ping[5:], Moment(104.0, b""))
    assert not client.codec.overdue(1000.0, 3.0)


def test_half_a_preface_is_late() -> None:
    codec = Http2(Resource({}, {}), None, streams=STREAMS)
    assert not codec.overdue(1000.0, 3.0)
    codec.receive(CLIENT_BYTES[:10], MOMENT)
    assert codec.overdue(104.0, 3.0)


def test_a_head_that_grows_without_end_is_cut_off() -> None:
    client = Client()
    client.codec.receive(frame(1, 0, 1, bytes(100)) + frame(9, 0, 1, bytes(100)) * 100, MOMENT)
    assert client.codec.ended
    client = Client()
    client.codec.receive(
        frame(1, 0, 1, bytes(16000)) + frame(9, 0, 1, bytes(16000)) + frame(9, 0, 1, bytes(1000)), MOMENT
    )
    assert client.codec.ended


def test_a_query_without_an_answer_is_told_later() -> None:
    client = Client()
    stream = client.ask()
    client.exchange()
    client.codec.answer(stream, b"", MOMENT)
    client.hear()
    assert client.told(stream)[0] == 503


def test_a_request_has_a_deadline_an_answer_owed_has_none() -> None:
    client = Client()
    client.ask(end=False)
    client.exchange()
    assert not client.codec.overdue(103.0, 3.0)
    assert client.codec.overdue(103.1, 3.0)
    client.http.end_stream(1)
    client.exchange()
    assert not client.codec.overdue(1000.0, 3.0)


def test_a_retired_connection_answers_what_was_asked_and_nothing_else() -> None:
    client = Client()
    first = client.ask()
    client.exchange()
    client.codec.retire(MOMENT)
    client.codec.retire(MOMENT)
    second = client.ask()
    assert client.exchange() == []
    assert client.goodbye == h2.errors.ErrorCodes.NO_ERROR
    [goodbye] = client.heard(h2.events.ConnectionTerminated)
    assert isinstance(goodbye, h2.events.ConnectionTerminated)
    assert goodbye.last_stream_id == first < second
    assert not client.codec.ended
    client.codec.answer(first, ANSWER, MOMENT)
    assert ANSWER in client.codec.take()
    assert client.codec.ended


def test_a_retired_connection_that_owes_nothing_ends() -> None:
    client = Client()
    client.codec.retire(MOMENT)
    assert client.codec.ended
    client.hear()
    assert client.goodbye == h2.errors.ErrorCodes.NO_ERROR


def test_the_end_of_a_client_is_the_end_unless_an_answer_is_owed() -> None:
    idle = Client()
    idle.codec.receive(b"", MOMENT)
    assert idle.codec.ended
    busy = Client()
    stream = busy.ask()
    busy.exchange()
    busy.codec.receive(b"", MOMENT)
    assert not busy.codec.ended
    busy.codec.answer(stream, ANSWER, MOMENT)
    busy.hear()
    assert busy.told(stream)[2] == ANSWER
    assert busy.codec.ended


def test_a_client_s_goodbye_is_the_end() -> None:
    client = Client()
    client.http.close_connection()
    client.exchange()
    assert client.codec.ended


def test_the_windows_hold_what_they_promise() -> None:
    client = Client()
    assert client.http.outbound_flow_control_window == CONNECTION_WINDOW_BYTES
    assert client.http.remote_settings.max_concurrent_streams == STREAMS
    assert client.http.remote_settings.max_header_list_size == HEAD_BYTES_MAX


CLIENT_BYTES = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)


def _recorded() -> bytes:
    client = Client()
    client.ask()
    client.ask("GET", f"/dns-query?dns={ENCODED}", None)
    client.ask("PUT")
    client.http.reset_stream(3)
    return bytes(client.http.data_to_send())


RECORDED = _recorded()


@given(
    st.lists(st.tuples(st.integers(0, len(RECORDED) - 1), st.integers(0, 255)), max_size=6),
    st.lists(
        st.builds(frame, st.integers(0, 12), st.integers(0, 255), st.integers(0, 9), st.binary(max_size=20)),
        max_size=6,
    ),
    st.integers(1, 200),
)
def test_whatever_is_sent_nothing_is_raised_and_every_query_is_whole(
    changes: list[tuple[int, int]], frames: list[bytes], size: int
) -> None:
    recorded = bytearray(RECORDED)
    for at, value in changes:
        recorded[at] = value
    data = CLIENT_BYTES + bytes(recorded) + b"".join(frames)
    codec = Http2(Resource({}, {}), None, streams=STREAMS)
    for at in range(0, len(data), size):
        codec.receive(data[at : at + size], MOMENT)
        while (found := codec.next(MOMENT)) is not None:
            assert len(found[1].message) >= 12
            codec.answer(found[0], ANSWER, MOMENT)
        codec.take()
    codec.retire(MOMENT)
    codec.take()
