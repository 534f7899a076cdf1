from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from resolver import systemd
from resolver.listeners.sockets import ListenSocket


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The service manager's end."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield sock


@pytest.fixture
def listening() -> Iterator[ListenSocket]:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::1", 0))
        yield ListenSocket(sock.fileno(), "udp", "::1", sock.getsockname()[1], 3)


def test_readiness_is_told(manager: socket.socket) -> None:
    systemd.notify("READY=1")
    assert manager.recv(100) == b"READY=1"


def test_a_socket_in_the_abstract_namespace_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"lachan-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name}")
        sock.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        systemd.notify("STOPPING=1")
        assert sock.recv(100) == b"STOPPING=1"


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch, listening: ListenSocket) -> None:
    for name in ("NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        monkeypatch.delenv(name, raising=False)
    systemd.notify("READY=1")
    systemd.store([listening])
    assert systemd.stored() == []


def test_what_is_stored_comes_back_under_its_name(
    manager: socket.socket, listening: ListenSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemd.store([listening])
    message, [fd], _, _ = socket.recv_fds(manager, 200, 4)
    fields = dict(line.split("=", 1) for line in message.decode().splitlines())
    assert fields["FDSTORE"] == "1"
    # The manager separates names by colons when it gives the sockets back.
    assert ":" not in fields["FDNAME"]
    monkeypatch.setattr(systemd, "LISTEN_FDS_START", fd)
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_FDNAMES", fields["FDNAME"])
    [back] = systemd.stored()
    assert back.name == listening.name
    assert os.fstat(back.fd).st_ino == os.fstat(listening.fd).st_ino
    assert not os.get_inheritable(back.fd)
    os.close(back.fd)


def test_descriptors_meant_for_another_process_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid() + 1))
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_FDNAMES", "udp/127.0.0.1/53/0")
    assert systemd.stored() == []


def test_a_stored_descriptor_that_is_none_of_ours_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    fd = os.open("/dev/null", os.O_RDONLY)
    monkeypatch.setattr(systemd, "LISTEN_FDS_START", fd)
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_FDNAMES", "varlink")
    assert systemd.stored() == []
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_process_that_the_manager_starts_finds_its_sockets() -> None:
    program = (
        "import json, socket\n"
        "from resolver import systemd\n"
        "found = systemd.stored()\n"
        "ports = [socket.socket(fileno=sock.fd).getsockname()[1] for sock in found]\n"
        "print(json.dumps([[sock.fd, sock.name, port] for sock, port in zip(found, ports)]))\n"
    )
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
    ):
        udp.bind(("127.0.0.1", 0))
        tcp.bind(("127.0.0.1", 0))
        names = [f"{kind}/127.0.0.1/{sock.getsockname()[1]}/0" for kind, sock in (("udp", udp), ("tcp", tcp))]
        # The shell puts the sockets where the manager does and stays the same process.
        shell = f'exec 3<&{udp.fileno()} 4<&{tcp.fileno()}; LISTEN_PID=$$ exec "$@"'
        result = subprocess.run(
            ["bash", "-c", shell, "bash", sys.executable, "-c", program],
            env={**os.environ, "LISTEN_FDS": "2", "LISTEN_FDNAMES": ":".join(names)},
            pass_fds=(udp.fileno(), tcp.fileno()),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        ports = [udp.getsockname()[1], tcp.getsockname()[1]]
    assert json.loads(result.stdout) == [[3, names[0], ports[0]], [4, names[1], ports[1]]]
