"""Whatever an upstream sends ends in answers, in waiting or in an error of the codec's own, and no question is lost."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

import h2.config
import h2.connection
import h2.events
from hypothesis import given
from hypothesis import strategies as st

from resolver.upstream.codec import Answers, BrokenError, Codec
from resolver.upstream.doh import MEDIA_TYPE, Resource
from resolver.upstream.framed import Framed
from resolver.upstream.http1 import Http1
from resolver.upstream.http2 import Http2
from resolver.upstream.question import HEADER_BYTES, Question
from tests.support.framing import framed
from tests.support.packets import question, reply

QUERY = question("www.ok.example", edns=False, id=0)
LINE = "www.ok.example. 300 IN A 192.0.2.1"
RESOURCE = Resource(b"dns.example", b"/dns-query")

mutations = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 3), st.binary(max_size=12)), max_size=4)


def mutated(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """Some bytes written over, put in or taken out."""
    out = bytearray(data)
    for place, kind, fresh in changes:
        at = place % (len(out) + 1)
        if kind == 0:
            out[at : at + len(fresh)] = fresh
        elif kind == 1:
            out[at:at] = fresh
        else:
            del out[at : at + len(fresh)]
    return bytes(out)


def sent_framed(codec: Codec) -> bytes:
    data = codec.take()
    said = b""
    while data:
        size = int.from_bytes(data[:2], "big")
        said += framed(reply(data[2 : 2 + size], LINE))
        data = data[2 + size :]
    return said


def sent_http1(codec: Codec) -> bytes:
    body = reply(codec.take().partition(b"\r\n\r\n")[2], LINE)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (MEDIA_TYPE, len(body))
    return head + body


def sent_http2(codec: Codec) -> bytes:
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    server.initiate_connection()
    for event in server.receive_data(codec.take()):
        if isinstance(event, h2.events.DataReceived):
            server.send_headers(event.stream_id, [(b":status", b"200"), (b"content-type", MEDIA_TYPE)])
            server.send_data(event.stream_id, reply(event.data, LINE), end_stream=True)
    return server.data_to_send()


def hold(
    codec: Codec, count: int, sent: Callable[[Codec], bytes], changes: list[tuple[int, int, bytes]], step: int
) -> None:
    asked = [Question(QUERY[HEADER_BYTES:], 0, lambda _: None, 0.0) for _ in range(count)]
    for one in asked:
        codec.ask(one)
    whole = sent(codec)
    data = mutated(whole, changes)
    found: Answers = []
    # Nothing else may be raised.
    with contextlib.suppress(BrokenError):
        for at in range(0, len(data), step):
            codec.receive(data[at : at + step], found)
    told = [one for one, _ in found]
    everywhere = [*told, *codec.returned, *codec.waiting]
    assert sorted(map(id, everywhere)) == sorted(map(id, asked))
    for _, answer in found:
        assert answer is None or answer[HEADER_BYTES : len(QUERY)].lower() == QUERY[HEADER_BYTES:]
    if data == whole:
        assert len(told) == count
        assert all(answer is not None for _, answer in found)


@given(mutations, st.integers(1, 400))
def test_messages_behind_their_lengths(changes: list[tuple[int, int, bytes]], step: int) -> None:
    hold(Framed(random.Random(1), padded=True), 5, sent_framed, changes, step)


@given(mutations, st.integers(1, 400))
def test_http2(changes: list[tuple[int, int, bytes]], step: int) -> None:
    hold(Http2(RESOURCE), 5, sent_http2, changes, step)


@given(mutations, st.integers(1, 400))
def test_http1(changes: list[tuple[int, int, bytes]], step: int) -> None:
    hold(Http1(RESOURCE), 1, sent_http1, changes, step)
