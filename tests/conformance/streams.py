"""Connections: RFC 7766, and by the same adapter RFC 7858."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

from tests.conformance.case import Case, Need
from tests.conformance.packet import query, read
from tests.conformance.place import Place
from tests.conformance.transports import Stream, Transport
from tests.support.framing import framed

Talk = Callable[[Place, Transport, Stream], None]


def ids(stream: Stream, count: int) -> list[int]:
    """The ids of the next answers."""
    found = []
    for _ in range(count):
        message = stream.receive()
        assert message is not None, f"closed after {len(found)} answers"
        found.append(read(message).ident)
    return found


def many(_: Place, __: Transport, stream: Stream) -> None:
    for number in range(300):
        stream.send(query("bad.example", ident=number))
        assert ids(stream, 1) == [number]


def pipelined(_: Place, transport: Transport, stream: Stream) -> None:
    names = ["bad.example", "www.ok.example", f"alias-{transport.letters}.pipe.ok.example", "nx.ok.example"] * 20
    stream.send(*(query(name, ident=number) for number, name in enumerate(names)))
    assert sorted(ids(stream, len(names))) == list(range(len(names)))


def out_of_order(at: Place, transport: Transport, stream: Stream) -> None:
    name = f"held-order{transport.letters}.ok.example"
    stream.send(query(name, ident=1), query("bad.example", ident=2))
    assert ids(stream, 1) == [2]
    stream.send(query(f"release-order{transport.letters}.ok.example", ident=3))
    assert sorted(ids(stream, 2)) == [1, 3]
    assert len(at.upstream.queries(name)) == 1


def one_segment(_: Place, __: Transport, stream: Stream) -> None:
    stream.sock.sendall(framed(*(query("bad.example", ident=number) for number in (1, 2))))
    assert ids(stream, 2) == [1, 2]


def many_segments(_: Place, __: Transport, stream: Stream) -> None:
    for octet in framed(query("bad.example", ident=1), query("www.bad.example", ident=2)):
        stream.sock.sendall(bytes([octet]))
    assert ids(stream, 2) == [1, 2]


def split_length(_: Place, __: Transport, stream: Stream) -> None:
    data = framed(query("bad.example", ident=1), query("bad.example", ident=2))
    middle = len(data) // 2 + 1
    stream.sock.sendall(data[:middle])
    assert ids(stream, 1) == [1]
    stream.sock.sendall(data[middle:])
    assert ids(stream, 1) == [2]


def half_closed(_: Place, transport: Transport, stream: Stream) -> None:
    stream.send(query(f"alias-{transport.letters}.half.ok.example", ident=1), query("bad.example", ident=2))
    stream.sock.shutdown(socket.SHUT_WR)
    assert sorted(ids(stream, 2)) == [1, 2]
    assert stream.receive() is None


def same_id(_: Place, __: Transport, stream: Stream) -> None:
    stream.send(query("bad.example", ident=7), query("worse.example", ident=7))
    answers = [read(stream.receive() or b"") for _ in range(2)]
    assert {one.question for one in answers} == {("bad.example. IN A",), ("worse.example. IN A",)}


def slow_message(_: Place, __: Transport, stream: Stream) -> None:
    # Half a message and then nothing: closed after the time that a message may take, not served for ever.
    stream.sock.settimeout(30)
    stream.sock.sendall(framed(query("bad.example"))[:9])
    assert stream.receive() is None


def no_message(_: Place, __: Transport, stream: Stream) -> None:
    stream.sock.sendall(b"\0\0")
    assert stream.receive() is None


def after_garbage(_: Place, __: Transport, stream: Stream) -> None:
    # A malformed query is answered, and the connection goes on.
    stream.send(query("bad.example", ident=1)[:-1], query("bad.example", ident=2))
    answers = [read(stream.receive() or b"") for _ in range(2)]
    assert [(one.ident, one.rcode) for one in answers] == [(1, "FORMERR"), (2, "NXDOMAIN")]


def not_reading(_: Place, transport: Transport, stream: Stream) -> None:
    # Answers of 4 MB in all that wait unread: reading stops, nothing is lost.
    name = f"size-40000.{transport.letters}.slow.ok.example"
    asked = query(name, "TXT")
    stream.send(asked)
    assert stream.receive()
    stream.send(*[asked] * 100)
    got = [stream.receive() for _ in range(100)]
    assert {len(message or b"") for message in got} == {40000}


def parallel(_: Place, transport: Transport, __: Stream) -> None:
    def opened() -> Iterator[None]:
        with transport.stream() as stream:  # type: ignore[attr-defined] # a case of streams has them
            yield from opened_all(stream)

    def opened_all(stream: Stream) -> Iterator[None]:
        stream.send(query("bad.example", ident=1))
        yield
        assert ids(stream, 1) == [1]

    streams = [opened() for _ in range(50)]
    for one in streams:
        next(one)
    for one in streams:
        assert next(one, None) is None


def talk(ident: str, standard: str, title: str, how: Talk, *needs: Need) -> Case:
    """A case that talks over one connection."""

    def probe(at: Place, transport: Transport) -> None:
        with transport.stream() as stream:  # type: ignore[attr-defined] # a case of streams has them
            how(at, transport, stream)

    return Case(ident, standard, title, probe=probe, needs=(Need.STREAM, *needs))


CASES = (
    talk("7766-reuse", "RFC 7766 6.2.1", "many queries a connection, one after another", many),
    talk("7766-pipelining", "RFC 7766 6.2.1.1", "many at once", pipelined),
    talk("7766-order", "RFC 7766 7", "answered as they are ready, not in order", out_of_order),
    talk("7766-same-id", "RFC 7766 6.2.1", "two with one id are told apart by their questions", same_id),
    talk("7766-segment", "RFC 7766 8", "two messages in a segment", one_segment),
    talk("7766-segments", "RFC 7766 8", "a segment for every octet", many_segments),
    talk("7766-split", "RFC 7766 8", "a message and a half, then the rest", split_length),
    talk("7766-half-closed", "RFC 7766 6.2.4", "who has asked everything is still answered", half_closed, Need.TCP),
    talk("7766-malformed", "RFC 7766 6.2.1", "a malformed query does not end the connection", after_garbage),
    talk("7766-zero", "RFC 1035 4.2.2", "a message of no octets ends it", no_message),
    talk("7766-deadline", "RFC 7766 6.1", "a message that never ends has a deadline", slow_message),
    talk("7766-unread", "RFC 7766 6.2.1", "answers of megabytes, read late, all arrive", not_reading),
    talk("7766-parallel", "RFC 7766 6.2.2", "fifty connections at once", parallel),
)
