"""Which sockets a worker reads: its own, and for a while those of a sibling that stands still.

Every worker holds the sockets of all: one that is held and read by nobody is a black hole for its share of clients. A
datagram and a connection go to one process only, whoever asks first, so that two who read for a moment do no harm.
Holds always: a worker's sockets are read all or not at all.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence

from resolver.listeners.sockets import ListenSocket


class Serving:
    """The sockets that one loop reads."""

    def __init__(
        self,
        sockets: Sequence[ListenSocket],
        drain: Callable[[int, bool], None],
        factory: Callable[[ListenSocket], Callable[[], asyncio.Protocol]],
    ) -> None:
        """Reads nothing yet.

        Args:
            sockets: Those of all workers.
            drain: Takes what waits at a UDP socket: its descriptor, and whether it is bound to every address.
            factory: What makes the protocol of each connection to a socket.
        """
        self._sockets = sockets
        self._drain = drain
        self._factory = factory
        self._loop = asyncio.get_running_loop()
        self._servers: dict[int, list[asyncio.Server]] = {}

    @property
    def numbers(self) -> frozenset[int]:
        """Of the workers whose sockets are read."""
        return frozenset(self._servers)

    async def take(self, number: int) -> None:
        """Begins to read the sockets of a worker.

        Raises:
            OSError: There are no descriptors left; nothing of them is read.
        """
        servers = self._servers[number] = []
        try:
            for sock in self._of(number):
                if sock.kind == "udp":
                    self._loop.add_reader(sock.fd, self._drain, sock.fd, sock.wildcard)
                else:
                    # asyncio closes what it is given; the descriptor itself stays for a handover.
                    listening = socket.socket(fileno=os.dup(sock.fd))
                    servers.append(await self._loop.create_server(self._factory(sock), sock=listening))
        except OSError:
            self.leave(number)
            raise

    def leave(self, number: int) -> None:
        """Reads the sockets of a worker no more; what was accepted goes on."""
        for sock in self._of(number):
            if sock.kind == "udp":
                self._loop.remove_reader(sock.fd)
        for server in self._servers.pop(number):
            server.close()

    def _of(self, number: int) -> list[ListenSocket]:
        return [sock for sock in self._sockets if sock.worker == number]
