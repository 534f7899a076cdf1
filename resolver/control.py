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
from lachan.errors import LachanError
from resolver.errors import ResolverError

MESSAGE_MAX = 128 << 10
DESCRIPTORS_MAX = 250
CALL_SECONDS = 5.0

Message = dict[str, Any]
Handler = Callable[[Message, list[int]], tuple[Message, Sequence[int]]]
"""From a command and its descriptors to an answer and its own; a handler takes what it keeps off the list."""


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
            reason = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
            raise ControlError(f"{path}: {reason}") from error
    try:
        return _answered(path, data), received
    except ControlError:
        _close(received)
        raise


async def ask(path: Path, message: Message) -> Message:
    """As `call` without descriptors, for a loop that has other work meanwhile.

    Raises:
        ControlError: As `call`.
    """
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) as sock:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await loop.sock_connect(sock, str(path))
                await loop.sock_sendall(sock, json.dumps(message).encode())
                data = await loop.sock_recv(sock, MESSAGE_MAX)
        except TimeoutError as error:
            raise ControlError(f"{path}: no answer in time") from error
        except OSError as error:
            raise ControlError(f"{path}: {error.strerror or error}") from error
    return _answered(path, data)


def _answered(path: Path, data: bytes) -> Message:
    try:
        answer = _read(data) if data else {"error": "closed without an answer"}
    except ValueError as error:
        answer = {"error": f"the answer is none: {error}"}
    if "error" in answer:
        raise ControlError(f"{path}: {answer['error']}")
    return answer


def _read(data: bytes) -> Message:
    try:
        message = json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(message, dict):
        raise ValueError("not a mapping")  # noqa: TRY004 # of what came from outside, as with any other bad text
    return message


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


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
            raise ControlError(f"{path}: {error.strerror or error}") from error
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
        try:
            message = _read(data)
            command = message.get("command")
            handler = self._handlers.get(command) if isinstance(command, str) else None
            if handler is None:
                return {"error": f"there is no command {command!r}"}, ()
            return handler(message, fds)
        except (LachanError, ValueError, KeyError) as error:
            return {"error": str(error) or type(error).__name__}, ()
        finally:
            _close(fds)

    def close(self) -> None:
        """Stops listening and removes the socket."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
