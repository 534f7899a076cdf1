"""The sockets that clients ask: one of each kind for every worker, taken over by name, and nobody else's."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from resolver.edgefile import Listen
from resolver.listeners.sockets import ListenSocket, SocketError, open_sockets


@pytest.fixture
def opened() -> Iterator[list[ListenSocket]]:
    """Closed afterwards."""
    found: list[ListenSocket] = []
    yield found
    for fd in {sock.fd for sock in found}:
        os.close(fd)


def free_port(address: str = "127.0.0.1") -> int:
    """A port that nobody has, of either kind."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    while True:
        with socket.socket(family, socket.SOCK_STREAM) as tcp, socket.socket(family, socket.SOCK_DGRAM) as udp:
            tcp.bind((address, 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind((address, port))
            except OSError:
                continue
            return port


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def option(sock: ListenSocket, level: int, name: int) -> int:
    with socket.socket(fileno=os.dup(sock.fd)) as view:
        return view.getsockopt(level, name)


def test_every_worker_has_a_socket_of_each_kind(opened: list[ListenSocket]) -> None:
    port = free_port()
    opened += open_sockets([Listen(address="127.0.0.1", port=port)], 3)
    assert sorted(sock.name for sock in opened) == sorted(
        f"{kind}/127.0.0.1/{port}/{worker}" for kind in ("udp", "tcp") for worker in range(3)
    )
    assert len({sock.fd for sock in opened}) == 6
    for sock in opened:
        assert option(sock, socket.SOL_SOCKET, socket.SO_REUSEPORT)
        assert option(sock, socket.SOL_SOCKET, socket.SO_TYPE) == (
            socket.SOCK_DGRAM if sock.kind == "udp" else socket.SOCK_STREAM
        )
        assert not os.get_blocking(sock.fd)
        assert bool(option(sock, socket.SOL_SOCKET, socket.SO_ACCEPTCONN)) == (sock.kind == "tcp")


def encrypted(protocol: str, port: int) -> Listen:
    tls = {"certificate": "certificate.pem", "key": "key.pem"}
    return Listen.model_validate({"address": "127.0.0.1", "port": port, "protocol": protocol, "tls": tls})


@pytest.mark.parametrize("protocol", ["dot", "doh"])
def test_an_encrypted_listener_has_one_kind_that_tells_what_is_spoken(
    opened: list[ListenSocket], protocol: str
) -> None:
    port = free_port()
    opened += open_sockets([encrypted(protocol, port)], 2)
    assert [sock.name for sock in opened] == [f"{protocol}/127.0.0.1/{port}/{worker}" for worker in range(2)]
    assert [ListenSocket.named(sock.name, sock.fd) for sock in opened] == opened
    for sock in opened:
        assert option(sock, socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        assert sock.layer == "tcp"
    assert sorted(open_sockets([encrypted(protocol, port)], 2, opened), key=lambda sock: sock.fd) == opened


def test_a_listener_that_changes_its_protocol_keeps_its_sockets(opened: list[ListenSocket]) -> None:
    first, second = free_port(), free_port()
    opened += open_sockets([encrypted("dot", first), Listen(address="127.0.0.1", port=second)], 2)
    held = {sock.fd for sock in opened if sock.layer == "tcp"}
    changed = open_sockets([Listen(address="127.0.0.1", port=first), encrypted("doh", second)], 2, opened)
    opened += [sock for sock in changed if sock.fd not in {one.fd for one in opened}]
    assert {sock.fd for sock in changed if sock.layer == "tcp"} == held
    assert sorted(sock.name for sock in changed) == sorted(
        [f"{kind}/127.0.0.1/{first}/{worker}" for kind in ("tcp", "udp") for worker in range(2)]
        + [f"doh/127.0.0.1/{second}/{worker}" for worker in range(2)]
    )


def test_the_kernel_spreads_clients_over_workers(opened: list[ListenSocket]) -> None:
    port = free_port()
    opened += open_sockets([Listen(address="127.0.0.1", port=port)], 2)
    for _ in range(64):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"x", ("127.0.0.1", port))
    counts = []
    for sock in (sock for sock in opened if sock.kind == "udp"):
        with socket.socket(fileno=os.dup(sock.fd)) as view:
            count = 0
            while True:
                try:
                    view.recv(10)
                except BlockingIOError:
                    break
                count += 1
            counts.append(count)
    assert sum(counts) == 64
    assert min(counts) > 0


def test_families_are_kept_apart(opened: list[ListenSocket]) -> None:
    try:
        port = free_port("::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    opened += open_sockets([Listen(address="::", port=port), Listen(address="0.0.0.0", port=port)], 1)
    assert [sock.wildcard for sock in opened] == [True] * 4
    assert option(opened[0], socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    assert not ListenSocket(0, "udp", "127.0.0.1", 53, 0).wildcard


def test_sockets_held_from_before_are_taken_over(opened: list[ListenSocket]) -> None:
    first, second = free_port(), free_port()
    have = open_sockets([Listen(address="127.0.0.1", port=first)], 2)
    opened += have
    now = open_sockets([Listen(address="127.0.0.1", port=first), Listen(address="127.0.0.1", port=second)], 3, have)
    opened += [sock for sock in now if sock not in have]
    assert {sock.name: sock.fd for sock in have}.items() <= {sock.name: sock.fd for sock in now}.items()
    assert len(now) == 12
    # Fewer workers: what is not wanted any more is left to the caller.
    fewer = open_sockets([Listen(address="127.0.0.1", port=first)], 1, now)
    assert sorted(sock.name for sock in fewer) == [f"tcp/127.0.0.1/{first}/0", f"udp/127.0.0.1/{first}/0"]
    assert all(sock in now for sock in fewer)


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_an_address_that_somebody_else_has_is_refused_and_nothing_stays_open(kind: socket.SocketKind) -> None:
    free, taken = free_port(), free_port()
    with socket.socket(socket.AF_INET, kind) as other:
        # Even one that would share it.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", taken))
        if kind == socket.SOCK_STREAM:
            other.listen(1)
        before = descriptors()
        with pytest.raises(SocketError, match=rf"127\.0\.0\.1 port {taken}/(udp|tcp): Address already in use"):
            open_sockets([Listen(address="127.0.0.1", port=free), Listen(address="127.0.0.1", port=taken)], 2)
        assert descriptors() == before


def test_an_address_that_is_not_this_machines_is_refused() -> None:
    with pytest.raises(SocketError, match=r"192\.0\.2\.1 port 53/udp"):
        open_sockets([Listen(address="192.0.2.1")], 1)


@pytest.mark.parametrize("sock", [
    ListenSocket(5, "udp", "127.0.0.1", 53, 0), ListenSocket(6, "tcp", "2001:db8::1", 65535, 255),
])  # fmt: skip
def test_a_name_says_everything_but_the_descriptor(sock: ListenSocket) -> None:
    assert ListenSocket.named(sock.name, sock.fd) == sock
    assert ListenSocket(**sock.describe()) == sock


@pytest.mark.parametrize(
    "name",
    [
        "",
        "udp",
        "udp/127.0.0.1/53",
        "sctp/127.0.0.1/53/0",
        "udp/127.0.0.1/x/0",
        "udp/127.0.0.1/53/-1",
        "udp/127.0.0.1/53/0/0",
    ],
)
def test_a_name_of_another_form_is_refused(name: str) -> None:
    with pytest.raises(SocketError, match="names no socket"):
        ListenSocket.named(name, 3)
