"""What systemd offers a supervisor (sd_notify(3), sd_listen_fds(3)): readiness, and a place where sockets outlive it.

Without systemd every function does nothing, and the supervisor finds its workers by their control sockets alone.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from resolver.listeners.sockets import ListenSocket, SocketError

LISTEN_FDS_START = 3
FDS_A_MESSAGE = 64


def notify(state: str, fds: Sequence[int] = ()) -> None:
    """Sends a state to the service manager, with descriptors for it to keep."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect(address)
        socket.send_fds(sock, [state.encode()], list(fds))


def store(sockets: Sequence[ListenSocket]) -> None:
    """Has the service manager keep the sockets, each under its own name."""
    for sock in sockets:
        notify(f"FDSTORE=1\nFDNAME={sock.name.replace(':', '_')}", [sock.fd])


def stored() -> list[ListenSocket]:
    """The sockets that the service manager kept for us; read once, at start."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    found = []
    for number in range(int(os.environ.get("LISTEN_FDS", "0"))):
        fd = LISTEN_FDS_START + number
        os.set_inheritable(fd, False)
        try:
            # A colon separates the names, so that of an IPv6 address was written as an underscore.
            found.append(ListenSocket.named(names[number].replace("_", ":"), fd))
        except (SocketError, IndexError):
            os.close(fd)
    return found
