"""Commands between the processes of one edge: a message and file descriptors over a local socket, one exchange a call.

The socket's folder is 0700: whoever reaches it is this service's own user. Holds always: a message fits one packet of
`MESSAGE_MAX` bytes; a call ends within its timeout; descriptors that a handler does not take are closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lachan import log
from resolver.errors import ResolverError

MESSAGE_MAX = 128 << 10
DESCRIPTORS_MAX = 250
CALL_SECONDS = 5.0

Message = dict[str, Any]
Handler = Callable[[Message, list[int]], tuple[Message, Sequence[int]]]


class ControlError(ResolverError):
    """The other process is not there, or did not do what it was asked to."""


def call(
    path: Path, message: Message, fds: Sequence[int] = (), timeout: float = CALL_SECONDS
) -> tuple[Message, list[int]]:
    """Sends a command and waits for its answer; descriptors in the answer belong to the caller.

    Raises:
        ControlError: Nobody listens at `path`, the answer is late, or it names an error.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect(str(path))
            socket.send_fds(sock, [json.dumps(message).encode()], list(fds))
            data, received, _, _ = socket.recv_fds(sock, MESSAGE_MAX, DESCRIPTORS_MAX)
        except OSError as error:
            raise ControlError(f"{path}: {error.strerror or 'no answer in time'}") from error
    if not data:
        raise ControlError(f"{path}: closed without an answer")
    answer: Message = json.loads(data)
    if "error" in answer:
        for fd in received:
            os.close(fd)
        raise ControlError(f"{path}: {answer['error']}")
    return answer, received


class Server:
    """Listens at a path and answers each command by its handler, in the event loop: handlers are quick."""

    def __init__(self, path: Path, handlers: dict[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
        self._loop = asyncio.get_running_loop()
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            self._socket.bind(str(path))
        except OSError as error:
            self._socket.close()
            raise ControlError(f"{path}: {error.strerror}") from error
        self._socket.listen(16)
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        try:
            sock, _ = self._socket.accept()
        except OSError:
            return
        sock.setblocking(False)
        # A caller that says nothing is let go.
        timer = self._loop.call_later(CALL_SECONDS, self._close, sock)
        self._loop.add_reader(sock, self._serve, sock, timer)

    def _close(self, sock: socket.socket) -> None:
        self._loop.remove_reader(sock)
        sock.close()

    def _serve(self, sock: socket.socket, timer: asyncio.TimerHandle) -> None:
        timer.cancel()
        fds: list[int] = []
        try:
            data, fds, _, _ = socket.recv_fds(sock, MESSAGE_MAX, DESCRIPTORS_MAX)
            if data:
                answer, back = self._answer(data, fds)
                socket.send_fds(sock, [json.dumps(answer).encode()], list(back))
        except OSError as error:
            log.get().warning("a command went unanswered", reason=error.strerror)
        finally:
            self._close(sock)

    def _answer(self, data: bytes, fds: list[int]) -> tuple[Message, Sequence[int]]:
        taken = False
        try:
            message = json.loads(data)
            handler = self._handlers.get(message.get("command"))
            if handler is None:
                return {"error": f"there is no command {message.get('command')!r}"}, ()
            answer = handler(message, fds)
        except (ResolverError, ValueError, KeyError) as error:
            return {"error": str(error) or type(error).__name__}, ()
        else:
            taken = True
            return answer
        finally:
            if not taken:
                for fd in fds:
                    os.close(fd)

    def close(self) -> None:
        """Stops listening and removes the socket."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
