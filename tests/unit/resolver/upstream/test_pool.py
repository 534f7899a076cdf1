from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from resolver.upstream.pool import ATTEMPTS, PORT_FIRST, PORT_LAST, PoolError, make_forwarder, open_socket, open_sockets
from resolver.upstream.settings import Forwarding, Upstream


def open_fds() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


def upstream(sock: socket.socket) -> Upstream:
    return Upstream(address="127.0.0.1", port=sock.getsockname()[1])


class Drawn(random.Random):
    """Draws what it was given."""

    def __init__(self, *ports: int) -> None:
        super().__init__(0)
        self._ports = list(ports)
        self.asked: list[tuple[int, int]] = []

    def randint(self, a: int, b: int) -> int:
        self.asked.append((a, b))
        return self._ports.pop(0) if len(self._ports) > 1 else self._ports[0]


def test_a_socket_speaks_with_its_upstream_alone(server: socket.socket) -> None:
    with (
        socket.socket(fileno=open_socket(upstream(server), random.Random(1))) as sock,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
    ):
        assert not os.get_blocking(sock.fileno())
        assert not sock.get_inheritable()
        sock.send(b"question")
        _, (address, port) = server.recvfrom(100)
        stranger.sendto(b"forged", (address, port))
        with pytest.raises(BlockingIOError):
            sock.recv(100)


def test_every_socket_has_a_port_of_its_own_from_the_whole_range(server: socket.socket) -> None:
    fds = open_sockets(upstream(server), 64, random.Random(2))
    socks = [socket.socket(fileno=fd) for fd in fds]
    ports = {sock.getsockname()[1] for sock in socks}
    for sock in socks:
        sock.close()
    assert len(ports) == 64
    assert min(ports) < 8_000
    assert max(ports) > 58_000


def test_a_port_in_use_is_drawn_anew(server: socket.socket) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", 0))
        free, taken = other.getsockname()[1], server.getsockname()[1]
        other.close()
        source = Drawn(taken, free)
        fd = open_socket(upstream(server), source)
        assert source.asked == [(PORT_FIRST, PORT_LAST)] * 2
        os.close(fd)


def test_it_gives_up_where_no_port_is_free(server: socket.socket) -> None:
    source = Drawn(server.getsockname()[1])
    before = open_fds()
    with pytest.raises(PoolError, match=f"{ATTEMPTS} ports drawn, none free"):
        open_socket(upstream(server), source)
    assert open_fds() == before


def test_an_address_that_cannot_be_reached_is_named() -> None:
    # Link-local, and nobody says on which link.
    with pytest.raises(PoolError, match=r"^fe80::1:53: Invalid argument$"):
        open_socket(Upstream(address="fe80::1"), random.Random(3))


def test_a_forwarder_has_its_upstreams_by_their_place(server: socket.socket) -> None:
    settings = Forwarding.model_validate(
        {"sockets": 2, "domains": [{"names": ["corp.example"], "group": "corp"}], "groups": {"corp": {}}}
    )
    stream = Upstream(address="127.0.0.1", protocol="dot", group="corp")
    before = open_fds()
    forwarder = make_forwarder((upstream(server), stream, upstream(server)), settings, random.SystemRandom(), bytes(16))
    assert forwarder.upstream_count == 3
    # Two sockets for each of two, and what tells of them.
    assert len(open_fds() - before) == 5
    assert [one["down"] for one in forwarder.health()] == [False] * 3
