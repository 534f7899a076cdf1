"""Batches in and out of real UDP sockets: answers leave from where they were asked, and nobody costs another's."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.rcode
import pytest

from blocklist_sync.artifact.categories import Action, Category
from resolver.edgefile import Listen
from resolver.listeners.sockets import _open
from tests.support.blocklist import entry
from tests.support.engine import DEADLINE_SECONDS, UDP, Rig, policy, rig
from tests.support.packets import question, read, records, reply

BATCH, ROUNDS = 64, 8
RULES = policy(entry("bad.example"))
BAD = question("www.bad.example")


def serve(address: str) -> socket.socket:
    """A socket as the edge opens it, on a port that the kernel chose."""
    sock = _open("udp", Listen(address=address))
    sock.bind((address, 0))
    return sock


def client(server: socket.socket, address: str = "127.0.0.1") -> socket.socket:
    """A client that takes answers from the address and port it asks alone."""
    sock = socket.socket(server.family, socket.SOCK_DGRAM)
    sock.settimeout(DEADLINE_SECONDS)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.connect((address, server.getsockname()[1]))
    return sock


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with serve("127.0.0.1") as sock:
        yield sock


def drain(own: Rig, server: socket.socket, *, wildcard: bool = False) -> None:
    own.memory.hold()
    own.engine.drain(server.fileno(), wildcard)


def waiting(sock: socket.socket) -> list[bytes]:
    """Everything that has arrived; on loopback what was sent has."""
    found = []
    while select.select([sock], [], [], 0)[0]:
        found.append(sock.recv(65535))
    return found


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200, BATCH * ROUNDS])
def test_one_call_answers_whatever_waits(server: socket.socket, count: int) -> None:
    own = rig(RULES, upstreams=0)
    with client(server) as asker:
        for number in range(count):
            asker.send(question(f"n{number}.bad.example", id=number))
        drain(own, server)
        answers = [read(answer) for answer in waiting(asker)]
    assert [(answer.id, str(answer.question[0].name)) for answer in answers] == [
        (number, f"n{number}.bad.example.") for number in range(count)
    ]
    assert own.queries(UDP, rcode=3) == own.blocked(Category.GAMBLING, Action.NXDOMAIN) == count


def test_a_call_has_an_end(server: socket.socket) -> None:
    own = rig(RULES, upstreams=0)
    with client(server) as asker:
        for number in range(BATCH * ROUNDS + 10):
            asker.send(question("bad.example", id=number))
        drain(own, server)
        assert len(waiting(asker)) == BATCH * ROUNDS
        drain(own, server)
        assert len(waiting(asker)) == 10
        drain(own, server)


def test_each_client_gets_its_own_answer(server: socket.socket) -> None:
    own = rig(RULES, upstreams=0)
    clients = [client(server) for _ in range(100)]
    for number, asker in enumerate(clients):
        asker.send(question(f"n{number}.bad.example", id=number))
    drain(own, server)
    for number, asker in enumerate(clients):
        [answer] = waiting(asker)
        assert (read(answer).id, str(read(answer).question[0].name)) == (number, f"n{number}.bad.example.")
        asker.close()


def test_silence_costs_nobody_else_an_answer(server: socket.socket) -> None:
    own = rig(RULES, upstreams=0)
    with client(server) as asker:
        for packet in (b"", BAD, b"short", BAD, BAD[:2] + b"\x81" + BAD[3:], BAD, bytes(5000), BAD, BAD[:12], BAD):
            asker.send(packet)
        drain(own, server)
        rcodes = [answer[3] & 15 for answer in waiting(asker)]
    # What is larger than any query is cut and does not parse.
    assert rcodes == [3, 3, 3, 1, 3, 1, 3]
    assert own.count("drop", 2) == 3


def test_a_client_that_has_gone_costs_nobody_else_an_answer(server: socket.socket) -> None:
    own = rig(RULES, upstreams=0)
    with client(server) as asker:
        for _ in range(3):
            with client(server) as gone:
                gone.send(BAD)
            asker.send(BAD)
            drain(own, server)
            # The ICMP error of the answer to nobody is told by the next call, if at all.
            asker.send(BAD)
            drain(own, server)
            assert len(waiting(asker)) == 2


def spoof(source: str, port: int, to: tuple[str, int], payload: bytes) -> None:
    """Sends a datagram whose source no socket would have."""
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    except PermissionError:
        pytest.skip("raw sockets need CAP_NET_RAW")
    size = 28 + len(payload)
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, size, 0, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(to[0])
    )
    with raw:
        raw.sendto(head + struct.pack("!HHHH", port, to[1], size - 20, 0) + payload, to)


def test_source_port_zero_gets_silence_and_costs_nobody_else_an_answer(server: socket.socket) -> None:
    own = rig(RULES, upstreams=0)
    with client(server) as asker:
        asker.send(BAD)
        spoof("127.0.0.1", 0, server.getsockname(), BAD)
        asker.send(BAD)
        drain(own, server)
        assert len(waiting(asker)) == 2
    assert (own.count("drop", 2), own.count("drop", 5)) == (1, 0)


def test_an_answer_that_cannot_be_sent_costs_itself_alone(server: socket.socket) -> None:
    own = rig(RULES, upstreams=0)
    with client(server) as asker:
        for _ in range(3):
            asker.send(BAD)
            # Nothing may be sent to a broadcast address without asking for it.
            spoof("127.255.255.255", 5353, server.getsockname(), BAD)
            asker.send(BAD)
        drain(own, server)
        assert len(waiting(asker)) == 6
    taken = own.queries(UDP, rcode=3) - 6
    if not taken:
        pytest.skip("this kernel drops such sources")
    assert own.count("drop", 5) == taken == 3


def test_strangers_are_known_by_their_address(server: socket.socket) -> None:
    own = rig(policy(entry("bad.example"), networks=[("127.0.0.1/32", 0)], refuse=False), upstreams=0)
    with client(server) as asker, client(server) as stranger:
        stranger.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.9", 0))
            other.connect(server.getsockname())
            other.send(BAD)
            asker.send(BAD)
            drain(own, server)
            assert (len(waiting(asker)), waiting(other)) == (1, [])
    assert own.count("drop", 1) == 1


# Addresses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "127.99.0.7"])
def test_an_answer_leaves_from_the_address_asked(address: str) -> None:
    own = rig(RULES)
    with serve("0.0.0.0") as server, client(server, address) as asker, client(server) as other:
        asker.send(BAD)
        other.send(BAD)
        drain(own, server, wildcard=True)
        assert read(asker.recv(4096)).rcode() == dns.rcode.NXDOMAIN
        assert read(other.recv(4096)).rcode() == dns.rcode.NXDOMAIN
        # Late answers as well.
        asker.send(question("www.ok.example"))
        drain(own, server, wildcard=True)
        asked, source = own.upstreams[0].receive()
        own.upstreams[0].send(reply(asked, "www.ok.example. 300 IN A 192.0.2.1"), source)
        own.turn()
        assert records(read(asker.recv(4096))) == ["www.ok.example. 300 IN A 192.0.2.1"]


@pytest.mark.parametrize("listen", ["::", "::1"])
def test_ipv6_is_served_alike(listen: str) -> None:
    own = rig(RULES)
    try:
        server = serve(listen)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server, client(server, "::1") as asker:
        asker.send(BAD)
        drain(own, server, wildcard=listen == "::")
        assert read(asker.recv(4096)).rcode() == dns.rcode.NXDOMAIN
        asker.send(question("www.ok.example"))
        drain(own, server, wildcard=listen == "::")
        asked, source = own.upstreams[0].receive()
        own.upstreams[0].send(reply(asked, "www.ok.example. 300 IN A 192.0.2.1"), source)
        own.turn()
        assert records(read(asker.recv(4096))) == ["www.ok.example. 300 IN A 192.0.2.1"]


# Late answers ---------------------------------------------------------------------------------------------------------


def test_those_who_wait_at_several_sockets_are_all_answered() -> None:
    own = rig(RULES)
    with serve("127.0.0.1") as one, serve("127.0.0.2") as two:
        clients = [client(server, server.getsockname()[0]) for _ in range(50) for server in (one, two)]
        for number, asker in enumerate(clients):
            asker.send(question("www.ok.example", id=number))
        for server in (one, two):
            drain(own, server)
        # One more over a stream.
        assert own.ask(question("www.ok.example", id=100)) is None
        asked, source = own.upstreams[0].receive()
        own.upstreams[0].send(reply(asked, "www.ok.example. 300 IN A 192.0.2.1"), source)
        assert read(own.wait(own.token)).id == 100
        for number, asker in enumerate(clients):
            [answer] = waiting(asker)
            assert read(answer).id == number
            asker.close()
    assert own.upstreams[0].waiting() == []
    assert (own.queries(UDP), own.queries()) == (100, 1)


def test_a_late_answer_is_cut_to_what_each_client_takes(server: socket.socket) -> None:
    own = rig(RULES)
    with client(server) as asker:
        sizes = (None, 512, 700, 1000, 1232, 4096)
        for number, size in enumerate(sizes):
            asker.send(question("www.ok.example", "TXT", id=number, edns=size is not None, size=size or 0))
        drain(own, server)
        asked, source = own.upstreams[0].receive()
        lines = [f'www.ok.example. 300 IN TXT "{letter * 200}"' for letter in "abcd"]
        own.upstreams[0].send(reply(asked, *lines), source)
        own.turn()
        answers = [dns.message.from_wire(answer) for answer in sorted(waiting(asker))]
    # Four strings of 200 and what surrounds them take some 890 octets.
    assert [bool(answer.flags & dns.flags.TC) for answer in answers] == [True, True, True, False, False, False]
    assert [sum(map(len, answer.answer)) for answer in answers] == [0, 0, 0, 4, 4, 4]


def test_a_failure_reaches_everybody_who_waits(server: socket.socket) -> None:
    own = rig(RULES, timeout_ms=5)
    with client(server) as asker:
        for number in range(150):
            asker.send(question("www.ok.example", id=number))
        drain(own, server)
        own.until(lambda: not own.engine.outstanding)
        answers = waiting(asker)
    assert sorted(read(answer).id for answer in answers) == list(range(150))
    assert {read(answer).rcode() for answer in answers} == {dns.rcode.SERVFAIL}


def test_a_socket_that_is_gone_ends_the_call(server: socket.socket) -> None:
    own = rig(RULES, upstreams=0)
    closed = serve("127.0.0.1").detach()
    socket.close(closed)
    own.engine.drain(closed, False)
    with client(server) as asker:
        asker.send(BAD)
        drain(own, server)
        assert len(waiting(asker)) == 1
